internal import Glibc
public import LinuxSystem

/// What this host's kernel can do: the base of preflight checks and of errors that name the missing part. What few containers
/// need to know is read when somebody asks.
public struct HostFacts: Sendable, Equatable {
    /// Such as `6.12.9-amd64`.
    public var kernelRelease: String
    /// The number of the newest capability.
    public var lastCapability: UInt8
    /// What this process may do.
    public var capabilities: CapabilitySet
    /// How control groups are arranged.
    public var cgroups: HostCgroups
    /// Controllers that groups below the top of the cgroup2 hierarchy can have; nil without one.
    @ReadWhenAsked public var controllers: Set<String>?
    /// Actions of seccomp filters; empty if the kernel has no filters.
    @ReadWhenAsked public var seccompActions: Set<String>
    /// Security modules in the order of their use; nil if the kernel does not tell.
    @ReadWhenAsked public var securityModules: [String]?
    /// Whether a user namespace can be made, by what the kernel's limits say.
    @ReadWhenAsked public var userNamespaces: Bool
    /// File systems that can be mounted without loading a module.
    @ReadWhenAsked public var fileSystems: Set<String>

    /// Reads it from /proc and /sys.
    public static func discover() throws(SystemError) -> HostFacts {
        let cgroups = try HostCgroups.discover()
        return HostFacts(
            kernelRelease: kernelRelease(),
            lastCapability: try CapabilitySet.lastOfKernel(),
            capabilities: try CapabilitySet.ofThisProcess(),
            cgroups: cgroups,
            controllers: ReadWhenAsked {
                cgroups.unifiedMount.flatMap { optional($0 + "/cgroup.controllers") }.map(words)
            },
            seccompActions: ReadWhenAsked { words(optional("/proc/sys/kernel/seccomp/actions_avail")) },
            securityModules: ReadWhenAsked {
                securityModules(
                    list: optional("/sys/kernel/security/lsm"),
                    appArmor: optional("/sys/module/apparmor/parameters/enabled"),
                    hasSELinux: File.exists("/sys/fs/selinux/enforce"))
            },
            userNamespaces: ReadWhenAsked {
                allowsUserNamespaces(
                    limit: optional("/proc/sys/user/max_user_namespaces"),
                    clone: optional("/proc/sys/kernel/unprivileged_userns_clone"), root: geteuid() == 0)
            },
            fileSystems: ReadWhenAsked { fileSystems(optional("/proc/filesystems") ?? "") })
    }

    /// uname(2), which cannot fail.
    static func kernelRelease() -> String { release }
    private static let release: String = {
        var names = utsname()
        uname(&names)
        return withUnsafeBytes(of: names.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }()

    private static func optional(_ path: String) -> String? { try? File.readValue(path) }

    private static func words(_ text: String?) -> Set<String> {
        Set((text ?? "").split(whereSeparator: \.isWhitespace).map(String.init))
    }

    /// The processor as uname(2) names it, such as `x86_64`.
    public static var architecture: String {
        #if arch(x86_64)
            "x86_64"
        #elseif arch(arm64)
            "aarch64"
        #elseif arch(s390x)
            "s390x"
        #elseif arch(powerpc64le)
            "ppc64le"
        #elseif arch(riscv64)
            "riscv64"
        #elseif arch(i386)
            "i686"
        #elseif arch(arm)
            "armv7l"
        #else
            "unknown"
        #endif
    }

    /// Whether the kernel is at least this version. Prefer to try the feature itself.
    public func kernelIsAtLeast(_ major: Int, _ minor: Int) -> Bool {
        let numbers = kernelRelease.split(whereSeparator: { !$0.isNumber }).prefix(2).compactMap { Int($0) }
        guard numbers.count == 2 else { return false }
        return (numbers[0], numbers[1]) >= (major, minor)
    }

    /// proc_filesystems(5): the name is the last word of a line.
    static func fileSystems(_ text: String) -> Set<String> {
        Set(text.split(separator: "\n").compactMap { $0.split(whereSeparator: \.isWhitespace).last.map(String.init) })
    }

    static func allowsUserNamespaces(limit: String?, clone: String?, root: Bool) -> Bool {
        guard let limit, let number = UInt64(trimmed(limit)), number > 0 else { return false }
        return root || clone.map { trimmed($0) != "0" } ?? true
    }

    /// Where securityfs is not mounted, the modules that containers have labels for tell of themselves.
    static func securityModules(list: String?, appArmor: String?, hasSELinux: Bool) -> [String]? {
        if let list { return trimmed(list).split(separator: ",").map(String.init) }
        let found = (appArmor.map(trimmed) == "Y" ? ["apparmor"] : []) + (hasSELinux ? ["selinux"] : [])
        return found.isEmpty ? nil : found
    }

    private static func trimmed(_ text: String) -> String { text.filter { !$0.isWhitespace } }
}

// Beside the one that the compiler makes, which takes the facts themselves.
extension HostFacts {
    private init(
        kernelRelease: String, lastCapability: UInt8, capabilities: CapabilitySet, cgroups: HostCgroups,
        controllers: ReadWhenAsked<Set<String>?>, seccompActions: ReadWhenAsked<Set<String>>,
        securityModules: ReadWhenAsked<[String]?>, userNamespaces: ReadWhenAsked<Bool>,
        fileSystems: ReadWhenAsked<Set<String>>
    ) {
        self.kernelRelease = kernelRelease
        self.lastCapability = lastCapability
        self.capabilities = capabilities
        self.cgroups = cgroups
        _controllers = controllers
        _seccompActions = seccompActions
        _securityModules = securityModules
        _userNamespaces = userNamespaces
        _fileSystems = fileSystems
    }
}
