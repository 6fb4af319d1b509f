/// What users ask for.
extension Turn {
    mutating func start(failFast: Bool) {
        let wasStopped = state.desired == .stopped
        state.desired = .running
        if wasStopped || state.isAtRest { state.wasReady = false }
        state.failsFast = failFast && !state.wasReady
        for index in state.replicas.indices where state.replicas[index].goal != .remove {
            state.replicas[index].forgetFailures()
            switch state.replicas[index].phase {
            case .pending, .stopped, .failed: launch(index, counting: false)
            case .draining, .stopping, .cleaning: state.replicas[index].goal = .restart
            case .launching where state.replicas[index].goal == .stop: state.replicas[index].goal = .restart
            case .launching, .starting, .warming, .ready, .unready: break
            }
        }
        fitReplicaCount()
    }

    mutating func stop(force: Bool) {
        state.desired = .stopped
        state.failsFast = false
        for index in state.replicas.indices.reversed() {
            let goal: ReplicaState.Goal = state.replicas[index].goal == .remove ? .remove : .stop
            end(index, goal, .stopRequested, force: force)
        }
    }

    /// All replicas at once: the gateway holds the requests that come meanwhile.
    mutating func restart() {
        state.desired = .running
        state.failsFast = false
        for index in state.replicas.indices where state.replicas[index].goal != .remove {
            state.replicas[index].forgetFailures()
            end(index, .restart, .restartRequested, force: false)
        }
        fitReplicaCount()
    }

    mutating func signal(_ number: Int32) {
        let sigkill: Int32 = 9
        if number == sigkill { return stop(force: true) }
        for index in state.replicas.indices {
            let phase = state.replicas[index].phase
            if number == rules.stopSignal {
                state.desired = .stopped
                state.failsFast = false
                if state.replicas[index].goal != .remove { state.replicas[index].goal = .stop }
                if phase == .pending { end(index, .stop, .stopRequested, force: false) }
                if phase.mayHaveProcess, phase != .cleaning, state.replicas[index].reason == nil {
                    state.replicas[index].reason = .stopRequested
                }
                if phase == .launching { state.replicas[index].forced = false }
            }
            if state.replicas[index].process != nil, phase != .cleaning {
                actions.append(.signal(id(index), number))
            }
        }
    }

    mutating func change(to rules: ServiceRules) {
        let old = state.rules
        state.rules = rules
        if state.desired == .running { fitReplicaCount() }
        guard old.readiness != rules.readiness || old.liveness != rules.liveness else { return }
        for index in state.replicas.indices {
            cancelProbes(index)
            state.replicas[index].contract = nil
            state.replicas[index].observations = .init()
            state.replicas[index].observations.progressAt = now
            switch state.replicas[index].phase {
            case .starting, .warming:
                if case .whenRunning = rules.readiness { becomeReady(index) } else { askStartup(index, after: .zero) }
            case .ready, .unready: resumeProbes(index)
            default: break
            }
        }
    }

    /// Adds replicas that are missing and ends those that are too many, the newest first.
    mutating func fitReplicaCount() {
        var kept = state.replicas.indices.filter { state.replicas[$0].goal != .remove }
        while kept.count > rules.replicas {
            let index = kept.removeLast()
            end(index, .remove, .scaledDown, force: false)
        }
        for _ in kept.count..<max(rules.replicas, kept.count) {
            state.replicas.append(ReplicaState(ReplicaID("\(state.name)-\(state.nextNumber)")))
            state.nextNumber += 1
            launch(state.replicas.count - 1, counting: false)
        }
    }
}
