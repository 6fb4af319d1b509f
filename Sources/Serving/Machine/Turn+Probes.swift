/// What the answers of probes change.
extension Turn {
    mutating func probed(_ index: Int, _ kind: ProbeKind, _ answer: ProbeAnswer, _ activity: Activity?) {
        guard state.replicas[index].observations.probing.remove(kind) != nil else { return }
        switch (kind, state.replicas[index].phase) {
        case (.startup, .starting), (.startup, .warming): startupAnswered(index, answer, activity)
        case (.readiness, .ready), (.readiness, .unready): readinessAnswered(index, answer, activity)
        case (.liveness, .ready), (.liveness, .unready): livenessAnswered(index, answer, activity)
        default: break
        }
    }

    // MARK: Starting

    /// The candidates that the server has not shown to be wrong.
    private func openCandidates(_ index: Int, _ candidates: [ProbeCandidate]) -> [Int] {
        candidates.indices.filter { !state.replicas[index].observations.excludedCandidates.contains($0) }
    }

    mutating func askStartup(_ index: Int, after delay: Duration) {
        switch rules.readiness {
        case .whenRunning: break
        case .check(let check): ask(index, .startup, check, timeout: ProbeTiming.readiness.timeout, after: delay)
        case .candidates(let candidates):
            guard let first = openCandidates(index, candidates).first else { return becomeReady(index) }
            let timeout = candidates[first].timeout ?? ProbeTiming.readiness.timeout
            ask(index, .startup, candidates[first].ready, timeout: timeout, after: delay)
        }
    }

    private mutating func startupAnswered(_ index: Int, _ answer: ProbeAnswer, _ activity: Activity?) {
        noteProgress(index, activity)
        if answer.showsOpenPort { notePortOpen(index) }
        switch rules.readiness {
        case .whenRunning: return becomeReady(index)
        case .check(let check):
            let verdict = check.verdict(of: answer)
            if verdict.isPass { return becomeReady(index) }
            state.replicas[index].observations.lastProbeText = verdict.text
        case .candidates(let candidates):
            guard let current = openCandidates(index, candidates).first else { return becomeReady(index) }
            switch candidates[current].ready.verdict(of: answer) {
            case .pass:
                state.replicas[index].contract = candidates[current]
                return becomeReady(index)
            case .fail(let text): state.replicas[index].observations.lastProbeText = text
            case .unknownQuestion:
                state.replicas[index].observations.excludedCandidates.insert(current)
                return askStartup(index, after: .zero)
            }
        }
        checkStartup(index)
        guard let launchedAt = state.replicas[index].launchedAt, state.replicas[index].phase != .stopping else {
            return
        }
        askStartup(index, after: StartupRules.period(after: now - launchedAt))
    }

    private mutating func notePortOpen(_ index: Int) {
        guard state.replicas[index].phase == .starting else { return }
        state.replicas[index].phase = .warming
        state.replicas[index].portOpenAt = now
        let took = state.replicas[index].launchedAt.map { now - $0 } ?? .zero
        actions.append(.recordPhase(id(index), attempt: attempt(index), .portOpen, took))
        emit(.portOpen, index, "\(id(index)) listens after \(took.shortText)")
    }

    private mutating func noteProgress(_ index: Int, _ activity: Activity?) {
        if noteWork(index, activity) { state.replicas[index].observations.progressAt = now }
    }

    /// Whether the replica has worked since this was last asked: used a processor, read files, written to its log.
    private mutating func noteWork(_ index: Int, _ activity: Activity?) -> Bool {
        guard let activity else { return false }
        let seen = state.replicas[index].observations.lastActivity
        let seenAt = state.replicas[index].observations.lastActivityAt ?? state.replicas[index].launchedAt ?? now
        let before = seen ?? Activity()
        state.replicas[index].observations.lastActivity = activity
        state.replicas[index].observations.lastActivityAt = now
        let busy = Double(activity.cpu - before.cpu) > Double((now - seenAt).wholeNanoseconds) * rules.startup.busyShare
        return busy || activity.bytesRead > before.bytesRead || activity.logOutput > before.logOutput
    }

    // MARK: Readiness

    /// What to ask a replica that was found ready; nil where nothing can be asked.
    private func readinessCheck(_ index: Int) -> (check: ProbeCheck, timeout: Duration)? {
        let usual = ProbeTiming.readiness.timeout
        switch rules.readiness {
        case .whenRunning: return nil
        case .check(let check): return (check, usual)
        case .candidates(let candidates):
            guard let candidate = state.replicas[index].contract ?? candidates.last else { return nil }
            return (candidate.ready, candidate.timeout ?? usual)
        }
    }

    private var asksPeriodically: Bool { if case .check = rules.readiness { true } else { false } }

    /// The probes of a replica that has just become ready.
    mutating func scheduleProbes(_ index: Int) {
        if asksPeriodically { askReadiness(index, after: ProbeTiming.readiness.period) }
        if case .check = rules.liveness { askLiveness(index) }
    }

    /// The probes of a replica that was ready before the supervisor or the rules changed: one question at once.
    mutating func resumeProbes(_ index: Int) {
        askReadiness(index, after: .zero)
        if case .check = rules.liveness {
            askLiveness(index)
        } else if state.replicas[index].phase == .unready {
            suspect(index)
        }
        if readinessCheck(index) == nil, state.replicas[index].phase == .unready { recover(index) }
    }

    mutating func askReadiness(_ index: Int, after delay: Duration) {
        guard let (check, timeout) = readinessCheck(index) else { return }
        ask(index, .readiness, check, timeout: timeout, after: delay)
    }

    private mutating func readinessAnswered(_ index: Int, _ answer: ProbeAnswer, _ activity: Activity?) {
        guard let (check, _) = readinessCheck(index) else { return }
        state.replicas[index].observations.isHurried = false
        let verdict = check.verdict(of: answer)
        if verdict.isPass {
            state.replicas[index].observations.readinessFailures = 0
            if state.replicas[index].phase == .unready { recover(index) }
            if asksPeriodically { askReadiness(index, after: ProbeTiming.readiness.period) }
            return
        }
        let text = verdict.text ?? ""
        // What liveness is measured from, if it comes to that.
        _ = noteWork(index, activity)
        state.replicas[index].observations.readinessFailures += 1
        state.replicas[index].observations.lastProbeText = text
        if state.replicas[index].phase == .ready,
            state.replicas[index].observations.readinessFailures >= ProbeTiming.readiness.failures
        {
            state.replicas[index].phase = .unready
            disarm(index, .forget)
            emit(.unready, index, "\(id(index)) gets no more requests: \(text)")
            suspect(index)
        }
        askReadiness(index, after: ProbeTiming.readiness.period)
    }

    private mutating func recover(_ index: Int) {
        state.replicas[index].phase = .ready
        state.replicas[index].observations.livenessFailures = 0
        state.replicas[index].observations.suspectSince = nil
        state.replicas[index].observations.lastProbeText = nil
        emit(.recovered, index, "\(id(index)) is ready again")
        armForgetting(index)
    }

    /// A request could not be delivered: ask now. Many at once are one question.
    mutating func upstreamFailed(_ index: Int) {
        let replica = state.replicas[index]
        guard replica.phase == .ready, !replica.observations.isHurried, replica.observations.readinessFailures == 0,
            asksPeriodically || !replica.observations.probing.contains(.readiness)
        else { return }
        state.replicas[index].observations.isHurried = true
        askReadiness(index, after: .zero)
    }

    /// It may hang, compute or wait: only where nobody asks all the time this is a reason to ask.
    mutating func upstreamSilent(_ index: Int) {
        if !asksPeriodically { upstreamFailed(index) }
    }

    // MARK: Liveness

    private func livenessCheck(_ index: Int) -> ProbeCheck? {
        switch rules.liveness {
        case .none: nil
        case .check(let check): check
        case .onSuspicion: state.replicas[index].contract?.live
        }
    }

    private mutating func askLiveness(_ index: Int) {
        guard let check = livenessCheck(index) else { return }
        let timing = ProbeTiming.liveness
        ask(index, .liveness, check, timeout: timing.timeout, after: timing.period)
    }

    private mutating func suspect(_ index: Int) {
        guard case .onSuspicion = rules.liveness else { return }
        state.replicas[index].observations.livenessFailures = 0
        state.replicas[index].observations.suspectSince = now
        askLiveness(index)
    }

    private mutating func livenessAnswered(_ index: Int, _ answer: ProbeAnswer, _ activity: Activity?) {
        guard let check = livenessCheck(index) else { return }
        let isExplicit = rules.liveness == .check(check)
        if !isExplicit, state.replicas[index].phase == .ready { return }
        let alive = isExplicit ? check.verdict(of: answer).isPass : answer.showsLife
        let works = noteWork(index, activity)
        if alive {
            state.replicas[index].observations.livenessFailures = 0
            state.replicas[index].observations.suspectSince = now
            state.replicas[index].provedLife = true
        } else if !isExplicit, works, mayWorkOn(index) {
            state.replicas[index].observations.livenessFailures = 0
        } else if !answersClients(activity), isExpectedToLive(index, isExplicit) {
            state.replicas[index].observations.livenessFailures += 1
            let text = check.verdict(of: answer).text ?? "\(check.question) had no answer"
            if state.replicas[index].observations.livenessFailures >= ProbeTiming.liveness.failures {
                state.replicas[index].reason = .liveness(text)
                emit(.livenessFailed, index, "\(id(index)) hangs and is being restarted: \(text)")
                return beginStopping(index, force: false)
            }
        }
        askLiveness(index)
    }

    /// Whether response bytes were passed on within the last period: a server that answers its clients is alive, even if
    /// a long computation keeps it from answering its health question.
    private func answersClients(_ activity: Activity?) -> Bool {
        activity?.quietFor.map { $0 < ProbeTiming.liveness.period } ?? false
    }

    private func mayWorkOn(_ index: Int) -> Bool {
        guard let since = state.replicas[index].observations.suspectSince else { return true }
        return now - since < ProbeTiming.longestWork
    }

    /// With no readiness probe nobody knows when a server has started: until its liveness probe has passed once, it
    /// is given the time of a start.
    private func isExpectedToLive(_ index: Int, _ isExplicit: Bool) -> Bool {
        let replica = state.replicas[index]
        guard isExplicit, rules.readiness == .whenRunning, !replica.provedLife else { return true }
        return replica.launchedAt.map { now - $0 >= rules.startup.hardDeadline } ?? true
    }
}
