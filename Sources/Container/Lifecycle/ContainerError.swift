public import LinuxSystem

/// Why an operation on a container of a bundle failed. The sentences are those that callers of OCI runtimes look for.
public enum ContainerError: Error, Sendable {
    case invalidID(String)
    case exists(String)
    case missing(String)
    case notRunning(String)
    /// The operation does not fit the container's state; the text says both.
    case wrongState(String)
    /// The bundle's configuration, with the place in it.
    case configuration(String)
    case launch(LaunchError)
    case cgroup(CgroupError)
    case system(SystemError)

    /// What a program that reports this error exits with.
    public var exitCode: Int32 {
        if case .launch(let error) = self, error.exitCode != 125 { return error.exitCode }
        return 1
    }
}

extension ContainerError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .invalidID(let id):
            "container id \"\(id)\" is not valid: letters, digits, '_', '+', '-' and '.', the last not first, at most 1024"
        case .exists(let id): "container with given ID already exists: \"\(id)\"; delete it first, or take another id"
        case .missing(let id): "container \"\(id)\" does not exist"
        case .notRunning(let id): "container not running: \"\(id)\""
        case .wrongState(let text): text
        case .configuration(let text): "config.json: \(text)"
        case .launch(let error): "\(error)"
        case .cgroup(let error): "\(error)"
        case .system(let error): "\(LaunchError.system(error))"
        }
    }
}
