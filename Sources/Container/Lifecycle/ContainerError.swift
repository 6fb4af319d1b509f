public import LinuxSystem
public import OCISpec

/// Why an operation on a container of a bundle failed. What is said of it and what a program exits with is in
/// ``FailureTable``.
public indirect enum ContainerError: Error, Sendable {
    case invalidID(String)
    case exists(String)
    case missing(String)
    case notRunning(String)
    /// The operation does not fit the container's state.
    case wrongState(String, verb: String, status: ContainerState.Status, remedy: String = "")
    /// What is kept of the container cannot be read.
    case damaged(String, reason: String)
    /// The operation needs a control group, and the container has none.
    case noCgroup(String, verb: String)
    /// The bundle's configuration, with the place in it.
    case configuration(String)
    /// An option that cannot be honoured, with the reason.
    case option(String)
    /// The checkpoint program failed; the text is the last error of its log.
    case criu(verb: String, reason: String)
    /// A creation failed, and what had been made could not all be taken back.
    case remains(cause: ContainerError, String)
    case launch(LaunchError)
    case cgroup(CgroupError)
    case system(SystemError)

    /// What a program that reports this error exits with.
    public var exitCode: Int32 { FailureTable.row(self).exitCode }
}

extension ContainerError {
    /// A failed hook together with those that failed because of what it led to.
    func followed(by warnings: [String]) -> ContainerError {
        guard case .launch(.hook(let text)) = self else { return self }
        return .launch(.hook(([text] + warnings).joined(separator: "; ")))
    }
}

extension ContainerError: CustomStringConvertible {
    public var description: String { FailureTable.text(self) }
}
