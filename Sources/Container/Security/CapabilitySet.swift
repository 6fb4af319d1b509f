internal import CLinux
public import LinuxSystem

/// A set of capabilities as the kernel keeps it: one bit each.
public struct CapabilitySet: Sendable, Hashable, OptionSet {
    /// One bit for each capability, by its number.
    public let rawValue: UInt64

    public init(rawValue: UInt64) { self.rawValue = rawValue }

    public init(_ capabilities: some Sequence<Capability>) {
        rawValue = capabilities.reduce(0) { $0 | 1 << UInt64($1.rawValue) }
    }

    /// Reads names as `linux.capabilities` has them. Unknown names are an error, since a name that is skipped could be
    /// the one that somebody relied on.
    public init(names: some Sequence<String>) throws(CapabilityError) {
        var bits: UInt64 = 0
        for name in names { bits |= 1 << UInt64(try Self.capability(name).rawValue) }
        rawValue = bits
    }

    /// The empty set.
    public static let none = CapabilitySet([])
    /// Every capability that this program knows.
    public static let all = CapabilitySet(Capability.allCases)
    /// What Docker gives a container by default.
    public static let dockerDefault = CapabilitySet([
        Capability.auditWrite, .chown, .dacOverride, .fowner, .fsetid, .kill, .mknod, .netBindService, .netRaw,
        .setfcap, .setgid, .setpcap, .setuid, .sysChroot,
    ])

    /// Whether a capability is in the set.
    public func contains(_ capability: Capability) -> Bool { rawValue & (1 << UInt64(capability.rawValue)) != 0 }

    /// In the order of their numbers.
    public var capabilities: [Capability] { Capability.allCases.filter(contains) }
    /// The names for `linux.capabilities`, in the order of their numbers.
    public var names: [String] { capabilities.map(\.name) }

    /// Applies `--cap-add` and `--cap-drop`: drops first, then additions, so that `--cap-drop ALL --cap-add NET_RAW`
    /// leaves exactly one. `ALL` means every capability up to `last`, the newest that the kernel has.
    public func adjusted(
        adding added: [String], dropping dropped: [String], last: UInt8 = Capability.checkpointRestore.rawValue
    ) throws(CapabilityError) -> CapabilitySet {
        var result = self
        for name in dropped { result.subtract(try Self.named(name)) }
        for name in added { result.formUnion(try Self.named(name)) }
        return result.upTo(last)
    }

    /// This set without what a kernel whose newest capability is `last` does not have.
    public func upTo(_ last: UInt8) -> CapabilitySet {
        last >= 63 ? self : CapabilitySet(rawValue: rawValue & ((1 << (UInt64(last) + 1)) - 1))
    }

    /// What the calling process may do now: its effective set (capabilities(7)).
    public static func ofThisProcess() throws(SystemError) -> CapabilitySet {
        var bits: UInt64 = 0
        try check(mlr_effective_capabilities(&bits), "look up the process's capabilities")
        return CapabilitySet(rawValue: bits)
    }

    /// The number of the kernel's newest capability, from /proc/sys/kernel/cap_last_cap.
    public static func lastOfKernel() throws(SystemError) -> UInt8 {
        let path = "/proc/sys/kernel/cap_last_cap"
        guard let number = UInt8(try File.readValue(path).filter { !$0.isWhitespace }) else {
            throw SystemError("understand", path: path, .invalidArgument)
        }
        return number
    }

    private static func named(_ name: String) throws(CapabilityError) -> CapabilitySet {
        name.uppercased() == "ALL" ? .all : CapabilitySet([try capability(name)])
    }

    private static func capability(_ name: String) throws(CapabilityError) -> Capability {
        guard let found = Capability(named: name) else { throw CapabilityError(name: name) }
        return found
    }
}

extension CapabilitySet: CustomStringConvertible {
    public var description: String { isEmpty ? "none" : names.joined(separator: ",") }
}

/// A capability name that the kernel does not have.
public struct CapabilityError: Error, Sendable, Equatable, CustomStringConvertible {
    /// As it was given.
    public let name: String

    public init(name: String) { self.name = name }

    public var description: String {
        "unknown capability \"\(name)\": capabilities(7) lists the names, such as CAP_NET_BIND_SERVICE"
    }
}
