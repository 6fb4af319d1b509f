/// A capability (capabilities(7)); the raw value is its number in the kernel's sets.
public enum Capability: UInt8, Sendable, Hashable, CaseIterable {
    case chown = 0
    case dacOverride = 1
    case dacReadSearch = 2
    case fowner = 3
    case fsetid = 4
    case kill = 5
    case setgid = 6
    case setuid = 7
    case setpcap = 8
    case linuxImmutable = 9
    case netBindService = 10
    case netBroadcast = 11
    case netAdmin = 12
    case netRaw = 13
    case ipcLock = 14
    case ipcOwner = 15
    case sysModule = 16
    case sysRawio = 17
    case sysChroot = 18
    case sysPtrace = 19
    case sysPacct = 20
    case sysAdmin = 21
    case sysBoot = 22
    case sysNice = 23
    case sysResource = 24
    case sysTime = 25
    case sysTtyConfig = 26
    case mknod = 27
    case lease = 28
    case auditWrite = 29
    case auditControl = 30
    case setfcap = 31
    case macOverride = 32
    case macAdmin = 33
    case syslog = 34
    case wakeAlarm = 35
    case blockSuspend = 36
    case auditRead = 37
    case perfmon = 38
    case bpf = 39
    case checkpointRestore = 40

    /// The name as the runtime-spec writes it, such as `CAP_NET_BIND_SERVICE`.
    public var name: String {
        // A case is the kernel's name in camel case, so that the two cannot drift apart.
        var text = "CAP_"
        for character in "\(self)" {
            if character.isUppercase { text += "_" }
            text += character.uppercased()
        }
        return text
    }

    /// Reads `CAP_NET_RAW`, `NET_RAW` or `net_raw`; nil for a name that the kernel does not have.
    public init?(named name: String) {
        let upper = name.uppercased()
        let full = upper.hasPrefix("CAP_") ? upper : "CAP_" + upper
        guard let found = Self.byName[full] else { return nil }
        self = found
    }

    private static let byName = Dictionary(uniqueKeysWithValues: allCases.map { ($0.name, $0) })
}
