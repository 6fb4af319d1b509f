public import OCISpec

/// Everything that decides how a service runs, as the user asked for it: a value that survives on disk, that two
/// programs can exchange, and from which the container is built without asking anybody else.
///
/// Times are `Duration`s, sizes are bytes. A nil means "not asked for": the default is applied where it is used.
public struct ServiceSettings: Sendable, Equatable {
    public var name: String
    public var image: ImageIdentity
    /// Replaces the image's Cmd where not empty.
    public var arguments: [String] = []
    /// Replaces the image's Entrypoint and clears its Cmd; an empty list means "none", as `--entrypoint ""` does.
    public var entrypoint: [String]?
    /// `NAME=value`, later ones win.
    public var environment: [String] = []
    public var workingDirectory: String?
    /// `user[:group]`, names or numbers, looked up in the image's own files.
    public var user: String?
    public var hostname: String?
    public var labels: [String: String] = [:]

    public var ports: [PublishedPort] = []
    public var network = Network.private
    /// The CNI network of `--network bridge`; nil for the first that is configured.
    public var networkName: String?

    public var volumes: [VolumeMount] = []
    public var temporaryFileSystems: [TemporaryFileSystem] = []
    public var devices: [DeviceMapping] = []
    public var readOnlyRoot = false

    public var limits = ResourceLimits()
    public var limitPolicy = LimitHandling.strict
    public var ulimits: [ResourceUlimit] = []

    /// `--userns host`: root inside is root outside.
    public var usesHostUserNamespace = false
    public var addedCapabilities: [String] = []
    public var droppedCapabilities: [String] = []
    public var security = SecurityOptions()
    /// A small first process that reaps orphans and passes signals on.
    public var usesInit = false

    public var ready = Probe.automatic
    public var live = Probe.automatic
    /// The hard limit of a start; nil for ``StartupRules/hardDeadline`` and the no-progress rule.
    public var startupTimeout: Duration?
    public var restart = RestartPolicy.unlessStopped
    /// A name or number; nil for the image's StopSignal, else SIGTERM.
    public var stopSignal: String?
    public var stopTimeout = Duration.seconds(15)
    public var drainTimeout = Duration.seconds(120)
    public var replicas = 1

    public init(name: String, image: ImageIdentity) {
        self.name = name
        self.image = image
    }

    /// Which image, pinned: the digests are what was resolved when the service was started.
    public struct ImageIdentity: Sendable, Equatable {
        /// As the user wrote it, in full form.
        public var reference: String
        public var manifestDigest: Digest?
        /// The image ID.
        public var configDigest: Digest?

        public init(reference: String, manifestDigest: Digest? = nil, configDigest: Digest? = nil) {
            self.reference = reference
            self.manifestDigest = manifestDigest
            self.configDigest = configDigest
        }
    }

    public enum Network: String, Sendable, CaseIterable {
        /// A network namespace with loopback only; the gateway reaches in, nothing reaches out.
        case `private`
        case host
        /// Through the CNI plugins of the host.
        case bridge
    }

    /// What happens when a limit cannot be set on this host.
    public enum LimitHandling: String, Sendable, CaseIterable {
        /// The start fails and names the missing controller.
        case strict
        /// The start goes on with a warning.
        case bestEffort = "best-effort"
    }

    public struct SecurityOptions: Sendable, Equatable {
        /// What filters the process's system calls.
        public enum Seccomp: Sendable, Equatable {
            case standard
            case unconfined
            /// The text of a profile in Docker's or runtime-spec's form, read when the service was started.
            case profile(JSON)
        }
        public var seccomp = Seccomp.standard
        public var noNewPrivileges = true
        public var apparmorProfile: String?
        public var selinuxLabel: String?

        public init() {}
    }
}

/// What a service may use. nil is "no limit", except for ``pids``.
public struct ResourceLimits: Sendable, Equatable {
    /// Processes and threads when nothing was asked for.
    public static let defaultPids: Int64 = 4096

    public var memory: Int64?
    /// Memory and swap together as in Docker; -1 for unlimited swap. nil allows no swap beyond ``memory``.
    public var memorySwap: Int64?
    /// Processors' worth of time; a whole number becomes a cpuset where the host has the controller.
    public var cpus: Double?
    /// A list such as `0-3,8`.
    public var cpusetCpus: String?
    public var cpusetMems: String?
    /// -1 for unlimited.
    public var pids: Int64 = Self.defaultPids
    /// Bytes of /dev/shm; nil for half of ``memory``, at least 64 MiB.
    public var sharedMemory: Int64?
    /// 1 to 10000.
    public var ioWeight: Int?
    public var ioDevices: [IODeviceLimit] = []

    public init() {}
}
