internal import NIOCore
internal import OCISpec

/// How much a service takes at once, and how long it lets others wait.
struct ServiceSettings: Sendable, Equatable {
    /// The most requests one replica gets at a time; 0 is no limit.
    var concurrency = 0
    /// The most requests that may be held.
    var maxQueue = 1000
    /// The longest a request is held.
    var maxWait: TimeAmount = .seconds(300)
}

/// A service: its replicas, who is with them, and who waits for them. All of it belongs to one event loop, so that
/// there is nothing to lock.
final class Service {
    /// How long a replica gets nothing new after a connection to it broke, and how seldom: a server that closes
    /// connections for reasons of its own, or is made to by a client, delays the others by no more than this.
    private static let doubt: TimeAmount = .milliseconds(100)
    private static let trust: TimeAmount = .seconds(2)

    let name: String
    let loop: any EventLoop
    private(set) var replicas: [Replica] = []
    private var queue = HoldQueue()
    private var deadline: Scheduled<Void>?
    var statistics = ServiceStatistics()
    private let events: EventInbox
    var settings = ServiceSettings() {
        didSet {
            scheduleDeadline()
            dispatch()
        }
    }

    init(name: String, loop: any EventLoop, events: EventInbox) {
        self.name = name
        self.loop = loop
        self.events = events
    }

    var inFlight: Int { replicas.reduce(0) { $0 + $1.inFlight } }
    var queued: Int { queue.count }

    // MARK: Replicas

    func add(_ replica: Replica) {
        replicas.append(replica)
        dispatch()
    }

    func replica(_ name: String) -> Replica? { replicas.first { $0.name == name } }

    func set(_ replica: Replica, to state: ReplicaState) {
        replica.state = state
        switch state {
        case .ready: dispatch()
        case .unready: replica.pool.closeIdle()
        case .draining:
            replica.pool.closeIdle()
            reportIfDrained(replica)
        }
    }

    func remove(_ replica: Replica) {
        replicas.removeAll { $0 === replica }
        replica.remove()
    }

    /// Everybody who waits is told that there will be nothing to wait for.
    func close() {
        while let request = queue.popFirst() { request.refuse(.serviceRemoved) }
        scheduleDeadline()
    }

    // MARK: Requests

    /// Grants a replica at once, later, or never: one of the request's two answers is called exactly once, unless
    /// it is cancelled before.
    func seek(_ request: HeldRequest) {
        if let replica = pick(avoiding: request.avoided) {
            grant(replica, to: request)
        } else if queue.count >= settings.maxQueue {
            request.refuse(.queueFull)
        } else {
            queue.append(request)
            if queue.count == 1 { scheduleDeadline() }
        }
    }

    /// Whether another replica than `avoided` could take a request now.
    func hasRoom(avoiding avoided: Replica) -> Bool { pick(avoiding: avoided) != nil }

    /// The client left.
    func cancel(_ request: HeldRequest) {
        queue.remove(request)
        if queue.count == 0 { scheduleDeadline() }
    }

    /// A granted replica is free again of this request.
    func release(_ replica: Replica) {
        replica.inFlight -= 1
        if replica.state == .draining { reportIfDrained(replica) }
        dispatch()
    }

    func upstreamFailed(_ replica: Replica, _ message: String) {
        guard !replica.isRemoved, let count = replica.failures.count(at: .now()) else { return }
        events.post(.upstreamFailed(service: name, replica: replica.name, message: message, count: count))
    }

    /// A connection broke over which a request was under way. While a server dies its listening socket may still take
    /// connections that nobody will read, and what was sent over them must not be sent again: the next requests are
    /// better off elsewhere, or waiting for the supervisor to say that it is gone.
    func connectionBroke(_ replica: Replica, _ message: String) {
        upstreamFailed(replica, message)
        let now = NIODeadline.now()
        if let last = replica.doubted, now - last < Self.trust { return }
        replica.doubted = now
        replica.isDoubted = true
        _ = loop.assumeIsolated().scheduleTask(in: Self.doubt) { [self] in
            replica.isDoubted = false
            dispatch()
        }
    }

    func upstreamIsSilent(_ replica: Replica, for time: TimeAmount) {
        guard !replica.isRemoved, replica.silences.count(at: .now()) != nil else { return }
        let seconds = Int(time.nanoseconds / 1_000_000_000)
        events.post(.upstreamSilent(service: name, replica: replica.name, seconds: seconds))
    }

    private func grant(_ replica: Replica, to request: HeldRequest) {
        replica.inFlight += 1
        request.grant(replica)
    }

    /// The ready replica with the fewest requests in flight, any of them where several have as few.
    private func pick(avoiding avoided: Replica?) -> Replica? {
        var best: Replica?
        var ties = 0
        for replica in replicas where replica.state == .ready && !replica.isDoubted && replica !== avoided {
            if settings.concurrency > 0, replica.inFlight >= settings.concurrency { continue }
            if let known = best, replica.inFlight > known.inFlight { continue }
            if let known = best, replica.inFlight == known.inFlight {
                ties += 1
                if Int.random(in: 0...ties) > 0 { continue }
            } else {
                ties = 0
            }
            best = replica
        }
        return best
    }

    private func dispatch() {
        let hadWaiters = queue.count > 0
        while queue.count > 0, let replica = pick(avoiding: nil), let request = queue.popFirst() {
            statistics.queueWait.add(.now() - request.since)
            grant(replica, to: request)
        }
        if hadWaiters, queue.count == 0 { scheduleDeadline() }
    }

    private func reportIfDrained(_ replica: Replica) {
        if replica.inFlight == 0 { events.post(.drained(service: name, replica: replica.name)) }
    }

    // MARK: Waiting too long

    /// One timer for the one who has waited longest, and none while nobody waits.
    private func scheduleDeadline() {
        deadline?.cancel()
        deadline = nil
        guard let first = queue.first() else { return }
        deadline = loop.assumeIsolated().scheduleTask(deadline: first.since + settings.maxWait) { [self] in
            deadline = nil
            let now = NIODeadline.now()
            while let request = queue.first(), request.since + settings.maxWait <= now {
                _ = queue.popFirst()
                statistics.queueWait.add(now - request.since)
                request.refuse(.waitedTooLong)
            }
            scheduleDeadline()
        }
    }

    // MARK: Reporting

    /// What `stats` tells of this service.
    var json: JSON {
        let replicas = replicas.map { replica -> JSON in
            [
                "replica": .string(replica.name), "state": .string(replica.state.rawValue),
                "inFlight": .integer(Int64(replica.inFlight)),
                "idleConnections": .integer(Int64(replica.pool.count)),
                "quietSeconds": replica.lastByte.map { .number(Double((.now() - $0).nanoseconds) / 1e9) } ?? .null,
            ]
        }
        let own: [(name: String, value: JSON)] = [
            ("service", .string(name)),
            ("inFlight", .integer(Int64(inFlight))),
            ("queued", .integer(Int64(queued))),
            ("concurrency", .integer(Int64(settings.concurrency))),
            ("maxQueue", .integer(Int64(settings.maxQueue))),
            ("maxWait", .number(Double(settings.maxWait.nanoseconds) / 1e9)),
            ("replicas", .array(replicas)),
        ]
        return .object(JSONObject(own + statistics.members))
    }
}
