/// One step of the machine in the making: what every rule reads and writes.
struct Turn {
    var state: ServiceState
    let now: MonotonicTime
    let random: Double
    var actions: [ServiceAction] = []

    init(_ state: ServiceState, _ now: MonotonicTime, _ random: Double) {
        self.state = state
        self.now = now
        self.random = random
    }

    var rules: ServiceRules { state.rules }

    mutating func handle(_ event: ServiceEvent) {
        switch event {
        case .startRequested(let failFast): start(failFast: failFast)
        case .stopRequested(let force): stop(force: force)
        case .restartRequested: restart()
        case .signalRequested(let number): signal(number)
        case .rulesChanged(let rules): change(to: rules)
        case .replica(let id, let attempt, let event):
            guard let index = state.replicas.firstIndex(where: { $0.id == id }),
                state.replicas[index].attempt == attempt
            else { return }
            handle(event, at: index)
        }
    }

    private mutating func handle(_ event: ReplicaEvent, at index: Int) {
        switch event {
        case .launched(let process): launched(index, process)
        case .launchFailed(let text): launchFailed(index, text)
        case .probed(let kind, let answer, let activity): probed(index, kind, answer, activity)
        case .exited(let status, let outOfMemory): exited(index, status, outOfMemory: outOfMemory)
        case .cgroupEmpty: cgroupEmpty(index)
        case .cleanedUp: cleanedUp(index)
        case .cleanUpFailed(let text): cleanUpFailed(index, text)
        case .timer(let timer): fired(index, timer)
        case .drained: drained(index)
        case .upstreamFailed: upstreamFailed(index)
        case .upstreamSilent: upstreamSilent(index)
        }
    }

    private mutating func fired(_ index: Int, _ timer: ReplicaTimer) {
        // One that was disarmed or set to a later time may still be on its way. In the second case, and if a clock
        // rings early, it is asked for again: a timer that is lost would be a replica that hangs for ever.
        guard let deadline = state.replicas[index].timers[timer] else { return }
        if deadline > now {
            return actions.append(.arm(id(index), attempt: attempt(index), timer, at: deadline))
        }
        state.replicas[index].timers[timer] = nil
        switch timer {
        case .restart: launch(index, counting: true)
        case .startup: checkStartup(index)
        case .drain: drainTimedOut(index)
        case .stop: kill(index)
        case .cleanUp: actions.append(.killCgroup(id(index), attempt: attempt(index)))
        case .forget: forgetFailures(index)
        }
    }

    // MARK: Small words for the rules

    func id(_ index: Int) -> ReplicaID { state.replicas[index].id }
    func attempt(_ index: Int) -> Int { state.replicas[index].attempt }

    mutating func emit(_ kind: ServiceNotice.Kind, _ index: Int?, _ text: String) {
        actions.append(.emit(ServiceNotice(kind, index.map { id($0) }, text)))
    }

    mutating func arm(_ index: Int, _ timer: ReplicaTimer, after delay: Duration) {
        let deadline = now + delay
        state.replicas[index].timers[timer] = deadline
        actions.append(.arm(id(index), attempt: attempt(index), timer, at: deadline))
    }

    mutating func disarm(_ index: Int, _ timer: ReplicaTimer) {
        if state.replicas[index].timers.removeValue(forKey: timer) != nil {
            actions.append(.disarm(id(index), timer))
        }
    }

    mutating func disarmAll(_ index: Int) {
        for timer in ReplicaTimer.allCases { disarm(index, timer) }
    }

    mutating func cancelProbes(_ index: Int) {
        if state.replicas[index].observations.probing.isEmpty { return }
        state.replicas[index].observations.probing = []
        actions.append(.cancelProbes(id(index)))
    }

    mutating func ask(
        _ index: Int, _ kind: ProbeKind, _ check: ProbeCheck, timeout: Duration, after delay: Duration
    ) {
        state.replicas[index].observations.probing.insert(kind)
        let request = ProbeRequest(kind: kind, check: check, timeout: timeout, after: delay)
        actions.append(.probe(id(index), attempt: attempt(index), request))
    }

    // MARK: The result

    /// Routes follow from the phases, so no rule can forget one; and what is on disk is written before anything that
    /// relies on it.
    func finish(from old: ServiceState, resuming: Bool = false) -> (ServiceState, [ServiceAction]) {
        var result: [ServiceAction] = []
        if resuming || old.durable != state.durable { result.append(.persist) }
        for replica in state.replicas {
            let before = resuming ? .absent : old.replica(replica.id)?.route ?? .absent
            if before != replica.route { result.append(.route(replica.id, replica.route)) }
        }
        return (state, result + actions)
    }
}

extension ServiceState {
    /// What is written to disk: all but what probes found out.
    var durable: ServiceState {
        var copy = self
        for index in copy.replicas.indices { copy.replicas[index].observations = .init() }
        return copy
    }
}
