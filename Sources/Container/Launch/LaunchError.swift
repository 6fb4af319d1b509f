public import LinuxSystem

/// Why a container or a process in one could not be started.
public enum LaunchError: Error, Sendable, Equatable {
    /// The program is not in the image, or not on its PATH.
    case programNotFound(String)
    /// The program is there but cannot be executed.
    case programNotExecutable(String, Errno)
    /// A step of the plan failed in the container; `detail` is what the kernel or the player adds.
    case step(LaunchStep, Errno, detail: String)
    /// The container's process died in the middle of the plan.
    case died(ExitStatus, during: LaunchStep?)
    /// A system call of the launching process failed.
    case system(SystemError)
    /// A hook of the specification failed.
    case hook(String)
    /// A setting cannot be honoured; `path` is its place in the configuration.
    case setting(path: String, String)

    /// The exit code that container engines give for this: 127 for a program that is not there, 126 for one that
    /// cannot be executed, 125 for everything else.
    public var exitCode: Int32 {
        switch self {
        case .programNotFound, .programNotExecutable(_, .noSuchFile): 127
        case .programNotExecutable: 126
        default: 125
        }
    }
}

extension LaunchError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .programNotFound(let name):
            if name.utf8.contains(UInt8(ascii: "/")) { return "exec \"\(name)\": no such file or directory" }
            return "exec \"\(name)\": executable file not found in $PATH"
        case .programNotExecutable(let name, let errno):
            if errno == .noSuchFile {
                return "exec \"\(name)\": its interpreter or dynamic loader is missing in the image"
            }
            return "exec \"\(name)\": \(errno)"
        case .step(let step, let errno, let detail):
            let reason = detail.isEmpty ? Self.reason(errno) : "\(Self.reason(errno)): \(detail)"
            return "cannot \(step.purpose): \(reason)\(step.field.map { " (\($0))" } ?? "")"
        case .died(let status, let step):
            let place = step.map { " while it was to \($0.purpose)" } ?? ""
            return "the container's process \(status)\(place)"
        case .system(let error):
            let path = error.path.map { " \($0)" } ?? ""
            return "cannot \(error.operation)\(path): \(Self.reason(error.errno))"
        case .hook(let text): return text
        case .setting(let path, let text): return "\(path): \(text)"
        }
    }

    /// Callers of OCI runtimes take the kernel's sentence for ENOENT as "the program is missing", so it is said of
    /// nothing else.
    static func reason(_ errno: Errno) -> String {
        errno == .noSuchFile ? "it is not there" : errno.description
    }
}
