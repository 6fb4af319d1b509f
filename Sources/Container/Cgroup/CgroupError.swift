public import LinuxSystem

/// What could not be done with a control group.
public struct CgroupError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What a program may decide by.
    public enum Kind: Sendable, Equatable {
        /// This host has no cgroup2 hierarchy.
        case unavailable
        /// A requested limit that cannot be set here; the limit's place below `linux.resources`, and its controller.
        case limit(field: String, controller: String)
        /// A value that makes no sense, by its place below `linux.resources`.
        case value(field: String)
        /// A path that names no group below the hierarchy.
        case path
        /// Processes are where none may be.
        case populated
        /// A deadline passed.
        case timedOut
        /// The kernel refused an operation.
        case system(SystemError)
    }

    /// What a program may decide by.
    public let kind: Kind
    /// What failed and why, in one line.
    public let cause: String
    /// What to do about it, in one line.
    public let remedy: String?

    public init(_ kind: Kind, _ cause: String, remedy: String? = nil) {
        self.kind = kind
        self.cause = cause
        self.remedy = remedy
    }

    init(_ error: SystemError, remedy: String? = nil) {
        self.init(.system(error), "\(error)", remedy: remedy)
    }

    public var description: String { remedy.map { "\(cause); \($0)" } ?? cause }
}

/// What to do with a requested limit that this host cannot enforce.
public enum LimitPolicy: String, Sendable {
    /// Refuse, with an error that names the limit, its controller, and the remedy.
    case strict
    /// The same, for callers that cannot choose ``bestEffort``.
    case mandatory
    /// Go on without it and say so in a warning.
    case bestEffort = "best-effort"
}
