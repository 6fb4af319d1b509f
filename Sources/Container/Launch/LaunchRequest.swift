internal import CLinux
public import LinuxSystem
public import OCISpec

/// Everything a launch needs beside the plan: open files and choices that are no policy.
public struct LaunchRequest: Sendable {
    /// The root file system of the new container.
    public enum Root: Sendable {
        /// A directory of the host, taken with all that is mounted below it.
        case path(String)
        /// A detached mount (fsmount(2), or open_tree(2) with OPEN_TREE_CLONE); the container attaches it, so the
        /// descriptor serves one launch.
        case mount(SharedDescriptor)
    }

    /// What the first process has as standard input, output and error.
    public enum Streams: Sendable {
        /// Those of the calling process.
        case inherited
        /// Open files; nil is the container's `/dev/null`.
        case files(input: SharedDescriptor?, output: SharedDescriptor?, error: SharedDescriptor?)
        /// A terminal of the container's own; its controlling side is ``ContainerProcess/console``.
        case console(RuntimeSpec.ConsoleSize?)
    }

    /// What the container waits for before its program is executed.
    public enum Gate: Sendable {
        /// Nothing: ``Launcher/launch(_:)`` returns when the program runs.
        case none
        /// What was made at this path by ``StartGate/make(_:)``, to be opened by ``StartGate/open(_:for:program:)``;
        /// ``Launcher/launch(_:)`` returns when everything but the execution is done.
        case fifo(String)
    }

    /// What is done in the new process.
    public var plan: LaunchPlan
    /// Nil stays in the mount namespace's own root, for plans that make no mount namespace.
    public var root: Root?
    /// What the program gets as standard input, output and error.
    public var streams: Streams
    /// A cgroup2 directory the process starts in (CLONE_INTO_CGROUP).
    public var cgroup: SharedDescriptor?
    /// Files the program gets as descriptors 3, 4, …
    public var extraDescriptors: [SharedDescriptor]
    /// Which of those are sockets that the program is told of.
    public var listening: ListeningSockets?
    /// What it waits for.
    public var gate: Gate
    /// A directory for compiled seccomp programs; nil compiles anew.
    public var seccompCache: String?
    /// The plan's policy as ``SeccompFilter/compile(_:cache:)`` made it, if that was done already.
    public var seccompProgram: [UInt8]?
    /// What the container's mount namespace begins as a copy of, where the plan allows it and the host has many mounts; nil is
    /// the caller's. Whatever ``whenCreated`` runs must not look for the container's mounts then.
    public var preparedMounts: PreparedMounts?
    /// What the plan's hooks read on standard input; the launcher fills in the pid.
    public var hookState: ContainerState?
    /// Runs in the caller once the namespaces exist and the container waits, before anything is mounted; the argument
    /// is the process as the host sees it. What it throws ends the launch.
    public var whenCreated: (@Sendable (ContainerProcess) throws(LaunchError) -> Void)?

    /// A request whose defaults leave the program the caller's own streams and nothing else.
    public init(
        plan: LaunchPlan, root: Root?, streams: Streams = .inherited, cgroup: SharedDescriptor? = nil,
        extraDescriptors: [SharedDescriptor] = [], gate: Gate = .none, seccompCache: String? = nil,
        hookState: ContainerState? = nil,
        whenCreated: (@Sendable (ContainerProcess) throws(LaunchError) -> Void)? = nil
    ) {
        self.plan = plan
        self.root = root
        self.streams = streams
        self.cgroup = cgroup
        self.extraDescriptors = extraDescriptors
        self.gate = gate
        self.seccompCache = seccompCache
        self.hookState = hookState
        self.whenCreated = whenCreated
    }
}
