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
    public var name: String { Self.prefix + Self.names[Int(rawValue)] }

    /// Reads `CAP_NET_RAW`, `NET_RAW` or `net_raw`; nil for a name that the kernel does not have.
    public init?(named name: String) {
        // As specifications write it, which needs no copy of the text.
        let upper = name.hasPrefix(Self.prefix) ? name : name.uppercased()
        let short = upper.hasPrefix(Self.prefix) ? upper.dropFirst(Self.prefix.utf8.count) : upper[...]
        guard let number = Self.names.firstIndex(where: { short == $0 }) else { return nil }
        self.init(rawValue: UInt8(number))
    }

    private static let prefix = "CAP_"

    /// By their numbers. Written out, since every start of a container needs them and making them from the cases takes longer
    /// than all system calls that set them.
    private static let names = [
        "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
        "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
        "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
        "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
        "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
        "CHECKPOINT_RESTORE",
    ]
}
