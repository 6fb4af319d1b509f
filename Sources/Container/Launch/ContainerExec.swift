internal import CLinux
public import LinuxSystem
public import OCISpec

/// A further process in a running container.
public struct ExecRequest: Sendable {
    /// The container's first process, whose namespaces are joined.
    public var container: ContainerProcess
    /// The container's configuration, of which its namespaces, its system call filter, its personality and its memory policy
    /// are the further process's too.
    public var linux: RuntimeSpec.Linux
    /// What this host can do; ``HostFacts/discover()`` tells.
    public var host: HostFacts
    /// What to run; user, capabilities and the rest are as in a container's own `process`.
    public var process: RuntimeSpec.Process
    /// The container's cgroup2 directory, or one below it.
    public var cgroup: SharedDescriptor?
    /// What the program gets as standard input, output and error.
    public var streams: LaunchRequest.Streams
    /// Files the program gets as descriptors 3, 4, …
    public var extraDescriptors: [SharedDescriptor]
    /// Which of those are sockets that the program is told of.
    public var listening: ListeningSockets?
    /// A directory for compiled seccomp programs; nil compiles anew.
    public var seccompCache: String?
    /// The filter as ``SeccompFilter/compile(_:cache:)`` made it, if that was done already: then no rules are needed in
    /// ``linux``.
    public var seccompProgram: [UInt8]?
    /// Runs in the caller once the process waits in the container; what it throws ends the launch.
    public var whenCreated: (@Sendable (ContainerProcess) throws(LaunchError) -> Void)?
    /// A session keyring of this name instead of the caller's, whose keys the process would possess; nil keeps those.
    public var keyring: String?
    /// What a seccomp agent is told of the container.
    public var state: ContainerState?

    public init(
        container: ContainerProcess, linux: RuntimeSpec.Linux?, host: HostFacts, process: RuntimeSpec.Process,
        cgroup: SharedDescriptor? = nil, streams: LaunchRequest.Streams = .inherited,
        extraDescriptors: [SharedDescriptor] = [], seccompCache: String? = nil, keyring: String? = nil
    ) {
        self.keyring = keyring
        self.container = container
        self.linux = linux ?? .init()
        self.host = host
        self.process = process
        self.cgroup = cgroup
        self.streams = streams
        self.extraDescriptors = extraDescriptors
        self.seccompCache = seccompCache
    }
}

/// Starts further processes in running containers.
public enum ContainerExec {
    /// Joins the namespaces of the container's first process and its cgroup, then becomes the program. Returns when the
    /// program runs.
    public static func run(_ request: ExecRequest) throws(LaunchError) -> ContainerProcess {
        let kinds: [RuntimeSpec.Namespace.Kind]
        do throws(SystemError) { kinds = try foreignNamespaces(of: request) } catch {
            throw .system(error)
        }
        let plan: LaunchPlan
        do throws(PlanError) {
            plan = try LaunchPlanner.plan(
                exec: request.process, linux: request.linux, container: request.container.pid, host: request.host,
                joining: kinds, keyring: request.keyring)
        } catch { throw .setting(path: error.problems.first?.path ?? "", error.problems.first?.message ?? "") }
        var launch = LaunchRequest(
            plan: plan, root: nil, streams: request.streams, cgroup: request.cgroup,
            extraDescriptors: request.extraDescriptors, seccompCache: request.seccompCache,
            whenCreated: request.whenCreated)
        launch.hookState = request.state
        launch.listening = request.listening
        launch.seccompProgram = request.seccompProgram
        let program = try PlayerProgram(launch)
        let flags = kinds.filter { $0 != .cgroup }.reduce(0) { $0 | $1.cloneFlag }
        if flags != 0 { program.join(request.container, kinds: flags) }
        return try Launcher.play(program, launch)
    }

    /// Those of the container's configuration that this process is not in; setns(2) refuses to join a user namespace one is
    /// in. Others are not the container's but its first process's, which may have made them to be left alone in there, or to
    /// have power over whoever comes.
    private static func foreignNamespaces(
        of request: ExecRequest
    ) throws(SystemError) -> [RuntimeSpec.Namespace.Kind] {
        var kinds: [RuntimeSpec.Namespace.Kind] = []
        for kind in RuntimeSpec.Namespace.Kind.allCases {
            guard let configured = request.linux.namespaces.first(where: { $0.kind == kind }) else { continue }
            // One that was made for the container is not looked up.
            if kind != .user, configured.path == nil {
                kinds.append(kind)
                continue
            }
            // A kernel without this kind of namespace has no link for it.
            let own: String
            do throws(SystemError) { own = try File.readLink("/proc/thread-self/ns/\(kind.link)") } catch {
                if error.errno == .noSuchFile { continue }
                throw error
            }
            if try File.readLink("/proc/\(request.container.pid)/ns/\(kind.link)") != own { kinds.append(kind) }
        }
        return kinds
    }
}
