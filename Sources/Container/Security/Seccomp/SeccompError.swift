/// Why a seccomp filter could not be made.
public struct SeccompError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The place below `linux.seccomp`, such as `syscalls[3].action`; empty when the filter as a whole is meant.
    public let field: String
    /// What is wrong there, in one line.
    public let reason: String

    public init(field: String = "", reason: String) {
        self.field = field
        self.reason = reason
    }

    public var description: String {
        field.isEmpty ? "cannot make the seccomp filter: \(reason)" : "linux.seccomp.\(field): \(reason)"
    }
}
