public import Container
public import OCISpec

/// What a container is built from beside the image and the settings: facts of the host, and what the supervisor has
/// prepared for this replica. Everything the builder must not find out by itself.
public struct BuildFacts: Sendable, Equatable {
    // MARK: The host

    /// Of the machine, as uname(2) calls it.
    public var architecture: String
    /// The kernel's newest capability.
    public var lastCapability: UInt8
    /// Whether processors can be given exclusively.
    public var hasCpusetController = false
    /// The processors that may be given away, by NUMA node.
    public var processors: [[Int]] = []
    /// Those that other services were given.
    public var takenProcessors: Set<Int> = []
    /// Bytes.
    public var hostMemory: Int64 = 0
    /// The hard limits of the supervisor by their runtime-spec names, such as `RLIMIT_NOFILE`.
    public var hardLimits: [String: UInt64] = [:]
    /// With CAP_SYS_RESOURCE hard limits can be raised.
    public var canRaiseLimits = false
    /// Device numbers of the block devices that ``ResourceLimits/ioDevices`` names.
    public var blockDevices: [String: DeviceNumber] = [:]
    /// A static program that reaps orphans and passes signals on.
    public var initProgram: String?

    // MARK: The replica

    /// Also its default host name.
    public var replica: String
    /// The group to start in, below the cgroup2 mount.
    public var cgroupsPath: String?
    /// The ids of the user namespace: container 0 is `hostID`. The same range is used for users and groups.
    public var userRange = RuntimeSpec.IDMap(containerID: 0, hostID: 1_000_000, size: 65536)
    /// Files of the host to show as /etc/hosts, /etc/hostname and /etc/resolv.conf.
    public var hostsFile: String?
    /// See ``hostsFile``.
    public var hostnameFile: String?
    /// See ``hostsFile``.
    public var resolverFile: String?
    /// Whether the process gets a terminal.
    public var terminal = false

    public init(
        replica: String, architecture: String = HostFacts.architecture,
        lastCapability: UInt8 = Capability.checkpointRestore.rawValue
    ) {
        self.replica = replica
        self.architecture = architecture
        self.lastCapability = lastCapability
    }

    /// What the kernel calls a device by.
    public struct DeviceNumber: Sendable, Hashable {
        /// The driver.
        public var major: Int64
        /// The device of that driver.
        public var minor: Int64

        public init(major: Int64, minor: Int64) {
            self.major = major
            self.minor = minor
        }
    }
}

/// Why no container can be built from these settings and this image.
public struct BuildError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The setting, such as `cpus`, as ``ServiceSettings/json`` names it.
    public let setting: String
    /// Lower case, no full stop.
    public let message: String
    /// What to do about it.
    public let remedy: String

    public init(_ setting: String, _ message: String, remedy: String) {
        self.setting = setting
        self.message = message
        self.remedy = remedy
    }

    public var description: String { message }
}
