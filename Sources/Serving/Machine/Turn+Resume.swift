/// Going on after the supervisor was killed, or the host was started again.
extension Turn {
    mutating func resume(afterBoot: Bool) {
        if afterBoot { return resumeAfterBoot() }
        for index in state.replicas.indices {
            state.replicas[index].observations = .init()
            state.replicas[index].observations.progressAt = now
            for (timer, deadline) in state.replicas[index].timers.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
                actions.append(.arm(id(index), attempt: attempt(index), timer, at: deadline))
            }
            repeatUnfinished(index)
        }
    }

    /// Does again what may have been decided but not done. Each of these may be done twice.
    private mutating func repeatUnfinished(_ index: Int) {
        switch state.replicas[index].phase {
        case .pending:
            if state.replicas[index].timers[.restart] == nil { launch(index, counting: false) }
        case .launching:
            // Whether a process came to be is not known, and its identity is lost: end what there is, begin anew.
            state.replicas[index].ending = .launchFailed("the supervisor was stopped during the launch")
            state.replicas[index].phase = .cleaning
            if state.replicas[index].goal == .run { state.replicas[index].goal = .restart }
            actions.append(.killCgroup(id(index), attempt: attempt(index)))
        case .starting, .warming: askStartup(index, after: .zero)
        case .ready, .unready: resumeProbes(index)
        case .draining, .stopped, .failed: break
        case .stopping:
            if state.replicas[index].timers[.stop] != nil {
                actions.append(.signal(id(index), rules.stopSignal))
            } else {
                actions.append(.killCgroup(id(index), attempt: attempt(index)))
            }
        case .cleaning: actions.append(.killCgroup(id(index), attempt: attempt(index)))
        }
    }

    private mutating func resumeAfterBoot() {
        if rules.restart == .always { state.desired = .running }
        if rules.restart == .no { state.desired = .stopped }
        state.failsFast = false
        state.replicas.removeAll { $0.goal == .remove }
        for index in state.replicas.indices {
            let hadProcess = state.replicas[index].phase.mayHaveProcess
            state.replicas[index].forgetTimes()
            if hadProcess { state.replicas[index].lastDeath = state.replicas[index].ending ?? .exited(.unknown) }
            state.replicas[index].ending = nil
            if state.replicas[index].phase == .failed { continue }
            if state.desired == .running,
                hadProcess || state.replicas[index].phase == .pending
                    || rules.restart == .always
            {
                launch(index, counting: false)
            } else {
                state.replicas[index].phase = .stopped
            }
        }
        if state.desired == .running { fitReplicaCount() }
    }
}

extension ReplicaState {
    /// The monotonic clock began anew: no time that was noted means anything.
    fileprivate mutating func forgetTimes() {
        timers = [:]
        process = nil
        launchedAt = nil
        portOpenAt = nil
        readyAt = nil
        reason = nil
        forgetFailures()
        observations = Observations()
    }
}
