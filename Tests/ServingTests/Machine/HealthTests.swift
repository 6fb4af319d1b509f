import Testing

@testable import Serving

@Suite("A replica that runs")
struct HealthTests {
    @Test("two failed readiness probes take it out of rotation, one pass brings it back")
    func readiness() {
        var service = ServiceUnderTest()
        service.becomeReady()
        service.answer(.readiness, .timedOut)
        #expect(service.phase == .ready)
        #expect(service.asked(.readiness)?.after == .seconds(2))
        service.answer(.readiness, .timedOut)
        #expect(service.phase == .unready)
        #expect(service.route() == .unready)
        #expect(service.notices == [.unready])
        service.answer(.readiness, ServiceUnderTest.ok)
        #expect(service.phase == .ready)
        #expect(service.route() == .ready)
        #expect(service.notices == [.recovered])
    }

    @Test("failures must be in a row")
    func failuresInARow() {
        var service = ServiceUnderTest()
        service.becomeReady()
        for _ in 0..<5 {
            service.answer(.readiness, .timedOut)
            service.answer(.readiness, ServiceUnderTest.ok)
        }
        #expect(service.phase == .ready)
    }

    @Test("steady probes write nothing to disk")
    func noPersist() {
        var service = ServiceUnderTest()
        service.becomeReady()
        service.answer(.readiness, ServiceUnderTest.ok)
        #expect(!service.has(.persist))
        service.answer(.readiness, .timedOut)
        #expect(!service.has(.persist))
        service.answer(.readiness, .timedOut)
        #expect(service.has(.persist))
    }

    @Test("a request that could not be delivered asks at once, and many of them ask once")
    func upstreamFailed() {
        var service = automatic()
        service.send(.upstreamFailed("connection refused"))
        #expect(service.asked(.readiness)?.after == .zero)
        service.send(.upstreamFailed("connection refused"))
        #expect(service.actions.isEmpty)
        service.answer(.readiness, .refused)
        #expect(service.asked(.readiness)?.after == .seconds(2))
        service.send(.upstreamFailed("connection refused"))
        #expect(service.actions.isEmpty)
        service.answer(.readiness, .refused)
        #expect(service.phase == .unready)
        service.answer(.readiness, ServiceUnderTest.ok)
        #expect(service.phase == .ready)
        #expect(service.asked(.readiness) == nil)
    }

    @Test("a suspect that answers nothing for three liveness probes is restarted without a drain")
    func suspicion() {
        var service = automatic()
        service.send(.upstreamFailed(""))
        service.answer(.readiness, .timedOut)
        service.answer(.readiness, .timedOut)
        #expect(service.asked(.liveness)?.after == .seconds(10))
        #expect(service.asked(.liveness)?.timeout == .seconds(5))
        service.answer(.liveness, .timedOut)
        service.answer(.liveness, .timedOut)
        #expect(service.phase == .unready)
        service.answer(.liveness, .timedOut)
        #expect(service.phase == .stopping)
        #expect(service.route() == .absent)
        #expect(service.has(.signal(ServiceUnderTest.first, 15)))
        service.end(.signal(9))
        #expect(service.phase == .pending)
        guard case .ended(.liveness, .signal(9))? = service.replica.lastDeath else {
            Issue.record("it died of \(String(describing: service.replica.lastDeath))")
            return
        }
    }

    @Test("silence towards clients makes it ask; a server that answers then is left in peace")
    func silence() {
        var service = automatic()
        service.send(.upstreamSilent(.seconds(12)))
        #expect(service.asked(.readiness)?.after == .zero)
        service.answer(.readiness, ServiceUnderTest.ok)
        #expect(service.phase == .ready)
        #expect(service.asked(.readiness) == nil)
        service.send(.upstreamSilent(.seconds(22)))
        #expect(service.asked(.readiness) != nil)
        service.answer(.readiness, .timedOut)
        service.answer(.readiness, .timedOut)
        #expect(service.phase == .unready)
    }

    @Test("where readiness is asked all the time, silence asks nothing more")
    func silenceWithProbe() {
        var service = ServiceUnderTest()
        service.becomeReady()
        service.send(.upstreamSilent(.seconds(12)))
        #expect(service.actions.isEmpty)
    }

    @Test("a suspect that works is given ten minutes, then counted like any other")
    func busySuspect() {
        var service = automatic()
        service.send(.upstreamSilent(.seconds(12)))
        var cpu: Int64 = 5_000_000_000
        service.answer(.readiness, .timedOut, activity: Activity(cpu: cpu))
        service.answer(.readiness, .timedOut, activity: Activity(cpu: cpu))
        func work(_ service: inout ServiceUnderTest) {
            service.wait(.seconds(15))
            cpu += 2_000_000_000
            service.answer(.liveness, .timedOut, activity: Activity(cpu: cpu))
        }
        for _ in 0..<39 { work(&service) }
        #expect(service.phase == .unready)
        for _ in 0..<2 { work(&service) }
        #expect(service.phase == .unready)
        work(&service)
        #expect(service.phase == .stopping)
    }

    @Test("a suspect that did much before and nothing since is no working one")
    func idleSuspect() {
        var service = automatic()
        service.send(.upstreamSilent(.seconds(12)))
        let activity = Activity(cpu: 3_600_000_000_000, bytesRead: 1 << 40, logOutput: 1 << 20)
        service.answer(.readiness, .timedOut, activity: activity)
        service.answer(.readiness, .timedOut, activity: activity)
        for _ in 0..<3 {
            service.wait(.seconds(15))
            service.answer(.liveness, .timedOut, activity: activity)
        }
        #expect(service.phase == .stopping)
    }

    @Test("a suspect that answers badly is alive")
    func suspicionCleared() {
        var service = automatic()
        service.send(.upstreamFailed(""))
        service.answer(.readiness, ServiceUnderTest.loading)
        service.answer(.readiness, ServiceUnderTest.loading)
        for _ in 0..<10 { service.answer(.liveness, ServiceUnderTest.loading) }
        #expect(service.phase == .unready)
    }

    @Test("a given liveness probe restarts after three failures in a row")
    func explicitLiveness() {
        var service = ServiceUnderTest(
            ServiceRules(readiness: .check(ServiceUnderTest.http), liveness: .check(ServiceUnderTest.tcp)))
        service.becomeReady()
        #expect(service.asked(.liveness)?.check == ServiceUnderTest.tcp)
        service.answer(.liveness, .refused)
        service.answer(.liveness, .refused)
        service.answer(.liveness, .connected)
        service.answer(.liveness, .refused)
        service.answer(.liveness, .refused)
        #expect(service.phase == .ready)
        service.answer(.liveness, .refused)
        #expect(service.phase == .stopping)
        #expect(service.notices.contains(.livenessFailed))
    }

    @Test("while response bytes flow, a failed liveness probe does not count")
    func suppressed() {
        var service = ServiceUnderTest(
            ServiceRules(readiness: .check(ServiceUnderTest.http), liveness: .check(ServiceUnderTest.tcp)))
        service.becomeReady()
        for _ in 0..<10 { service.answer(.liveness, .timedOut, activity: Activity(quietFor: .seconds(9))) }
        #expect(service.phase == .ready)
        for _ in 0..<3 { service.answer(.liveness, .timedOut, activity: Activity(quietFor: .seconds(10))) }
        #expect(service.phase == .stopping)
    }

    @Test("with a liveness probe alone, a slow start is not killed before its first pass")
    func slowStartWithLiveness() {
        var service = ServiceUnderTest(
            ServiceRules(readiness: .whenRunning, liveness: .check(ServiceUnderTest.tcp)))
        service.launch()
        for _ in 0..<20 {
            service.wait(.seconds(10))
            service.answer(.liveness, .refused)
        }
        #expect(service.phase == .ready)
        service.answer(.liveness, .connected)
        for _ in 0..<3 { service.answer(.liveness, .refused) }
        #expect(service.phase == .stopping)
    }

    @Test("an answer to a question that nobody asked changes nothing")
    func stray() {
        var service = ServiceUnderTest()
        service.becomeReady()
        let before = service.state
        service.answer(.liveness, .refused)
        service.answer(.startup, .refused)
        service.send(.replica(ServiceUnderTest.first, attempt: 0, .probed(.readiness, .refused, nil)))
        service.send(.replica(ReplicaID("demo-9"), attempt: 1, .exited(.code(1), outOfMemory: false)))
        #expect(service.state == before)
        #expect(service.actions.isEmpty)
    }

    private func automatic() -> ServiceUnderTest {
        let guess = ProbeCandidate("health", ready: ServiceUnderTest.http, live: ServiceUnderTest.http)
        var service = ServiceUnderTest(ServiceRules(readiness: .candidates([guess]), liveness: .onSuspicion))
        service.becomeReady()
        return service
    }
}
