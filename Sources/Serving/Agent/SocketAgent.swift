internal import CLaunch
internal import CLinux
internal import Glibc
internal import LinuxSystem

/// The tiny process beside a replica that makes sockets inside its network namespace and writes down how it ended. See
/// agent.h; this is the supervisor's side.
final class SocketAgent: Sendable {
    let identity: ProcessIdentity
    /// The end of the pair that clients use: hand duplicates of it to the gateway.
    let client: SharedDescriptor
    private let pidfd: SharedDescriptor

    private init(_ identity: ProcessIdentity, _ client: SharedDescriptor, _ pidfd: SharedDescriptor) {
        self.identity = identity
        self.client = client
        self.pidfd = pidfd
    }

    /// Where an agent lives and what it watches.
    struct Place {
        /// nil stays in the supervisor's own.
        var userNamespace: SharedDescriptor?
        var networkNamespace: SharedDescriptor?
        /// A pidfd of the replica's first process.
        var process: Int32
        /// Where the end of that process is written down.
        var exitFile: String
    }

    /// nobody, in the user namespace that the agent joins.
    private static let nobody: UInt32 = 65534

    static func start(_ place: Place) throws(SystemError) -> SocketAgent {
        let pair = try DescriptorPair.sockets(type: Int32(SOCK_SEQPACKET.rawValue))
        let exitFile = try File.open(place.exitFile, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
        let client = SharedDescriptor(try pair.first.duplicate())
        let title = Title.area
        var agent = mlr_agent()
        agent.socket_ = pair.second.rawValue
        agent.user_namespace = place.userNamespace?.rawValue ?? -1
        agent.network_namespace = place.networkNamespace?.rawValue ?? -1
        agent.process = place.process
        agent.exit_file = exitFile.rawValue
        agent.uid = nobody
        agent.gid = nobody
        agent.title = title.start
        agent.title_room = title.length
        var pidfd: Int32 = -1
        var step: Int32 = 0
        let pid = mlr_agent_start(&agent, client.rawValue, &pidfd, &step)
        if pid < 0 { throw SystemError("start the socket agent: \(words(step))", Errno(rawValue: -pid)) }
        let owned = SharedDescriptor(taking: pidfd)
        return SocketAgent(ProcessIdentity(pid: pid, startTime: ProcessTable.startTime(of: pid) ?? 0), client, owned)
    }

    /// Ends the agent and reaps it; for a replica whose end is known.
    func end() {
        _ = mlr_pidfd_send_signal(pidfd.rawValue, SIGKILL)
        var code: Int32 = 0
        var value: Int32 = 0
        _ = mlr_wait_pidfd(pidfd.rawValue, 0, &code, &value)
    }

    /// Ends the agent that a former supervisor started.
    static func end(_ identity: ProcessIdentity) {
        let opened = mlr_pidfd_open(identity.pid)
        guard opened >= 0 else { return }
        let pidfd = OwnedDescriptor(taking: opened)
        // Looked at after the process is held: its number cannot mean another one any more.
        guard ProcessTable.startTime(of: identity.pid) == identity.startTime else { return }
        _ = mlr_pidfd_send_signal(pidfd.rawValue, SIGKILL)
    }

    private static func words(_ step: Int32) -> String {
        switch mlr_agent_step(rawValue: UInt32(step)) {
        case MLR_AGENT_CLONE: "clone"
        case MLR_AGENT_JOIN_USER_NAMESPACE: "join the user namespace"
        case MLR_AGENT_JOIN_NETWORK_NAMESPACE: "join the network namespace"
        case MLR_AGENT_CLOSE_DESCRIPTORS: "close descriptors"
        case MLR_AGENT_DROP_PRIVILEGES: "drop privileges"
        case MLR_AGENT_CONFINE: "confine it with seccomp"
        default: "it died"
        }
    }

    /// The memory behind argv, which ps(1) shows as the command line.
    private enum Title {
        static var area: (start: UnsafeMutablePointer<CChar>?, length: Int) {
            guard let first = CommandLine.unsafeArgv[0] else { return (nil, 0) }
            let last = CommandLine.unsafeArgv[Int(CommandLine.argc) - 1] ?? first
            return (first, last - first + strlen(last) + 1)
        }
    }
}
