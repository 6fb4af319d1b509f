import Testing

@testable import Serving

@Suite("Stopping")
struct StopTests {
    @Test("drained, asked, killed: each step only after the one before, and stopped only when nothing is left")
    func wholeWay() {
        var service = ServiceUnderTest()
        service.becomeReady()
        service.send(.stopRequested(force: false))
        #expect(service.phase == .draining)
        #expect(service.route() == .draining)
        #expect(service.replica.timers == [.drain: service.now + .seconds(120)])
        #expect(!service.has(.signal(ServiceUnderTest.first, 15)))
        service.send(.drained)
        #expect(service.phase == .stopping)
        #expect(service.route() == .absent)
        #expect(service.has(.signal(ServiceUnderTest.first, 15)))
        #expect(service.replica.timers == [.stop: service.now + .seconds(15)])
        service.fire(.stop)
        #expect(service.kills)
        #expect(service.phase == .stopping)
        service.send(.exited(.signal(9), outOfMemory: false))
        #expect(service.phase == .cleaning)
        #expect(service.state.status == .stopping)
        service.send(.cgroupEmpty)
        #expect(!service.state.isAtRest)
        service.send(.cleanedUp)
        #expect(service.phase == .stopped)
        #expect(service.state.isAtRest)
        #expect(service.replica.lastDeath == .ended(.stopRequested, .signal(9)))
    }

    @Test("a timer that rings early does nothing but ring again")
    func earlyTimer() throws {
        var service = ServiceUnderTest()
        service.becomeReady()
        service.send(.stopRequested(force: false))
        service.send(.drained)
        let deadline = try #require(service.replica.timers[.stop])
        service.wait(.milliseconds(14_999))
        service.send(.timer(.stop))
        #expect(service.actions == [.arm(ServiceUnderTest.first, attempt: 1, .stop, at: deadline)])
        service.wait(.milliseconds(1))
        service.send(.timer(.stop))
        #expect(service.kills)
    }

    @Test("requests that do not end within the drain time are cut off")
    func drainTimeout() {
        var service = ServiceUnderTest()
        service.becomeReady()
        service.send(.stopRequested(force: false))
        service.fire(.drain)
        #expect(service.phase == .stopping)
        service.end(.code(0))
        #expect(service.replica.lastDeath == .ended(.drainTimeout, .code(0)))
        #expect(service.phase == .stopped)
    }

    @Test(
        "with force it is killed at once, whatever it was doing",
        arguments: [ReplicaPhase.starting, .warming, .ready, .unready, .draining, .stopping])
    func force(from phase: ReplicaPhase) {
        var service = Self.service(in: phase)
        #expect(service.phase == phase)
        service.send(.stopRequested(force: true))
        #expect(service.phase == .stopping)
        #expect(service.kills)
        #expect(!service.has(.signal(ServiceUnderTest.first, 15)))
        service.end(.signal(9))
        #expect(service.phase == .stopped)
    }

    @Test("a replica that has no requests is not drained", arguments: [ReplicaPhase.starting, .warming])
    func noDrain(from phase: ReplicaPhase) {
        var service = Self.service(in: phase)
        service.send(.stopRequested(force: false))
        #expect(service.phase == .stopping)
        #expect(service.has(.signal(ServiceUnderTest.first, 15)))
    }

    @Test("a stop during the launch takes effect as soon as there is a process")
    func duringLaunch() {
        var service = ServiceUnderTest()
        service.send(.startRequested(failFast: false))
        service.send(.stopRequested(force: true))
        #expect(service.phase == .launching)
        service.send(.launched(ProcessIdentity(pid: 9, startTime: 9)))
        #expect(service.kills)
        service.end(.signal(9))
        #expect(service.phase == .stopped)
    }

    @Test("a stop during a launch that fails leaves it stopped")
    func duringFailedLaunch() {
        var service = ServiceUnderTest()
        service.send(.startRequested(failFast: false))
        service.send(.stopRequested(force: false))
        service.send(.launchFailed("no"))
        service.send(.cleanedUp)
        #expect(service.phase == .stopped)
    }

    @Test("a replica that waits for its restart is stopped at once")
    func pending() {
        var service = ServiceUnderTest()
        service.launch()
        service.end()
        service.send(.stopRequested(force: false))
        #expect(service.phase == .stopped)
        #expect(service.has(.disarm(ServiceUnderTest.first, .restart)))
        service.send(.timer(.restart))
        #expect(service.phase == .stopped)
    }

    @Test("a start during a stop is a start after it")
    func startDuringStop() {
        var service = ServiceUnderTest()
        service.becomeReady()
        service.send(.stopRequested(force: false))
        service.send(.startRequested(failFast: false))
        #expect(service.phase == .draining)
        service.send(.drained)
        service.end(.code(0))
        #expect(service.phase == .launching)
        #expect(service.replica.restarts == 0)
    }

    @Test("a restart drains, stops and launches again without delay")
    func restart() {
        var service = ServiceUnderTest()
        service.becomeReady()
        service.send(.restartRequested)
        #expect(service.phase == .draining)
        service.send(.drained)
        service.end(.code(0))
        #expect(service.phase == .launching)
        #expect(service.replica.attempt == 2)
        #expect(service.replica.lastDeath == .ended(.restartRequested, .code(0)))
        #expect(service.replica.failuresInARow == 0)
    }

    @Test("an end of its own during the drain still ends as it was asked to")
    func diesDuringDrain() {
        var service = ServiceUnderTest()
        service.becomeReady()
        service.send(.stopRequested(force: false))
        service.end(.signal(11))
        #expect(service.phase == .stopped)
    }

    @Test("the stop signal by hand means that it shall stay stopped, another signal means nothing")
    func signals() {
        var service = ServiceUnderTest()
        service.becomeReady()
        service.send(.signalRequested(1))
        #expect(service.actions == [.signal(ServiceUnderTest.first, 1)])
        service.send(.signalRequested(15))
        #expect(service.state.desired == .stopped)
        #expect(service.has(.signal(ServiceUnderTest.first, 15)))
        service.end(.code(0))
        #expect(service.phase == .stopped)
    }

    @Test("SIGKILL by hand kills all that is in the cgroup")
    func sigkill() {
        var service = ServiceUnderTest()
        service.becomeReady()
        service.send(.signalRequested(9))
        #expect(service.kills)
        #expect(service.state.desired == .stopped)
    }

    @Test("fewer replicas end the newest, more start new ones with numbers never used before")
    func scale() {
        var rules = ServiceRules(replicas: 2, readiness: .whenRunning)
        var service = ServiceUnderTest(rules)
        service.send(.startRequested(failFast: false))
        for name in ["demo-1", "demo-2"] {
            service.send(.launched(ProcessIdentity(pid: 1, startTime: 1)), to: ReplicaID(name))
        }
        rules.replicas = 1
        service.send(.rulesChanged(rules))
        #expect(service.state.replicas.map(\.phase) == [.ready, .draining])
        service.send(.drained, to: ReplicaID("demo-2"))
        service.end(.code(0), id: ReplicaID("demo-2"))
        #expect(service.has(.forget(ReplicaID("demo-2"))))
        #expect(service.state.replicas.map(\.id.rawValue) == ["demo-1"])
        rules.replicas = 3
        service.send(.rulesChanged(rules))
        #expect(service.state.replicas.map(\.id.rawValue) == ["demo-1", "demo-3", "demo-4"])
    }

    static func service(in phase: ReplicaPhase) -> ServiceUnderTest {
        var service = ServiceUnderTest()
        service.launch()
        switch phase {
        case .warming: service.answer(.startup, ServiceUnderTest.loading)
        case .ready: service.answer(.startup, ServiceUnderTest.ok)
        case .unready:
            service.answer(.startup, ServiceUnderTest.ok)
            for _ in 0..<2 { service.answer(.readiness, .timedOut) }
        case .draining:
            service.answer(.startup, ServiceUnderTest.ok)
            service.send(.stopRequested(force: false))
        case .stopping: service.send(.stopRequested(force: false))
        default: break
        }
        return service
    }
}
