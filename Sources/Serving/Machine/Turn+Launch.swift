/// From nothing to ready.
extension Turn {
    /// - Parameter counting: the launch is the machine's own doing and counts as a restart.
    mutating func launch(_ index: Int, counting: Bool) {
        disarmAll(index)
        cancelProbes(index)
        if counting { state.replicas[index].restarts += 1 }
        state.replicas[index].beginAttempt()
        emit(.starting, index, "\(id(index)) is being started")
        actions.append(.launch(id(index), attempt: attempt(index)))
    }

    mutating func launched(_ index: Int, _ process: ProcessIdentity) {
        guard state.replicas[index].phase == .launching else { return }
        state.replicas[index].process = process
        state.replicas[index].launchedAt = now
        state.replicas[index].observations.progressAt = now
        state.replicas[index].phase = .starting
        emit(.launched, index, "\(id(index)) runs as process \(process.pid)")
        if state.replicas[index].goal != .run {
            return beginStopping(index, force: state.replicas[index].forced)
        }
        if case .whenRunning = rules.readiness { return becomeReady(index) }
        arm(index, .startup, after: rules.startup.hardDeadline)
        askStartup(index, after: .zero)
    }

    mutating func launchFailed(_ index: Int, _ text: String) {
        guard state.replicas[index].phase == .launching else { return }
        state.replicas[index].ending = .launchFailed(text)
        state.replicas[index].phase = .cleaning
        emit(.died, index, "\(id(index)) could not be launched: \(text)")
        actions.append(.cleanUp(id(index), attempt: attempt(index)))
    }

    mutating func becomeReady(_ index: Int) {
        state.replicas[index].phase = .ready
        state.replicas[index].readyAt = now
        state.replicas[index].observations.readinessFailures = 0
        state.replicas[index].observations.lastProbeText = nil
        state.wasReady = true
        state.failsFast = false
        disarm(index, .startup)
        let took = state.replicas[index].launchedAt.map { now - $0 } ?? .zero
        state.startDurations = Array((state.startDurations + [took]).suffix(5))
        actions.append(.recordPhase(id(index), attempt: attempt(index), .ready, took))
        emit(.ready, index, "\(id(index)) is ready after \(took.shortText)")
        armForgetting(index)
        scheduleProbes(index)
    }

    /// Its failures are forgotten once it was healthy for long enough.
    mutating func armForgetting(_ index: Int) {
        let replica = state.replicas[index]
        guard replica.failuresInARow > 0 || !replica.recentFailures.isEmpty || replica.crashLooping else { return }
        arm(index, .forget, after: RestartTiming.forgetting(after: state.startDurations))
    }

    mutating func forgetFailures(_ index: Int) {
        guard state.replicas[index].phase == .ready else { return }
        state.replicas[index].forgetFailures()
    }

    /// Gives a start up when it took too long, or did nothing for too long.
    mutating func checkStartup(_ index: Int) {
        let replica = state.replicas[index]
        guard replica.phase == .starting || replica.phase == .warming, let launchedAt = replica.launchedAt else {
            return
        }
        let last = replica.observations.lastProbeText.map { "; \($0)" } ?? ""
        let quiet = now - (replica.observations.progressAt ?? launchedAt)
        let text: String
        if now - launchedAt >= rules.startup.hardDeadline {
            text = "it was not ready within \(rules.startup.hardDeadline.shortText)\(last)"
        } else if quiet >= rules.startup.quietDeadline {
            text =
                "it was not ready, and for \(quiet.shortText) it read nothing, computed nothing and logged nothing\(last)"
        } else {
            return
        }
        state.replicas[index].reason = .startupDeadline(text)
        emit(.startFailed, index, "\(id(index)) is given up: \(text)")
        beginStopping(index, force: false)
    }
}

extension ReplicaState {
    mutating func beginAttempt() {
        attempt += 1
        phase = .launching
        goal = .run
        forced = false
        process = nil
        launchedAt = nil
        portOpenAt = nil
        readyAt = nil
        reason = nil
        ending = nil
        contract = nil
        provedLife = false
        observations = Observations()
    }

    mutating func forgetFailures() {
        failuresInARow = 0
        recentFailures = []
        crashLooping = false
        outOfMemoryInARow = 0
    }
}
