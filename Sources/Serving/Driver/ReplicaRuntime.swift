internal import CLinux
internal import Container
internal import Glibc
internal import LinuxSystem
internal import OCISpec

/// What the supervisor holds of a replica while it lives: descriptors, watches and timers. Everything that must survive
/// the supervisor is in ``record``.
final class ReplicaRuntime {
    let files: ReplicaFiles
    var record: ReplicaRecord
    var process: ContainerProcess?
    var processWatch: EventLoop.Watch?
    /// nil where the replica shares the host's network.
    var network: SharedDescriptor?
    /// The agent, if this supervisor started it.
    var agent: SocketAgent?
    /// The client end of the agent, whoever started it.
    var agentClient: SharedDescriptor?
    var pump: LogPump?
    var timers: [ReplicaTimer: EventLoop.Timer] = [:]
    var probeTimers: [ProbeKind: EventLoop.Timer] = [:]
    var probes: [ProbeKind: NetworkProbe] = [:]
    /// Rises whenever the probes are cancelled: answers of workers that come later are not wanted.
    var probeGeneration = 0
    /// What the launcher said when the last launch failed.
    var launchError: ControlError?

    init(_ files: ReplicaFiles, _ record: ReplicaRecord) {
        self.files = files
        self.record = record
    }

    var cgroup: Cgroup { Cgroup(path: record.cgroup) }

    func cancelProbes(_ loop: EventLoop) {
        probeGeneration += 1
        for timer in probeTimers.values { loop.cancel(timer) }
        for probe in probes.values { probe.cancel() }
        probeTimers = [:]
        probes = [:]
    }

    func disarm(_ timer: ReplicaTimer, _ loop: EventLoop) {
        if let armed = timers.removeValue(forKey: timer) { loop.cancel(armed) }
    }

    /// Lets go of everything of the attempt that has ended.
    func release(_ loop: EventLoop) {
        cancelProbes(loop)
        for timer in timers.values { loop.cancel(timer) }
        timers = [:]
        if let processWatch { loop.cancel(processWatch) }
        processWatch = nil
        process = nil
        network = nil
        agentClient = nil
        if let agent { agent.end() } else if let old = record.agent { SocketAgent.end(old) }
        agent = nil
    }

    /// How the first process ended: as its parent knows it, as the kernel tells others, or as the agent noted it.
    ///
    /// The last needs the process to have been reaped by its parent, which takes a moment after its end: nil asks the
    /// caller to come again.
    func exitStatus(isLastTry: Bool) -> ReplicaExit? {
        if let process, let status = try? process.poll() {
            switch status {
            case .exited(let code): return .code(code)
            case .killed(let signal, _): return .signal(signal.number)
            case .unknown: break
            }
        }
        if let identity = record.process, let status = ProcessTable.zombieStatus(of: identity) {
            return ReplicaExit(waitStatus: status)
        }
        if let noted = try? File.readText(files.exit),
            let status = noted.split(separator: " ").first.flatMap({ Int32($0) })
        {
            return ReplicaExit(waitStatus: status)
        }
        return isLastTry ? .unknown : nil
    }

    /// Whether the kernel killed for want of memory in this attempt's cgroup, which is a new one each time.
    var hadOutOfMemoryKill: Bool { ((try? cgroup.memoryEvents()) ?? nil).map { $0.oomKill > 0 } ?? false }
}

extension ReplicaExit {
    /// From the form that waitpid(2) gives.
    init(waitStatus: Int32) {
        self = waitStatus & 0x7F == 0 ? .code(waitStatus >> 8 & 0xFF) : .signal(waitStatus & 0x7F)
    }
}
