import OCISpec
import Testing

@testable import Serving

@Suite("Starting a replica")
struct StartTests {
    @Test("a start is on disk before it is launched")
    func persistFirst() {
        var service = ServiceUnderTest()
        service.send(.startRequested(failFast: false))
        #expect(service.actions.first == .persist)
        #expect(service.has(.launch(ServiceUnderTest.first, attempt: 1)))
        #expect(service.phase == .launching)
        #expect(service.replica.route == .absent)
    }

    @Test("a launched replica is made known to the gateway and asked whether it is ready")
    func launched() {
        var service = ServiceUnderTest()
        service.launch()
        #expect(service.phase == .starting)
        #expect(service.route() == .unready)
        #expect(service.asked(.startup)?.check == ServiceUnderTest.http)
        #expect(service.asked(.startup)?.timeout == .seconds(2))
    }

    @Test(
        "it is asked every 250 ms for 10 s, then every second, and after two minutes every 5 s",
        arguments: [
            (Duration.seconds(1), Duration.milliseconds(250)), (.milliseconds(9999), .milliseconds(250)),
            (.seconds(10), .seconds(1)), (.milliseconds(119_999), .seconds(1)), (.seconds(120), .seconds(5)),
            (.seconds(599), .seconds(5)),
        ])
    func cadence(elapsed: Duration, period: Duration) {
        var service = ServiceUnderTest()
        service.launch()
        service.wait(elapsed)
        service.answer(.startup, .refused)
        #expect(service.asked(.startup)?.after == period)
        #expect(service.phase == .starting)
    }

    @Test("an open port that is not ready yet is warming, and the time it took is recorded")
    func warming() {
        var service = ServiceUnderTest()
        service.launch()
        service.wait(.seconds(3))
        service.answer(.startup, ServiceUnderTest.loading)
        #expect(service.phase == .warming)
        #expect(service.has(.recordPhase(ServiceUnderTest.first, attempt: 1, .portOpen, .seconds(3))))
        #expect(service.replica.lastProbeText == "GET /health on port 8000 was answered with status 503")
    }

    @Test("the first pass makes it ready and routed, and a given probe goes on every 2 s")
    func ready() {
        var service = ServiceUnderTest()
        service.launch()
        service.wait(.seconds(4))
        service.answer(.startup, ServiceUnderTest.ok)
        #expect(service.phase == .ready)
        #expect(service.route() == .ready)
        #expect(service.has(.recordPhase(ServiceUnderTest.first, attempt: 1, .ready, .seconds(4))))
        #expect(service.has(.disarm(ServiceUnderTest.first, .startup)))
        #expect(service.asked(.readiness)?.after == .seconds(2))
        #expect(service.state.status == .ready)
    }

    @Test("without a probe it is ready as soon as it runs")
    func whenRunning() {
        var service = ServiceUnderTest(ServiceRules(readiness: .whenRunning))
        service.launch()
        #expect(service.phase == .ready)
        #expect(!service.actions.contains { if case .probe = $0 { true } else { false } })
    }

    @Test("a start that does nothing for 10 minutes is given up, one that works goes on")
    func quietDeadline() {
        var service = ServiceUnderTest()
        service.launch()
        service.wait(.seconds(500))
        service.answer(.startup, .refused, activity: Activity(bytesRead: 1 << 20))
        service.wait(.seconds(500))
        service.answer(.startup, .refused, activity: Activity(bytesRead: 1 << 20))
        #expect(service.phase == .starting)
        service.wait(.seconds(100))
        service.answer(.startup, .refused, activity: Activity(bytesRead: 1 << 20))
        #expect(service.phase == .stopping)
        #expect(service.has(.signal(ServiceUnderTest.first, 15)))
        #expect(service.text(of: .startFailed)?.contains("read nothing, computed nothing and logged nothing") == true)
        service.end(.signal(15))
        guard case .ended(.startupDeadline(let text), _)? = service.replica.lastDeath else {
            Issue.record("it died of \(String(describing: service.replica.lastDeath))")
            return
        }
        #expect(text.contains("refused"))
    }

    @Test(
        "processor time, bytes read and log output are progress, a trickle of processor time is not",
        arguments: [
            (Activity(cpu: 40_000_000_000), true), (Activity(cpu: 10_000_000_000), false),
            (Activity(bytesRead: 1), true), (Activity(logOutput: 1), true), (Activity(quietFor: .zero), false),
        ])
    func progress(activity: Activity, counts: Bool) {
        var service = ServiceUnderTest()
        service.launch()
        service.wait(.seconds(599))
        service.answer(.startup, .refused, activity: activity)
        service.wait(.seconds(2))
        service.answer(.startup, .refused, activity: activity)
        #expect((service.phase == .starting) == counts)
    }

    @Test("whatever it does, a start ends at the hard deadline")
    func hardDeadline() {
        var rules = ServiceRules(readiness: .check(ServiceUnderTest.http))
        rules.startup.hardDeadline = .seconds(30)
        var service = ServiceUnderTest(rules)
        service.launch()
        service.wait(.seconds(29))
        service.answer(.startup, .refused, activity: Activity(bytesRead: 5))
        #expect(service.phase == .starting)
        service.fire(.startup)
        #expect(service.phase == .stopping)
        #expect(service.text(of: .startFailed)?.contains("not ready within 30s") == true)
    }

    @Test("with somebody waiting, an end before the first readiness is final at once")
    func failFast() {
        var service = ServiceUnderTest()
        service.launch(failFast: true)
        service.end(.code(3))
        #expect(service.phase == .failed)
        #expect(service.state.desired == .stopped)
        #expect(service.state.status == .failed)
        #expect(service.text(of: .failed) == "demo-1 failed to start: exit code 3")
        #expect(!service.launches)
    }

    @Test("once it was ready, an end is restarted even if somebody had waited")
    func failFastIsOver() {
        var service = ServiceUnderTest()
        service.launch(failFast: true)
        service.answer(.startup, ServiceUnderTest.ok)
        service.end()
        #expect(service.phase == .pending)
    }

    @Test("one of several that fails while somebody waits stops the others")
    func failFastStopsAll() {
        var service = ServiceUnderTest(ServiceRules(replicas: 2, readiness: .check(ServiceUnderTest.http)))
        service.send(.startRequested(failFast: true))
        service.send(.launched(ProcessIdentity(pid: 1, startTime: 1)), to: ReplicaID("demo-1"))
        service.send(.launched(ProcessIdentity(pid: 2, startTime: 1)), to: ReplicaID("demo-2"))
        service.end(id: ReplicaID("demo-1"))
        #expect(service.state.replicas.map(\.phase) == [.failed, .stopping])
    }

    @Test("a launch that fails is cleaned up and tried again")
    func launchFailed() {
        var service = ServiceUnderTest()
        service.send(.startRequested(failFast: false))
        service.send(.launchFailed("cannot mount"))
        #expect(service.phase == .cleaning)
        #expect(service.has(.cleanUp(ServiceUnderTest.first, attempt: 1)))
        service.send(.cleanedUp)
        #expect(service.phase == .pending)
        #expect(service.replica.lastDeath == .launchFailed("cannot mount"))
    }

    @Test("with auto, wrong guesses are left and the contract that answers is kept; then nobody wakes up for it")
    func candidates() {
        let missing = ProbeCheck.http(port: 8000, path: "/nope", expecting: .ok)
        let guesses = [
            ProbeCandidate("one", ready: missing, live: missing),
            ProbeCandidate("two", ready: ServiceUnderTest.http, live: ServiceUnderTest.http),
            ProbeCandidate("port", ready: ServiceUnderTest.tcp, live: ServiceUnderTest.tcp),
        ]
        var service = ServiceUnderTest(ServiceRules(readiness: .candidates(guesses), liveness: .onSuspicion))
        service.launch()
        service.answer(.startup, .refused)
        #expect(service.asked(.startup)?.check == missing)
        service.answer(.startup, .http(status: 404, body: []))
        #expect(service.asked(.startup)?.check == ServiceUnderTest.http)
        #expect(service.asked(.startup)?.after == .zero)
        service.answer(.startup, ServiceUnderTest.loading)
        #expect(service.asked(.startup)?.check == ServiceUnderTest.http)
        #expect(service.phase == .warming)
        service.answer(.startup, ServiceUnderTest.ok)
        #expect(service.phase == .ready)
        #expect(service.replica.contract?.name == "two")
        #expect(!service.actions.contains { if case .probe = $0 { true } else { false } })
        #expect(service.replica.timers.isEmpty)
    }
}
