public import OCISpec

/// One thing done in the new process on its way to be the container's program.
public enum LaunchStep: Sendable, Equatable {
    /// Take ids 0 of the user namespace. `tolerant` where the kernel may forbid to set groups in it.
    case becomeRoot(tolerant: Bool)
    /// Enter a namespace that is there already.
    case join(RuntimeSpec.Namespace)
    /// Leave the cgroup namespace for one whose root is the container's cgroup.
    case unshareCgroup
    /// Make and enter a time namespace; offsets by clock name.
    case timeNamespace([String: RuntimeSpec.TimeOffset])
    /// Cut the mount namespace off from the host's mount events.
    case isolateMounts
    /// Mount the root file system of the request.
    case attachRoot
    /// Take the root of a joined mount namespace as it is.
    case ownRoot
    case mount(FileSystemMount)
    case bind(BindMount)
    case node(DeviceNode)
    case link(path: String, target: String)
    /// Hide what is at a path, if something is.
    case mask(String)
    case readOnly(String)
    /// Make a directory unless it is there.
    case directory(String)
    /// Open a terminal in the container and hand its controlling side out; `path` is where it is bound to, if anywhere.
    case console(path: String?, owner: UInt32)
    case hooks(stage: String, [RuntimeSpec.Hook])
    /// pivot_root(2), after which the host's file system is gone.
    case enterRoot
    case rootPropagation(Propagation)
    case rootReadOnly
    case hostName(String)
    case domainName(String)
    case sysctl(name: String, value: String)
    /// Write a file of /proc/self, such as a security label.
    case ownAttribute(name: String, value: String)
    case loopback
    case session
    case keyring(String)
    case resourceLimit(RuntimeSpec.ResourceLimit)
    case scheduler(RuntimeSpec.Scheduler)
    case ioPriority(RuntimeSpec.IOPriority)
    case personality(RuntimeSpec.Personality)
    case memoryPolicy(RuntimeSpec.MemoryPolicy)
    /// sched_setaffinity(2) with a list such as `0-3,8`.
    case affinity(String)
    case fileMask(UInt32)
    /// Put the request's files on descriptors 0, 1, 2, … and give them to the user.
    case streams(owner: UInt32)
    /// `early` is the attempt before the ids change.
    case workingDirectory(String, early: Bool)
    case boundingSet(UInt64)
    case user(RuntimeSpec.User)
    case capabilities(CapabilityMasks)
    case noNewPrivileges
    /// Be killed when the thread that launched the container ends (PR_SET_PDEATHSIG of prctl(2)).
    case endWithLauncher
    /// Load the plan's policy, with the flags of seccomp(2).
    case seccomp(UInt64)
    /// Choose the first of these that can be executed; the first argument names it for errors.
    case findProgram(name: String, candidates: [String])
    /// Wait at the request's gate.
    case gate
    case execute(arguments: [String], environment: [String])
}

/// A new mount of a file system.
public struct FileSystemMount: Sendable, Equatable {
    /// As the kernel names it, such as `tmpfs`.
    public var type: String
    /// What is mounted; nil where the type needs none.
    public var source: String?
    /// Absolute, in the container.
    public var target: String
    /// Name and value (nil for a flag), as fsconfig(2) takes them.
    public var options: [Option]
    /// Flags of the mount.
    public var attributes: MountAttributes
    /// nil leaves it private.
    public var propagation: Propagation?
    /// The target must be a real directory without symbolic links on the way, as for /proc and /sys.
    public var isStrict: Bool

    /// An option of the file system.
    public struct Option: Sendable, Equatable {
        /// Such as `size`.
        public var name: String
        /// nil for a flag.
        public var value: String?

        public init(_ name: String, _ value: String? = nil) {
            self.name = name
            self.value = value
        }
    }

    public init(
        type: String, source: String? = nil, target: String, options: [Option] = [],
        attributes: MountAttributes = MountAttributes(), propagation: Propagation? = nil, isStrict: Bool = false
    ) {
        self.type = type
        self.source = source
        self.target = target
        self.options = options
        self.attributes = attributes
        self.propagation = propagation
        self.isStrict = isStrict
    }
}

/// A file or directory of the host, seen in the container.
public struct BindMount: Sendable, Equatable {
    /// Of the host, absolute.
    public var source: String
    /// Absolute, in the container.
    public var target: String
    /// With what is mounted below the source.
    public var isRecursive: Bool
    /// Flags of the mount.
    public var attributes: MountAttributes
    /// For the mounts below too.
    public var recursiveAttributes: MountAttributes
    /// nil leaves it private.
    public var propagation: Propagation?
    /// nil shows the owners as they are.
    public var idMapping: IDMapping?

    /// How the owners of the source's files appear.
    public struct IDMapping: Sendable, Equatable {
        /// Of users.
        public var uid: [RuntimeSpec.IDMap]
        /// Of groups.
        public var gid: [RuntimeSpec.IDMap]
        /// For the mounts below too.
        public var isRecursive: Bool

        public init(uid: [RuntimeSpec.IDMap], gid: [RuntimeSpec.IDMap], isRecursive: Bool = false) {
            self.uid = uid
            self.gid = gid
            self.isRecursive = isRecursive
        }
    }

    public init(
        source: String, target: String, isRecursive: Bool = true, attributes: MountAttributes = MountAttributes(),
        recursiveAttributes: MountAttributes = MountAttributes(), propagation: Propagation? = nil,
        idMapping: IDMapping? = nil
    ) {
        self.source = source
        self.target = target
        self.isRecursive = isRecursive
        self.attributes = attributes
        self.recursiveAttributes = recursiveAttributes
        self.propagation = propagation
        self.idMapping = idMapping
    }
}

/// A device node or FIFO to make.
public struct DeviceNode: Sendable, Equatable {
    /// Absolute, in the container.
    public var path: String
    /// `c`, `b` or `p`.
    public var type: String
    /// The driver's number.
    public var major: UInt32
    /// The device's number within its driver.
    public var minor: UInt32
    /// Permission bits.
    public var mode: UInt32
    /// Its owner in the container.
    public var uid: UInt32
    /// Its group in the container.
    public var gid: UInt32

    public init(
        path: String, type: String = "c", major: UInt32, minor: UInt32, mode: UInt32 = 0o666, uid: UInt32 = 0,
        gid: UInt32 = 0
    ) {
        self.path = path
        self.type = type
        self.major = major
        self.minor = minor
        self.mode = mode
        self.uid = uid
        self.gid = gid
    }
}

/// Capability sets as the bits of capget(2).
public struct CapabilityMasks: Sendable, Equatable {
    /// What counts for permission checks.
    public var effective: UInt64
    /// What may become effective.
    public var permitted: UInt64
    /// What a program with file capabilities may keep.
    public var inheritable: UInt64
    /// What any program keeps.
    public var ambient: UInt64

    public init(effective: UInt64, permitted: UInt64, inheritable: UInt64, ambient: UInt64) {
        self.effective = effective
        self.permitted = permitted
        self.inheritable = inheritable
        self.ambient = ambient
    }
}
