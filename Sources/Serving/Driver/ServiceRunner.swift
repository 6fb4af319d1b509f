internal import CLinux
internal import Container
internal import Glibc
internal import ImageStore
internal import LinuxSystem
internal import OCISpec

/// What all services share.
final class SupervisorContext {
    let directories: MLRunDirectories
    let loop: EventLoop
    let host: HostSnapshot
    let gateway: GatewaySupervisor
    let events: EventLog
    let repose: Repose
    var slots: SlotPool

    init(
        _ directories: MLRunDirectories, _ loop: EventLoop, _ host: HostSnapshot, _ gateway: GatewaySupervisor,
        _ events: EventLog, _ slots: SlotPool
    ) {
        self.directories = directories
        self.loop = loop
        self.host = host
        self.gateway = gateway
        self.events = events
        self.slots = slots
        repose = Repose(loop)
    }
}

/// One service at work: feeds the pure machine with what happens and does what it answers.
final class ServiceRunner {
    let context: SupervisorContext
    let files: ServiceFiles
    var settings: ServiceSettings
    var image: ImageRecord
    var state: ServiceState
    let log: ServiceLog
    var replicas: [ReplicaID: ReplicaRuntime] = [:]
    /// The steps of the start that were done before the supervisor was asked.
    var callerPhases: [ControlRequest.StartStep]
    private var queue: [ServiceEvent] = []
    private var isStepping = false
    private var observers: [Int: (Observation) -> Void] = [:]
    private var lastObserver = 0
    /// Processors that other services have for themselves.
    var takenProcessors: () -> Set<Int> = { [] }

    enum Observation {
        case notice(ServiceNotice)
        /// All actions of an event are done.
        case settled
    }

    var loop: EventLoop { context.loop }
    var name: String { files.name }

    init(
        _ context: SupervisorContext, _ settings: ServiceSettings, _ image: ImageRecord, _ state: ServiceState,
        phases: [ControlRequest.StartStep]
    ) throws(SystemError) {
        self.context = context
        self.settings = settings
        self.image = image
        self.state = state
        callerPhases = phases
        files = ServiceFiles(context.directories, name: settings.name)
        try File.makeDirectories(files.directory, mode: 0o700)
        log = try ServiceLog(files.log)
    }

    static var now: MonotonicTime { MonotonicTime(nanoseconds: Int64(mlr_monotonic_nanoseconds())) }

    // MARK: Events in, actions out

    func handle(_ event: ServiceEvent) {
        queue.append(event)
        if isStepping { return }
        isStepping = true
        while !queue.isEmpty {
            let event = queue.removeFirst()
            let (next, actions) = ServiceMachine.step(state, event, at: Self.now, random: .random(in: 0...1))
            state = next
            for action in actions { perform(action) }
        }
        isStepping = false
        observe(.settled)
    }

    func report(_ id: ReplicaID, _ attempt: Int, _ event: ReplicaEvent) {
        handle(.replica(id, attempt: attempt, event))
    }

    func resume(afterBoot: Bool) {
        let (next, actions) = ServiceMachine.resume(
            state, at: Self.now, random: .random(in: 0...1), afterBoot: afterBoot)
        state = next
        for action in actions { perform(action) }
        observe(.settled)
    }

    private func perform(_ action: ServiceAction) {
        switch action {
        case .persist: persist()
        case .emit(let notice): emit(notice)
        case .route(let id, let route):
            context.gateway.route(id, name, route, agent: replicas[id]?.agentClient)
        case .launch(let id, let attempt): launch(id, attempt)
        case .probe(let id, let attempt, let request): schedule(id, attempt, request)
        case .cancelProbes(let id): replicas[id]?.cancelProbes(loop)
        case .arm(let id, let attempt, let timer, let time): arm(id, attempt, timer, time)
        case .disarm(let id, let timer): replicas[id]?.disarm(timer, loop)
        case .signal(let id, let number):
            if let process = replicas[id]?.process { _ = mlr_pidfd_send_signal(process.pidfd, number) }
        case .killCgroup(let id, let attempt): killCgroup(id, attempt)
        case .cleanUp(let id, let attempt): cleanUp(id, attempt)
        case .recordPhase(let id, let attempt, let phase, let duration):
            recordPhase(id, attempt, phase, duration)
        case .forget(let id): forget(id)
        }
    }

    private func emit(_ notice: ServiceNotice) {
        let notice = reported(notice)
        context.events.record(
            service: name, replica: notice.replica, kind: notice.kind.rawValue, text: notice.text)
        observe(.notice(notice))
    }

    func emitWarning(_ replica: ReplicaID?, _ text: String) { emit(ServiceNotice(.warning, replica, text)) }

    /// On disk before anything else is done, so that a successor finds what was decided.
    func persist() {
        // Whatever changes the state is more than a probe.
        context.repose.disturb()
        let record: JSON = [
            "settings": settings.json, "state": state.json, "boot": .string(context.host.boot),
            "phases": .array(callerPhases.map(\.json)),
        ]
        do throws(SystemError) { try File.replace(files.record, with: record.bytes(pretty: true), durable: true) } catch
        {
            Diagnostics.note("the state of \(name) could not be written: \(error)")
        }
    }

    func observe(_ observer: @escaping (Observation) -> Void) -> Int {
        lastObserver += 1
        observers[lastObserver] = observer
        return lastObserver
    }

    func stopObserving(_ ticket: Int) { observers[ticket] = nil }

    private func observe(_ observation: Observation) {
        for observer in observers.values { observer(observation) }
    }

    private func arm(_ id: ReplicaID, _ attempt: Int, _ timer: ReplicaTimer, _ time: MonotonicTime) {
        guard let replica = runtime(id) else { return }
        replica.disarm(timer, loop)
        replica.timers[timer] = loop.at(UInt64(max(1, time.nanoseconds))) { [weak self] in
            self?.replicas[id]?.timers[timer] = nil
            self?.report(id, attempt, .timer(timer))
        }
    }

    private func recordPhase(_ id: ReplicaID, _ attempt: Int, _ phase: StartPhase, _ duration: Duration) {
        guard let replica = replicas[id], replica.record.attempt == attempt else { return }
        replica.record.phases.append(ControlRequest.StartStep(phase, seconds: duration.fractionalSeconds))
        do throws(SystemError) { try replica.record.write(replica.files) } catch { Diagnostics.note("\(error)") }
    }

    // MARK: Replicas

    /// The runtime of a replica; made with a range of ids of its own the first time.
    func runtime(_ id: ReplicaID) -> ReplicaRuntime? {
        if let known = replicas[id] { return known }
        guard let replica = state.replica(id) else { return nil }
        let slot: Int
        do throws(ControlError) { slot = try context.slots.take() } catch {
            loop.soon { [weak self] in self?.report(id, replica.attempt, .launchFailed(error.description)) }
            return nil
        }
        let record = ReplicaRecord(
            service: name, id: id, attempt: 0, slot: slot,
            cgroup: context.host.hierarchy.mountPoint + context.host.cgroupPath(id), boot: context.host.boot,
            image: image.config.description)
        let runtime = ReplicaRuntime(files.replica(id), record)
        replicas[id] = runtime
        return runtime
    }

    /// Ends everything in the replica's cgroup, then reports that it is empty.
    private func killCgroup(_ id: ReplicaID, _ attempt: Int) {
        guard let replica = runtime(id) else { return }
        let cgroup = replica.cgroup
        let process = replica.process
        loop.work { () -> Bool in
            if cgroup.exists {
                do throws(CgroupError) { try cgroup.kill() } catch { Diagnostics.note("\(error)") }
            }
            if let process { _ = try? process.signal(.kill) }
            guard cgroup.exists else { return true }
            let deadline = mlr_monotonic_nanoseconds() + 30_000_000_000
            return ((try? cgroup.waitUntilEmpty(deadline: deadline)) ?? false)
        } then: { [weak self] isEmpty in
            guard let self else { return }
            if isEmpty {
                report(id, attempt, .cgroupEmpty)
            } else {
                emitWarning(id, "\(id) has processes that do not end, 30 s after they were killed")
                loop.after(5_000_000_000) { [weak self] in self?.killCgroup(id, attempt) }
            }
        }
    }

    /// Takes down what is left of an attempt.
    private func cleanUp(_ id: ReplicaID, _ attempt: Int) {
        guard let replica = runtime(id) else { return }
        if let pump = replica.pump {
            do throws(SystemError) { try pump.finish() } catch {
                loop.soon { [weak self] in self?.report(id, attempt, .cleanUpFailed(error.description)) }
                return
            }
        }
        replica.pump = nil
        replica.release(loop)
        let cgroup = replica.cgroup
        let files = replica.files
        loop.work { () -> String? in
            do throws(CgroupError) { if cgroup.exists { try cgroup.remove() } } catch { return error.description }
            do throws(ControlError) { try ReplicaNetwork.release(files) } catch { return error.description }
            do throws(SystemError) { try File.removeTree(files.runtimeDirectory) } catch { return error.description }
            return nil
        } then: { [weak self] failure in
            self?.report(id, attempt, failure.map { .cleanUpFailed($0) } ?? .cleanedUp)
        }
    }

    private func forget(_ id: ReplicaID) {
        guard let replica = replicas.removeValue(forKey: id) else { return }
        replica.release(loop)
        context.slots.free(replica.record.slot)
        let directory = replica.files.directory
        let removed = RemovedFiles(context.directories)
        loop.work {
            do throws(SystemError) { try removed.remove(directory) } catch { Diagnostics.note("\(error)") }
        } then: { _ in
        }
    }
}
