import OCISpec
import Testing

@testable import Serving

@Suite("After the supervisor was killed")
struct ResumeTests {
    /// Through text, as the driver does it.
    private func reloaded(_ service: ServiceUnderTest) throws -> ServiceState {
        let text = service.state.json.text(pretty: true)
        return try ServiceState(JSONCursor(JSON(parsing: Array(text.utf8))), rules: service.state.rules)
    }

    private func resume(_ service: inout ServiceUnderTest, afterBoot: Bool = false) throws {
        (service.state, service.actions) = ServiceMachine.resume(
            try reloaded(service), at: service.now, random: 0.5, afterBoot: afterBoot)
    }

    @Test("a state that was written is the same when it is read")
    func roundTrip() throws {
        for phase in [ReplicaPhase.starting, .warming, .ready, .unready, .draining, .stopping] {
            let service = StopTests.service(in: phase)
            #expect(try reloaded(service) == service.state.durable)
        }
        var service = ServiceUnderTest()
        service.launch()
        service.end(.signal(9), outOfMemory: true)
        #expect(try reloaded(service) == service.state.durable)
    }

    @Test("a state with a phase that is not known is refused with its place")
    func unknownPhase() throws {
        var service = ServiceUnderTest()
        service.launch()
        let text = service.state.json.text().replacing("\"starting\"", with: "\"flying\"")
        #expect(throws: JSONError(path: "replicas[0].phase", message: "\"flying\" is not known")) {
            try ServiceState(JSONCursor(JSON(parsing: Array(text.utf8))), rules: service.state.rules)
        }
    }

    @Test("a ready replica goes on, routed and asked once more, without being touched")
    func ready() throws {
        var service = StopTests.service(in: .ready)
        try resume(&service)
        #expect(service.phase == .ready)
        #expect(service.route() == .ready)
        #expect(service.asked(.readiness)?.after == .zero)
        #expect(!service.launches && !service.kills)
        #expect(!service.actions.contains { if case .signal = $0 { true } else { false } })
    }

    @Test("a start goes on with its old deadline")
    func starting() throws {
        var service = StopTests.service(in: .starting)
        let deadline = service.replica.timers[.startup]
        service.wait(.seconds(100))
        try resume(&service)
        #expect(service.replica.timers[.startup] == deadline)
        #expect(service.has(.arm(ServiceUnderTest.first, attempt: 1, .startup, at: try #require(deadline))))
        #expect(service.asked(.startup) != nil)
    }

    @Test("a stop goes on: asked again before its time is over, killed after it")
    func stopping() throws {
        var service = StopTests.service(in: .stopping)
        try resume(&service)
        #expect(service.has(.signal(ServiceUnderTest.first, 15)))
        service.fire(.stop)
        try resume(&service)
        #expect(service.kills)
    }

    @Test("a launch whose end nobody saw is ended and done again, without counting as a failure")
    func launching() throws {
        var service = ServiceUnderTest()
        service.send(.startRequested(failFast: false))
        try resume(&service)
        #expect(service.phase == .cleaning)
        #expect(service.kills)
        service.send(.cgroupEmpty)
        service.send(.cleanedUp)
        #expect(service.phase == .launching)
        #expect(service.replica.failuresInARow == 0)
    }

    @Test("a replica that died meanwhile is reported and restarted")
    func died() throws {
        var service = StopTests.service(in: .ready)
        try resume(&service)
        service.send(.exited(.unknown, outOfMemory: false))
        #expect(service.notices == [.died])
        service.send(.cgroupEmpty)
        service.send(.cleanedUp)
        #expect(service.phase == .pending)
    }

    @Test(
        "after the host was started, the policy says what runs again",
        arguments: [
            (RestartPolicy.always, false, true), (.always, true, true), (.unlessStopped, false, true),
            (.unlessStopped, true, false), (.onFailure(maximum: nil), false, true), (.no, false, false),
        ])
    func afterBoot(_ policy: RestartPolicy, stoppedBefore: Bool, runs: Bool) throws {
        var service = ServiceUnderTest(ServiceRules(restart: policy, readiness: .whenRunning))
        service.launch()
        if stoppedBefore {
            service.send(.stopRequested(force: true))
            service.end(.signal(9))
        }
        service.now = MonotonicTime(nanoseconds: 5)
        try resume(&service, afterBoot: true)
        #expect(service.launches == runs)
        #expect(service.phase == (runs ? .launching : .stopped))
        #expect(service.replica.timers.isEmpty)
        #expect(service.replica.process == nil)
    }
}
