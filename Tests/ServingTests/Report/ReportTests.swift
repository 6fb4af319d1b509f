import OCISpec
import Testing

@testable import Serving

@Suite("Reports")
struct ReportTests {
    @Test("a start is told in its order, with what was within another step, and its whole time")
    func start() throws {
        var report = StartReport()
        report.record(.ready, .seconds(71))
        report.record(.resolve, .milliseconds(120))
        report.record(.pull, .seconds(41), bytes: 4_187_593_114)
        report.record(.verify, nil)
        report.record(.mount, .milliseconds(3))
        report.record(.exec, .microseconds(900))
        report.record(.portOpen, .milliseconds(4100))
        #expect(
            report.text
                == "resolve 120ms | pull 3.9 GiB 41s | verify (within) | mount 3ms | exec 0.9ms | port open 4.1s "
                + "| ready 1m11s | total 1m52s")
        #expect(try StartReport(JSONCursor(report.json)) == report)
        report.record(.ready, .seconds(1))
        #expect(report.steps.count == 7)
    }

    @Test("a start that did not get ready counts up to where it came")
    func unfinishedStart() {
        var report = StartReport()
        report.record(.mount, .seconds(1))
        report.record(.portOpen, .seconds(2))
        #expect(report.total == .seconds(3))
    }

    private func report(_ cause: DeathCause, _ change: (inout DeathFacts) -> Void = { _ in }) -> DeathReport {
        var facts = DeathFacts()
        facts.uptime = .seconds(90)
        change(&facts)
        return DeathReport(time: Timestamp(nanoseconds: 0), replica: ReplicaID("demo-1"), cause: cause, facts: facts)
    }

    @Test("each cause has its name")
    func diagnoses() {
        let unreached: [(DeathReport, DeathReport.Diagnosis)] = [
            (report(.outOfMemory(.signal(9))) { $0.limitHits = 3 }, .outOfMemoryContainer),
            (report(.outOfMemory(.signal(9))), .outOfMemoryHost),
            (report(.exited(.code(1))) { $0.lastLines = ["x", "torch: CUDA out of memory."] }, .outOfMemoryDevice),
            (report(.ended(.liveness("x"), .signal(9))), .liveness),
            (report(.ended(.startupDeadline("x"), .signal(15))), .startupDeadline),
            (report(.ended(.stopRequested, .code(0))), .stopRequested),
            (report(.ended(.drainTimeout, .code(0))), .drainTimeout), (report(.exited(.signal(31))), .systemCall),
            (report(.exited(.signal(11))), .signal), (report(.exited(.code(3))), .exitCode),
            (report(.exited(.code(0))), .completed), (report(.launchFailed("x")), .launchFailed),
            (report(.exited(.unknown)), .unknown),
        ]
        for (report, diagnosis) in unreached { #expect(report.diagnosis == diagnosis) }
        #expect(Set(unreached.map(\.1)) == Set(DeathReport.Diagnosis.allCases))
    }

    @Test("an end for want of memory says the limit, what used it, and what to try")
    func outOfMemory() throws {
        let report = report(.outOfMemory(.signal(9))) {
            $0.memoryLimit = 8 << 30
            $0.memoryPeak = 8 << 30
            $0.anonymous = 7 << 30
            $0.shared = 1 << 30
            $0.limitHits = 12
            $0.oomEvents = 1
            $0.oomKills = 1
            $0.outOfMemoryInARow = 2
            $0.lastLines = ["loading"]
        }
        #expect(report.sentence == "demo-1 was killed by the kernel after 1m30s: it reached its memory limit of 8 GiB")
        #expect(
            report.suggestion
                == "this was out of memory 2 times in a row; try --memory 10g "
                + "(7 GiB anonymous, 1 GiB shared, /dev/shm included)")
        #expect(report.text.hasSuffix("last lines of its log:\n    loading"))
        #expect(report.text.contains("memory events: limit reached 12, out of memory 1, killed 1"))
        #expect(try DeathReport(JSONCursor(JSON(parsing: report.json.bytes()))) == report)
    }

    @Test("suggested sizes are a quarter above the need", arguments: [(256, "320m"), (1024, "1280m"), (8192, "10g")])
    func sizes(mebibytes: Int64, text: String) {
        #expect(report(.outOfMemory(.signal(9))) { $0.memoryLimit = mebibytes << 20 }.suggestedMemory == text)
    }

    @Test("causes of death are told by signal name and survive JSON")
    func causes() throws {
        #expect(DeathCause.exited(.signal(11)).sentence == "killed by SIGSEGV")
        let causes: [DeathCause] = [
            .exited(.code(1)), .exited(.unknown), .outOfMemory(.signal(9)), .launchFailed("x"),
            .ended(.liveness("a"), .signal(9)), .ended(.startupDeadline("b"), .code(2)),
            .ended(.stopRequested, .code(0)), .ended(.restartRequested, .code(0)), .ended(.scaledDown, .code(0)),
            .ended(.drainTimeout, .unknown),
        ]
        for cause in causes { #expect(try DeathCause(JSONCursor(cause.json)) == cause) }
    }
}
