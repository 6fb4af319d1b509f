import OCISpec
import Testing

@testable import Serving

/// A service that is stepped by hand: keeps the state, the clock and all actions.
struct ServiceUnderTest {
    var state: ServiceState
    var now = MonotonicTime(nanoseconds: 1_000_000_000_000)
    var random = 0.5
    /// Of the last event.
    var actions: [ServiceAction] = []

    static let tcp = ProbeCheck.tcp(port: 8000)
    static let http = ProbeCheck.http(port: 8000, path: "/health", expecting: .success)
    static let first = ReplicaID("demo-1")

    init(_ rules: ServiceRules = ServiceRules(readiness: .check(http))) {
        state = ServiceState(name: "demo", rules: rules)
    }

    var replica: ReplicaState { state.replicas[0] }
    var phase: ReplicaPhase { replica.phase }

    mutating func send(_ event: ServiceEvent) {
        (state, actions) = ServiceMachine.step(state, event, at: now, random: random)
    }

    mutating func send(_ event: ReplicaEvent, to id: ReplicaID = first) {
        send(.replica(id, attempt: state.replica(id)?.attempt ?? 0, event))
    }

    mutating func wait(_ duration: Duration) { now = now + duration }

    /// Sends a timer at its time.
    mutating func fire(_ timer: ReplicaTimer, of id: ReplicaID = first) {
        if let deadline = state.replica(id)?.timers[timer] { now = max(now, deadline) }
        send(.timer(timer), to: id)
    }

    mutating func answer(_ kind: ProbeKind, _ answer: ProbeAnswer, activity: Activity? = nil) {
        send(.probed(kind, answer, activity))
    }

    static let ok = ProbeAnswer.http(status: 200, body: [])
    static let loading = ProbeAnswer.http(status: 503, body: [])

    mutating func launch(failFast: Bool = false) {
        send(.startRequested(failFast: failFast))
        send(.launched(ProcessIdentity(pid: 42, startTime: 7)))
    }

    mutating func becomeReady() {
        launch()
        answer(.startup, Self.ok)
    }

    mutating func end(_ status: ReplicaExit = .code(1), outOfMemory: Bool = false, id: ReplicaID = first) {
        send(.exited(status, outOfMemory: outOfMemory), to: id)
        send(.cgroupEmpty, to: id)
        send(.cleanedUp, to: id)
    }

    func asked(_ kind: ProbeKind) -> ProbeRequest? {
        for case .probe(_, _, let request) in actions where request.kind == kind { return request }
        return nil
    }

    func route() -> ReplicaRoute? {
        for case .route(_, let route) in actions { return route }
        return nil
    }

    var notices: [ServiceNotice.Kind] {
        actions.compactMap { if case .emit(let notice) = $0 { notice.kind } else { nil } }
    }

    func text(of kind: ServiceNotice.Kind) -> String? {
        for case .emit(let notice) in actions where notice.kind == kind { return notice.text }
        return nil
    }

    func has(_ action: ServiceAction) -> Bool { actions.contains(action) }

    var kills: Bool { actions.contains { if case .killCgroup = $0 { true } else { false } } }
    var launches: Bool { actions.contains { if case .launch = $0 { true } else { false } } }
}
