public import OCISpec

/// Everything that decides how a service runs, as the user asked for it: a value that survives on disk, that two
/// programs can exchange, and from which the container is built without asking anybody else.
///
/// Times are `Duration`s, sizes are bytes. A nil means "not asked for": the default is applied where it is used.
public struct ServiceSettings: Sendable, Equatable {
    /// Unique among the services of these directories.
    public var name: String
    /// What to run.
    public var image: ImageIdentity
    /// Replaces the image's Cmd where not empty.
    public var arguments: [String] = []
    /// Replaces the image's Entrypoint and clears its Cmd; an empty list means "none", as `--entrypoint ""` does.
    public var entrypoint: [String]?
    /// `NAME=value`, later ones win.
    public var environment: [String] = []
    /// Absolute, in the container; nil for the image's own.
    public var workingDirectory: String?
    /// `user[:group]`, names or numbers, looked up in the image's own files.
    public var user: String?
    /// nil for the replica's id.
    public var hostname: String?
    /// For people and programs; mlrun itself does not read them.
    public var labels: [String: String] = [:]

    /// Where the gateway listens, and what it passes on to.
    public var ports: [PublishedPort] = []
    /// Which network the container sees.
    public var network = Network.private
    /// The CNI network of `--network bridge`; nil for the first that is configured.
    public var networkName: String?

    /// Directories and files of the host.
    public var volumes: [VolumeMount] = []
    /// File systems in memory.
    public var temporaryFileSystems: [TemporaryFileSystem] = []
    /// Device nodes of the host.
    public var devices: [DeviceMapping] = []
    /// Devices by the names that their vendors' files of the Container Device Interface give them.
    public var cdiDevices: [CDIName] = []
    /// Whether the root file system refuses writes.
    public var readOnlyRoot = false

    /// What it may use.
    public var limits = ResourceLimits()
    /// What to do about a limit that this host cannot set.
    public var limitPolicy = LimitHandling.strict
    /// Limits of single processes.
    public var ulimits: [ResourceUlimit] = []

    /// `--userns host`: root inside is root outside.
    public var usesHostUserNamespace = false
    /// Beside Docker's default list; names, or `ALL`.
    public var addedCapabilities: [String] = []
    /// Taken from the list before others are added; names, or `ALL`.
    public var droppedCapabilities: [String] = []
    /// What else keeps it apart from the host.
    public var security = SecurityOptions()
    /// A small first process that reaps orphans and passes signals on.
    public var usesInit = false

    /// How to tell that it can take requests.
    public var ready = Probe.automatic
    /// How to tell that it is stuck.
    public var live = Probe.automatic
    /// The hard limit of a start; nil for ``StartupRules/hardDeadline`` and the no-progress rule.
    public var startupTimeout: Duration?
    /// When it is started again.
    public var restart = RestartPolicy.unlessStopped
    /// A name or number; nil for the image's StopSignal, else SIGTERM.
    public var stopSignal: String?
    /// From the stop signal to the kill.
    public var stopTimeout = Duration.seconds(15)
    /// How long requests in flight may take when it is to stop.
    public var drainTimeout = Duration.seconds(120)
    /// How many run side by side.
    public var replicas = 1

    public init(name: String, image: ImageIdentity) {
        self.name = name
        self.image = image
    }

    /// Which image, pinned: the digests are what was resolved when the service was started.
    public struct ImageIdentity: Sendable, Equatable {
        /// As the user wrote it, in full form.
        public var reference: String
        /// What the reference meant when the service was started.
        public var manifestDigest: Digest?
        /// The image ID.
        public var configDigest: Digest?

        public init(reference: String, manifestDigest: Digest? = nil, configDigest: Digest? = nil) {
            self.reference = reference
            self.manifestDigest = manifestDigest
            self.configDigest = configDigest
        }
    }

    /// What a container can reach.
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

    /// What keeps the process in beside namespaces and capabilities.
    public struct SecurityOptions: Sendable, Equatable {
        /// What filters the process's system calls.
        public enum Seccomp: Sendable, Equatable {
            case standard
            case unconfined
            /// The text of a profile in Docker's or runtime-spec's form, read when the service was started.
            case profile(JSON)
        }
        /// The filter of system calls.
        public var seccomp = Seccomp.standard
        /// Whether programs with set-user-ID bits gain nothing by them (PR_SET_NO_NEW_PRIVS).
        public var noNewPrivileges = true
        /// The name of a loaded AppArmor profile.
        public var apparmorProfile: String?
        /// The SELinux label of the process.
        public var selinuxLabel: String?

        public init() {}
    }
}

/// What a service may use. nil is "no limit", except for ``pids``.
public struct ResourceLimits: Sendable, Equatable {
    /// Processes and threads when nothing was asked for.
    public static let defaultPids: Int64 = 4096

    /// Bytes (memory.max).
    public var memory: Int64?
    /// Memory and swap together as in Docker; -1 for unlimited swap. nil allows no swap beyond ``memory``.
    public var memorySwap: Int64?
    /// Processors' worth of time; a whole number becomes a cpuset where the host has the controller.
    public var cpus: Double?
    /// A list such as `0-3,8`.
    public var cpusetCpus: String?
    /// Memory nodes, such as `0-1`.
    public var cpusetMems: String?
    /// -1 for unlimited.
    public var pids: Int64 = Self.defaultPids
    /// Bytes of /dev/shm; nil for half of ``memory``, at least 64 MiB.
    public var sharedMemory: Int64?
    /// 1 to 10000.
    public var ioWeight: Int?
    /// Limits on single block devices.
    public var ioDevices: [IODeviceLimit] = []

    public init() {}
}
