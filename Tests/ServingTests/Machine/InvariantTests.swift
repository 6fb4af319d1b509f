import OCISpec
import Testing

@testable import Serving

/// Events in any order, as lost, late and doubled messages would have it.
@Suite("Whatever happens")
struct InvariantTests {
    private struct Chance: RandomNumberGenerator {
        var state: UInt64
        // SplitMix64: the same sequence for the same seed.
        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return mixed ^ (mixed >> 31)
        }
    }

    private static let readiness: [ServiceRules.Readiness] = [
        .whenRunning, .check(ServiceUnderTest.http),
        .candidates([
            ProbeCandidate("http", ready: ServiceUnderTest.http, live: ServiceUnderTest.http),
            ProbeCandidate("tcp", ready: ServiceUnderTest.tcp, live: ServiceUnderTest.tcp),
        ]),
    ]
    private static let liveness: [ServiceRules.Liveness] = [.none, .check(ServiceUnderTest.tcp), .onSuspicion]
    private static let answers: [ProbeAnswer] = [
        .refused, .timedOut, .connected, .notHTTP, .http(status: 200, body: []), .http(status: 404, body: []),
        .http(status: 503, body: []), .failed("reset"), .exec(exitCode: 1, output: ""),
    ]

    private func rules(_ chance: inout Chance) -> ServiceRules {
        let policies: [RestartPolicy] = [.no, .always, .unlessStopped, .onFailure(maximum: 3)]
        return ServiceRules(
            replicas: Int.random(in: 1...3, using: &chance), restart: policies.randomElement(using: &chance)!,
            readiness: Self.readiness.randomElement(using: &chance)!,
            liveness: Self.liveness.randomElement(using: &chance)!,
            stopTimeout: .seconds(Int.random(in: 0...2, using: &chance)),
            drainTimeout: .seconds(Int.random(in: 0...2, using: &chance)))
    }

    private func event(_ state: ServiceState, _ chance: inout Chance) -> ServiceEvent {
        if state.replicas.isEmpty || Int.random(in: 0..<12, using: &chance) == 0 {
            switch Int.random(in: 0..<7, using: &chance) {
            case 0, 1: return .startRequested(failFast: Bool.random(using: &chance))
            case 2: return .stopRequested(force: false)
            case 3: return .stopRequested(force: true)
            case 4: return .restartRequested
            case 5: return .signalRequested([1, 9, 15].randomElement(using: &chance)!)
            default: return .rulesChanged(rules(&chance))
            }
        }
        let replica = state.replicas.randomElement(using: &chance)!
        let event: ReplicaEvent
        switch Int.random(in: 0..<14, using: &chance) {
        case 0, 1: event = .launched(ProcessIdentity(pid: 5, startTime: 5))
        case 2: event = .launchFailed("no")
        case 3, 4, 5:
            let activity = Activity(cpu: Int64.random(in: 0..<1000, using: &chance))
            event = .probed(
                ProbeKind.allCases.randomElement(using: &chance)!, Self.answers.randomElement(using: &chance)!, activity
            )
        case 6:
            event = .exited(.code(Int32.random(in: 0...1, using: &chance)), outOfMemory: Bool.random(using: &chance))
        case 7: event = .cgroupEmpty
        case 8, 9: event = .cleanedUp
        case 10: event = .cleanUpFailed("busy")
        case 11: event = .timer(ReplicaTimer.allCases.randomElement(using: &chance)!)
        case 12: event = .drained
        default: event = .upstreamFailed("reset")
        }
        let isStale = Int.random(in: 0..<20, using: &chance) == 0
        return .replica(replica.id, attempt: replica.attempt - (isStale ? 1 : 0), event)
    }

    /// What the gateway, the launcher and the disk must have seen.
    private struct World {
        var routes: [ReplicaID: ReplicaRoute] = [:]
        var processes: Set<ReplicaID> = []

        mutating func apply(_ action: ServiceAction, _ state: ServiceState) {
            switch action {
            case .route(let id, .absent): routes[id] = nil
            case .route(let id, let route): routes[id] = route
            case .launch(let id, let attempt):
                #expect(!processes.contains(id), "\(id) is launched while its last process may live")
                #expect(state.replica(id)?.attempt == attempt)
                processes.insert(id)
            case .forget(let id):
                #expect(!processes.contains(id), "\(id) is forgotten while its process may live")
                #expect(state.replica(id) == nil)
            default: break
            }
        }

        mutating func notice(_ event: ServiceEvent, _ old: ServiceState) {
            guard case .replica(let id, let attempt, .cleanedUp) = event, let replica = old.replica(id) else { return }
            if replica.attempt == attempt, replica.phase == .cleaning { processes.remove(id) }
        }
    }

    @Test("no order of events routes to a replica that does not run, or runs one twice", arguments: 0..<150)
    func noImpossibleState(seed: Int) throws {
        var chance = Chance(state: UInt64(seed))
        var state = ServiceState(name: "demo", rules: rules(&chance))
        var world = World()
        var now = MonotonicTime(nanoseconds: 1)
        for step in 0..<400 {
            let event = event(state, &chance)
            let old = state
            now = now + .milliseconds(Int.random(in: 0...3000, using: &chance))
            let random = Double.random(in: 0...1, using: &chance)
            world.notice(event, old)
            let actions: [ServiceAction]
            (state, actions) = ServiceMachine.step(state, event, at: now, random: random)
            for action in actions { world.apply(action, state) }
            check(state, old, actions, world)
            if step % 50 == 0 {
                let reread = try ServiceState(JSONCursor(JSON(parsing: state.json.bytes())), rules: state.rules)
                #expect(reread == state.durable)
            }
        }
    }

    private func check(_ state: ServiceState, _ old: ServiceState, _ actions: [ServiceAction], _ world: World) {
        for replica in state.replicas {
            let isRouted = replica.route != .absent
            if isRouted { #expect(replica.process != nil, "\(replica.id) is routed without a process") }
            #expect((world.routes[replica.id] ?? .absent) == replica.route, "the gateway was not told")
            if !replica.phase.mayHaveProcess {
                #expect(replica.process == nil)
                #expect(!world.processes.contains(replica.id), "\(replica.phase) with a process that may live")
            }
            if replica.phase == .stopped || replica.phase == .failed { #expect(replica.timers.isEmpty) }
            if replica.phase == .pending { #expect(replica.timers[.restart] != nil, "nothing ends the waiting") }
            if replica.phase == .draining { #expect(replica.timers[.drain] != nil) }
            if replica.phase == .starting || replica.phase == .warming {
                #expect(replica.observations.probing.contains(.startup), "nobody asks a replica that starts")
            }
            if replica.phase == .unready {
                #expect(replica.observations.probing.contains(.readiness), "nobody asks a replica that is unready")
            }
        }
        if old.durable != state.durable { #expect(actions.first == .persist) }
        #expect(Set(state.replicas.map(\.id)).count == state.replicas.count)
        if state.desired == .stopped {
            for replica in state.replicas { #expect(replica.goal != .restart) }
        }
    }

    @Test("from every state, a forced stop and an obedient world lead to rest", arguments: 0..<60)
    func stopAlwaysWorks(seed: Int) {
        var chance = Chance(state: UInt64(seed) &+ 1000)
        var state = ServiceState(name: "demo", rules: rules(&chance))
        var now = MonotonicTime(nanoseconds: 1)
        for _ in 0..<Int.random(in: 1...120, using: &chance) {
            now = now + .milliseconds(500)
            (state, _) = ServiceMachine.step(state, event(state, &chance), at: now, random: 0.5)
        }
        (state, _) = ServiceMachine.step(state, .stopRequested(force: true), at: now, random: 0.5)
        for _ in 0..<10 {
            for replica in state.replicas {
                let event: ReplicaEvent? =
                    switch replica.phase {
                    case .launching: .launched(ProcessIdentity(pid: 1, startTime: 1))
                    case .stopping: .exited(.signal(9), outOfMemory: false)
                    case .cleaning: .cleanedUp
                    default: nil
                    }
                guard let event else { continue }
                (state, _) = ServiceMachine.step(
                    state, .replica(replica.id, attempt: replica.attempt, event), at: now, random: 0.5)
            }
        }
        #expect(state.isAtRest, "\(state.replicas.map(\.phase))")
    }
}
