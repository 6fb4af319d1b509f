internal import CLinux
internal import Container
internal import Glibc
internal import ImageStore
internal import LinuxSystem
internal import OCISpec

/// Makes a replica: mounts, cgroup, namespaces, process, socket agent. Runs on a worker thread and touches nothing of
/// the loop.
struct ReplicaLauncher: Sendable {
    let assembly: ContainerAssembly
    /// What becomes stdout and stderr.
    let output: SharedDescriptor
    let errors: SharedDescriptor

    private var settings: ServiceSettings { assembly.settings }
    private var files: ReplicaFiles { assembly.files }

    /// A replica whose program runs.
    struct Launched: Sendable {
        let record: ReplicaRecord
        let process: ContainerProcess
        let agent: SocketAgent
        let network: SharedDescriptor?
    }

    /// - Parameter record: with attempt, slot and cgroup filled in; it is on disk already.
    func launch(_ record: ReplicaRecord) throws(ControlError) -> Launched {
        var clock = PhaseClock()
        var record = record
        // What an attempt that was cut off in the middle has left.
        do throws(SystemError) { try File.removeIfPresent(files.exit) } catch { throw ControlError(error) }
        try ReplicaNetwork.release(files)
        let prepared = try assembly.prepare(record.id, slot: record.slot) { clock.lap(.mount) }
        let user = prepared.build.spec.process?.user
        try giveOutput(to: user, slot: record.slot)
        record.warnings = prepared.warnings
        record.user = user
        record.processors = prepared.build.processors
        let noted = record
        let files = self.files
        var request = prepared.request
        request.streams = .files(input: nil, output: output, error: errors)
        let attached = prepared.network
        request.whenCreated = { process throws(LaunchError) in
            var record = noted
            record.process = ProcessIdentity(pid: process.pid, startTime: process.startTime)
            do throws(SystemError) { try record.write(files) } catch { throw .system(error) }
            try attached?.attach(process)
        }
        clock.lap(.isolate)
        let process: ContainerProcess
        do throws(LaunchError) { process = try Launcher.launch(request) } catch {
            prepared.discardCgroup()
            throw attached?.failure ?? ContainerAssembly.failure(error)
        }
        clock.lap(.exec)
        if let attached {
            clock.takeOut(.network, seconds: attached.seconds)
            record.network = attached.summary
        }
        record.process = ProcessIdentity(pid: process.pid, startTime: process.startTime)
        record.startedAt = Int64(mlr_realtime_nanoseconds())
        record.phases = clock.steps
        do throws(SystemError) {
            let network = try Self.networkNamespace(process, settings)
            let agent = try startAgent(process, network)
            record.agent = agent.identity
            try record.write(files)
            return Launched(record: record, process: process, agent: agent, network: network)
        } catch {
            _ = try? process.kill()
            throw ControlError(error)
        }
    }

    /// The container opens /dev/stdout again by its own rights.
    private func giveOutput(to user: RuntimeSpec.User?, slot: Int) throws(ControlError) {
        let uid = user?.uid ?? 0
        let gid = user?.gid ?? 0
        let base = settings.usesHostUserNamespace ? 0 : HostSnapshot.userRange(slot).hostID
        for stream in [output, errors] where fchown(stream.rawValue, base + uid, base + gid) < 0 {
            throw ControlError(SystemError("change the owner of the output", Errno(rawValue: errno)))
        }
    }

    /// nil where the replica shares the host's network.
    static func networkNamespace(
        _ process: ContainerProcess, _ settings: ServiceSettings
    ) throws(SystemError) -> SharedDescriptor? {
        if settings.network == .host { return nil }
        return SharedDescriptor(try File.open("/proc/\(process.pid)/ns/net", O_RDONLY))
    }

    private func startAgent(
        _ process: ContainerProcess, _ network: SharedDescriptor?
    ) throws(SystemError) -> SocketAgent {
        try Self.startAgent(process, network, settings, files)
    }

    static func startAgent(
        _ process: ContainerProcess, _ network: SharedDescriptor?, _ settings: ServiceSettings, _ files: ReplicaFiles
    ) throws(SystemError) -> SocketAgent {
        var place = SocketAgent.Place(networkNamespace: network, process: process.pidfd, exitFile: files.exit)
        if network != nil, !settings.usesHostUserNamespace {
            place.userNamespace = SharedDescriptor(try File.open("/proc/\(process.pid)/ns/user", O_RDONLY))
        }
        return try SocketAgent.start(place)
    }
}

/// Measures the steps of a launch one after the other.
struct PhaseClock {
    private var last = mlr_monotonic_nanoseconds()
    private(set) var steps: [ControlRequest.StartStep] = []

    mutating func lap(_ phase: StartPhase) {
        let now = mlr_monotonic_nanoseconds()
        steps.append(ControlRequest.StartStep(phase, seconds: Double(now - last) / 1e9))
        last = now
    }

    /// Tells a part of the last step as a step of its own, before it.
    mutating func takeOut(_ phase: StartPhase, seconds: Double) {
        guard var whole = steps.popLast() else { return }
        whole.seconds -= seconds
        steps += [ControlRequest.StartStep(phase, seconds: seconds), whole]
    }
}

extension ReplicaRecord {
    func write(_ files: ReplicaFiles) throws(SystemError) {
        try File.makeDirectories(files.directory, mode: 0o700)
        // Only this process's death matters: after a power cut no replica is left that the record could lead to.
        try File.replace(files.record, with: json.bytes(pretty: true), durable: false)
    }

    /// nil when there is none or it is not understood.
    static func read(_ files: ReplicaFiles) -> ReplicaRecord? {
        guard let bytes = try? File.read(files.record), let json = try? JSON(parsing: bytes) else { return nil }
        return try? ReplicaRecord(JSONCursor(json))
    }
}
