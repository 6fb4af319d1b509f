/// A limit of setrlimit(2).
public struct ResourceUlimit: Sendable, Hashable {
    /// Docker's name, such as `nofile`.
    public var name: String
    /// nil for unlimited.
    public var soft: UInt64?
    /// nil for unlimited.
    public var hard: UInt64?

    public init(name: String, soft: UInt64?, hard: UInt64?) {
        self.name = name
        self.soft = soft
        self.hard = hard
    }

    /// The name that runtime-spec gives it, such as `RLIMIT_NOFILE`.
    public var resource: String { "RLIMIT_\(name.uppercased())" }
}

/// A limit on one block device (io.max).
public struct IODeviceLimit: Sendable, Hashable {
    /// What is limited; the raw values are the words of io.max.
    public enum Measure: String, Sendable, CaseIterable {
        /// Bytes a second.
        case readBytes = "rbps"
        case writeBytes = "wbps"
        /// Operations a second.
        case readOperations = "riops"
        case writeOperations = "wiops"
    }
    /// A path such as `/dev/sda`.
    public var device: String
    /// What is limited.
    public var measure: Measure
    /// Bytes or operations a second.
    public var limit: UInt64

    public init(device: String, measure: Measure, limit: UInt64) {
        self.device = device
        self.measure = measure
        self.limit = limit
    }
}
