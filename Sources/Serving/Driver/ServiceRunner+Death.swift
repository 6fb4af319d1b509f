internal import CLinux
internal import Container
internal import LinuxSystem

/// Deaths, with all that can be measured of them while the cgroup is still there.
extension ServiceRunner {
    /// The machine's notice in the words of a full report, which is kept in the replica's record.
    func reported(_ notice: ServiceNotice) -> ServiceNotice {
        guard notice.kind == .died, let id = notice.replica, let runtime = replicas[id],
            let replica = state.replicas.first(where: { $0.id == id }), let cause = replica.ending, cause.status != nil
        else { return notice }
        let now = Timestamp(nanoseconds: Int64(mlr_realtime_nanoseconds()))
        let report = DeathReport(time: now, replica: id, cause: cause, facts: facts(of: replica, runtime, cause))
        runtime.record.deathReport = report
        do throws(SystemError) { try runtime.record.write(runtime.files) } catch {
            Diagnostics.note("the report of \(id)'s end could not be written: \(error)")
        }
        let suggestion = report.suggestion.map { "; \($0)" } ?? ""
        return ServiceNotice(.died, id, report.sentence + suggestion)
    }

    private func facts(of replica: ReplicaState, _ runtime: ReplicaRuntime, _ cause: DeathCause) -> DeathFacts {
        var facts = DeathFacts()
        if let launchedAt = replica.launchedAt { facts.uptime = Self.now - launchedAt }
        facts.restarts = replica.restarts
        facts.outOfMemoryInARow = replica.outOfMemoryInARow
        if case .outOfMemory = cause { facts.outOfMemoryInARow += 1 }
        facts.lastLines = lastLines(20)
        guard let statistics = try? runtime.cgroup.statistics() else { return facts }
        if let memory = statistics.memory {
            facts.memoryLimit = memory.limit.map { Int64(clamping: $0) }
            facts.memoryPeak = memory.peak.map { Int64(clamping: $0) }
            facts.limitHits = Int64(clamping: memory.events.max)
            facts.oomEvents = Int64(clamping: memory.events.oom)
            facts.oomKills = Int64(clamping: memory.events.oomKill)
            facts.oomGroupKills = Int64(clamping: memory.events.oomGroupKill)
        }
        facts.memoryPressure = statistics.memoryPressure?.full?.average10
        if let cpu = statistics.cpu, let periods = cpu.periods, let throttled = cpu.throttledPeriods, periods > 0 {
            facts.throttled = Double(throttled) / Double(periods) * 100
        }
        return facts
    }
}
