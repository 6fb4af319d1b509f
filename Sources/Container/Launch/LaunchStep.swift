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
    /// Mount the root file system of the request over the host's, or `inPlace`, where it is, in the host's mount namespace.
    case attachRoot(inPlace: Bool)
    /// Take the root of a joined mount namespace as it is.
    case ownRoot
    /// Take the root of a process of the same mount namespace.
    case rootOf(process: Int32)
    case mount(FileSystemMount)
    case remount(Remount)
    /// Make the file system that was mounted at this path read-only, now that nothing is to be made in it any more.
    case mountReadOnly(String)
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
    /// Run programs one after the other in a directory, each with the container's state on its standard input.
    case hooks(stage: String, directory: String, [RuntimeSpec.Hook])
    /// pivot_root(2), after which the host's file system is gone; or chroot(2), where the host's root is the kernel's first
    /// one, which cannot be pivoted.
    case enterRoot(pivots: Bool)
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
    /// `tolerant` where the kernel may forbid to set groups.
    case user(RuntimeSpec.User, tolerant: Bool)
    case capabilities(CapabilityMasks)
    case noNewPrivileges
    /// Be killed when the thread that launched the container ends (PR_SET_PDEATHSIG of prctl(2)).
    case endWithLauncher
    /// Load the plan's policy, with the flags of seccomp(2). `raises` puts CAP_SYS_ADMIN into effect for it; `last` is
    /// directly before the program is executed, so that the policy has to allow nothing of what the player does.
    case seccomp(flags: UInt64, raises: Bool, last: Bool)
    /// Choose the first of these that can be executed; the first argument names it for errors.
    case findProgram(name: String, candidates: [String])
    /// Wait at the request's gate.
    case gate
    case execute(arguments: [String], environment: [String])
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
