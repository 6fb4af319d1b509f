import Testing

@testable import Serving

@Suite("After an end")
struct RestartTests {
    @Test("it is cleaned up before it is started again, and only then")
    func order() {
        var service = ServiceUnderTest()
        service.becomeReady()
        service.send(.exited(.code(1), outOfMemory: false))
        #expect(service.phase == .cleaning)
        #expect(service.route() == .absent)
        #expect(service.kills)
        service.send(.cgroupEmpty)
        #expect(service.has(.cleanUp(ServiceUnderTest.first, attempt: 1)))
        service.send(.cleanedUp)
        #expect(service.phase == .pending)
        #expect(!service.launches)
        service.fire(.restart)
        #expect(service.launches)
        #expect(service.replica.attempt == 2)
        #expect(service.replica.restarts == 1)
    }

    @Test(
        "the delay doubles from one second to one minute",
        arguments: zip(1...9, [1, 2, 4, 8, 16, 32, 60, 60, 60]))
    func backOff(failures: Int, seconds: Int) {
        func delay(_ random: Double) -> Duration {
            RestartTiming.delay(failuresInARow: failures, crashLooping: false, random: random)
        }
        #expect(delay(0.5) == .seconds(seconds))
        #expect(delay(0) == .milliseconds(seconds * 900))
        #expect(delay(1) == .milliseconds(seconds * 1100))
    }

    @Test("five failures within ten minutes are a crash loop: said once, shown until it is healthy, tried each minute")
    func crashLoop() {
        var service = ServiceUnderTest()
        service.send(.startRequested(failFast: false))
        for round in 1...6 {
            service.send(.launched(ProcessIdentity(pid: 1, startTime: 1)))
            service.end()
            #expect(service.replica.crashLooping == (round >= 5))
            #expect(service.notices.contains(.crashLoop) == (round == 5))
            if round >= 5 {
                #expect(service.state.status == .crashLoop)
                #expect(service.replica.timers[.restart] == service.now + .seconds(60))
            }
            service.fire(.restart)
        }
        #expect(service.replica.status == .crashLoop)
        service.send(.launched(ProcessIdentity(pid: 1, startTime: 1)))
        service.answer(.startup, ServiceUnderTest.ok)
        #expect(service.state.status == .ready)
    }

    @Test("failures more than ten minutes apart are no crash loop")
    func slowFailures() {
        var service = ServiceUnderTest()
        service.send(.startRequested(failFast: false))
        for _ in 0..<20 {
            service.send(.launched(ProcessIdentity(pid: 1, startTime: 1)))
            service.wait(.seconds(200))
            service.end()
            service.fire(.restart)
        }
        #expect(!service.replica.crashLooping)
        #expect(service.replica.recentFailures.count <= 4)
    }

    @Test("ten healthy minutes, or twice the usual start, make failures forgotten")
    func forget() {
        var service = ServiceUnderTest()
        service.launch()
        service.end()
        service.fire(.restart)
        service.send(.launched(ProcessIdentity(pid: 1, startTime: 1)))
        service.answer(.startup, ServiceUnderTest.ok)
        #expect(service.replica.timers[.forget] == service.now + .seconds(600))
        #expect(service.replica.failuresInARow == 1)
        service.fire(.forget)
        #expect(service.replica.failuresInARow == 0)
        #expect(RestartTiming.forgetting(after: [.seconds(400), .seconds(500), .seconds(3)]) == .seconds(800))
    }

    @Test(
        "the policy decides",
        arguments: [
            (RestartPolicy.no, ReplicaExit.code(1), ReplicaPhase.failed), (.no, .code(0), .stopped),
            (.always, .code(0), .pending), (.unlessStopped, .code(0), .pending),
            (.onFailure(maximum: nil), .code(0), .stopped), (.onFailure(maximum: nil), .code(2), .pending),
            (.onFailure(maximum: nil), .signal(11), .pending),
        ])
    func policy(_ policy: RestartPolicy, _ status: ReplicaExit, _ phase: ReplicaPhase) {
        var service = ServiceUnderTest(ServiceRules(restart: policy, readiness: .check(ServiceUnderTest.http)))
        service.becomeReady()
        service.end(status)
        #expect(service.phase == phase)
    }

    @Test("on-failure:2 gives up after two restarts")
    func onFailureMaximum() {
        var service = ServiceUnderTest(
            ServiceRules(restart: .onFailure(maximum: 2), readiness: .check(ServiceUnderTest.http)))
        service.launch()
        for phase in [ReplicaPhase.pending, .pending, .failed] {
            service.end()
            #expect(service.phase == phase)
            service.fire(.restart)
            service.send(.launched(ProcessIdentity(pid: 1, startTime: 1)))
        }
    }

    @Test("a server that hung is restarted under on-failure even if it then ends with 0")
    func hungIsFailure() {
        var service = ServiceUnderTest(
            ServiceRules(
                restart: .onFailure(maximum: nil), readiness: .check(ServiceUnderTest.http),
                liveness: .check(ServiceUnderTest.tcp)))
        service.becomeReady()
        for _ in 0..<3 { service.answer(.liveness, .refused) }
        service.end(.code(0))
        #expect(service.phase == .pending)
    }

    @Test("kills for want of memory in a row are counted")
    func outOfMemory() {
        var service = ServiceUnderTest()
        service.launch()
        service.end(.signal(9), outOfMemory: true)
        #expect(service.replica.lastDeath == .outOfMemory(.signal(9)))
        service.fire(.restart)
        service.send(.launched(ProcessIdentity(pid: 1, startTime: 1)))
        service.end(.signal(9), outOfMemory: true)
        #expect(service.replica.outOfMemoryInARow == 2)
        service.fire(.restart)
        service.send(.launched(ProcessIdentity(pid: 1, startTime: 1)))
        service.end(.code(1))
        #expect(service.replica.outOfMemoryInARow == 0)
    }

    @Test("a clean-up that fails is tried again until it succeeds, and is said once")
    func cleanUpFails() {
        var service = ServiceUnderTest()
        service.becomeReady()
        service.send(.exited(.code(1), outOfMemory: false))
        service.send(.cgroupEmpty)
        service.send(.cleanUpFailed("device busy"))
        #expect(service.notices == [.warning])
        #expect(service.phase == .cleaning)
        service.fire(.cleanUp)
        #expect(service.kills)
        service.send(.cgroupEmpty)
        service.send(.cleanUpFailed("device busy"))
        #expect(service.notices.isEmpty)
        service.fire(.cleanUp)
        service.send(.cgroupEmpty)
        service.send(.cleanedUp)
        #expect(service.phase == .pending)
    }

    @Test("a start asked for while it waits for its turn is a start now, with a clean slate")
    func startNow() {
        var service = ServiceUnderTest()
        service.launch()
        service.end()
        service.send(.startRequested(failFast: false))
        #expect(service.launches)
        #expect(service.replica.failuresInARow == 0)
        #expect(service.has(.disarm(ServiceUnderTest.first, .restart)))
    }
}
