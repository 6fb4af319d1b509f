internal import NIOCore

/// Whether a replica may be given requests.
enum ReplicaState: String, Sendable {
    case ready, unready, draining
}

/// One running copy of a service, as the gateway sees it: a source of sockets, idle connections, and a load.
///
/// Belongs to the event loop of its service.
final class Replica {
    let name: String
    var state: ReplicaState
    /// Requests, upgraded connections and TCP connections that are with it now.
    var inFlight = 0
    /// Set when it was removed: connections that come back are not kept.
    private(set) var isRemoved = false
    let sockets: SocketStock
    let pool: UpstreamPool
    var failures = FailureReport()
    var silences = FailureReport()
    /// When something of an answer last came from it.
    var lastByte: NIODeadline?
    /// Whether it is given nothing new for the moment, because a connection to it broke.
    var isDoubted = false
    /// When doubt last began.
    var doubted: NIODeadline?

    init(name: String, state: ReplicaState, sockets: SocketStock, loop: any EventLoop) {
        self.name = name
        self.state = state
        self.sockets = sockets
        pool = UpstreamPool(loop: loop)
    }

    /// What is in flight goes on; nothing new begins.
    func remove() {
        isRemoved = true
        state = .unready
        pool.close()
        sockets.close()
    }
}

/// Keeps a failing replica from flooding the supervisor: one report a second.
struct FailureReport {
    private var last: NIODeadline?
    private var suppressed = 0

    /// The number of failures to report now, or nil to keep quiet.
    mutating func count(at now: NIODeadline) -> Int? {
        suppressed += 1
        if let last, now - last < .seconds(1) { return nil }
        defer { suppressed = 0 }
        last = now
        return suppressed
    }
}
