/// From running to nothing, and what comes after.
extension Turn {
    /// Turns a replica towards its end, from whatever phase it is in.
    mutating func end(_ index: Int, _ goal: ReplicaState.Goal, _ reason: EndReason, force: Bool) {
        state.replicas[index].goal = goal
        let phase = state.replicas[index].phase
        if phase.mayHaveProcess, phase != .cleaning, state.replicas[index].reason == nil {
            state.replicas[index].reason = reason
        }
        switch phase {
        case .pending, .stopped, .failed:
            disarmAll(index)
            settle(index, failed: phase == .failed)
        case .launching: state.replicas[index].forced = state.replicas[index].forced || force
        case .starting, .warming: beginStopping(index, force: force)
        case .ready, .unready:
            if force || rules.drainTimeout <= .zero {
                beginStopping(index, force: force)
            } else {
                beginDraining(index)
            }
        case .draining: if force { beginStopping(index, force: true) }
        case .stopping: if force { kill(index) }
        case .cleaning: break
        }
    }

    private mutating func beginDraining(_ index: Int) {
        cancelProbes(index)
        disarmAll(index)
        state.replicas[index].phase = .draining
        arm(index, .drain, after: rules.drainTimeout)
        emit(.draining, index, "\(id(index)) gets no new requests and finishes those it has")
    }

    mutating func drained(_ index: Int) {
        if state.replicas[index].phase == .draining { beginStopping(index, force: false) }
    }

    mutating func drainTimedOut(_ index: Int) {
        guard state.replicas[index].phase == .draining else { return }
        state.replicas[index].reason = .drainTimeout
        emit(.warning, index, "\(id(index)) still had requests after \(rules.drainTimeout.shortText); they are cut off")
        beginStopping(index, force: false)
    }

    mutating func beginStopping(_ index: Int, force: Bool) {
        cancelProbes(index)
        disarmAll(index)
        state.replicas[index].phase = .stopping
        if force || rules.stopTimeout <= .zero { return kill(index) }
        emit(.stopping, index, "\(id(index)) is asked to end")
        actions.append(.signal(id(index), rules.stopSignal))
        arm(index, .stop, after: rules.stopTimeout)
    }

    mutating func kill(_ index: Int) {
        guard state.replicas[index].phase == .stopping else { return }
        disarm(index, .stop)
        emit(.killed, index, "\(id(index)) is being killed")
        actions.append(.killCgroup(id(index), attempt: attempt(index)))
    }

    mutating func exited(_ index: Int, _ status: ReplicaExit, outOfMemory: Bool) {
        let replica = state.replicas[index]
        guard replica.phase.mayHaveProcess, replica.phase != .cleaning else { return }
        cancelProbes(index)
        disarmAll(index)
        let cause: DeathCause =
            if let reason = replica.reason { .ended(reason, status) } else if outOfMemory {
                .outOfMemory(status)
            } else { .exited(status) }
        state.replicas[index].ending = cause
        state.replicas[index].process = nil
        state.replicas[index].phase = .cleaning
        emit(.died, index, "\(id(index)) ended: \(cause.sentence)")
        // What its first process left behind must not outlive it, whatever namespaces it ran in.
        actions.append(.killCgroup(id(index), attempt: attempt(index)))
    }

    mutating func cgroupEmpty(_ index: Int) {
        guard state.replicas[index].phase == .cleaning else { return }
        actions.append(.cleanUp(id(index), attempt: attempt(index)))
    }

    mutating func cleanUpFailed(_ index: Int, _ text: String) {
        guard state.replicas[index].phase == .cleaning else { return }
        let failures = state.replicas[index].observations.cleanUpFailures
        state.replicas[index].observations.cleanUpFailures = failures + 1
        if failures == 0 { emit(.warning, index, "\(id(index)) cannot be cleaned up, which is tried again: \(text)") }
        arm(index, .cleanUp, after: .seconds(min(60, 1 << min(failures, 6))))
    }

    mutating func cleanedUp(_ index: Int) {
        guard state.replicas[index].phase == .cleaning else { return }
        disarmAll(index)
        let cause = state.replicas[index].ending ?? .exited(.unknown)
        state.replicas[index].lastDeath = cause
        state.replicas[index].ending = nil
        if state.replicas[index].goal == .run { return endedByItself(index, cause) }
        settle(index, failed: false)
    }

    /// Reaches the goal of a replica that has no process.
    private mutating func settle(_ index: Int, failed: Bool) {
        switch state.replicas[index].goal {
        case .run, .restart: launch(index, counting: false)
        case .stop:
            if state.replicas[index].phase == .stopped { return }
            state.replicas[index].phase = failed ? .failed : .stopped
            state.replicas[index].crashLooping = false
            if !failed { emit(.stopped, index, "\(id(index)) is stopped") }
        case .remove:
            emit(.stopped, index, "\(id(index)) is stopped and removed")
            actions.append(.forget(id(index)))
            state.replicas.remove(at: index)
        }
    }

    private mutating func endedByItself(_ index: Int, _ cause: DeathCause) {
        state.replicas[index].noteFailure(cause, at: now)
        let failures = state.replicas[index].failuresInARow
        if state.failsFast, !state.wasReady { return failStart(index, cause) }
        guard rules.restart.restarts(after: cause.ownStatus, failuresInARow: failures) else {
            let isSuccess = cause.ownStatus.isSuccess
            state.replicas[index].phase = isSuccess ? .stopped : .failed
            state.replicas[index].crashLooping = false
            let policy = "its restart policy is \(rules.restart.text)"
            emit(isSuccess ? .stopped : .failed, index, "\(id(index)) is not started again: \(policy)")
            return
        }
        if !state.replicas[index].crashLooping,
            state.replicas[index].recentFailures.count >= RestartTiming.crashLoopFailures
        {
            state.replicas[index].crashLooping = true
            let count = state.replicas[index].recentFailures.count
            emit(.crashLoop, index, "\(id(index)) ended \(count) times within 10 minutes: \(cause.sentence)")
        }
        let crashLooping = state.replicas[index].crashLooping
        let delay = RestartTiming.delay(failuresInARow: failures, crashLooping: crashLooping, random: random)
        state.replicas[index].phase = .pending
        emit(.restarting, index, "\(id(index)) is started again in \(delay.shortText)")
        arm(index, .restart, after: delay)
    }

    /// Somebody waits for the first start: it is over for all replicas.
    private mutating func failStart(_ index: Int, _ cause: DeathCause) {
        state.replicas[index].phase = .failed
        emit(.failed, index, "\(id(index)) failed to start: \(cause.sentence)")
        state.desired = .stopped
        state.failsFast = false
        for other in state.replicas.indices.reversed() where other != index {
            let goal: ReplicaState.Goal = state.replicas[other].goal == .remove ? .remove : .stop
            end(other, goal, .stopRequested, force: false)
        }
    }
}

extension ReplicaState {
    mutating func noteFailure(_ cause: DeathCause, at now: MonotonicTime) {
        failuresInARow += 1
        recentFailures = recentFailures.filter { now - $0 < RestartTiming.window } + [now]
        if case .outOfMemory = cause { outOfMemoryInARow += 1 } else { outOfMemoryInARow = 0 }
    }
}

extension DeathCause {
    /// What a restart policy judges: success only where the process chose to end with 0.
    var ownStatus: ReplicaExit {
        switch self {
        case .exited(let status): status
        case .outOfMemory, .ended, .launchFailed: .unknown
        }
    }
}
