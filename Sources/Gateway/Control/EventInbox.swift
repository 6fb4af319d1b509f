internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import OCISpec
internal import Synchronization

/// What the event loops tell the control thread.
enum GatewayEvent: Sendable, Equatable {
    case drained(service: String, replica: String)
    case upstreamFailed(service: String, replica: String, message: String, count: Int)
    /// It has whole requests and sends nothing to anybody. Told again as long as that lasts.
    case upstreamSilent(service: String, replica: String, seconds: Int)
    /// The last client connection of a listener that was closed is gone.
    case listenerEmptied(token: UInt64)
    /// No client is connected any more.
    case connectionsEnded
    case stopRequested
}

extension GatewayEvent {
    /// The message for mlrund; nil for what stays inside.
    var json: JSON? {
        switch self {
        case .drained(let service, let replica):
            ["event": "drained", "service": .string(service), "replica": .string(replica)]
        case .upstreamFailed(let service, let replica, let message, let count):
            [
                "event": "upstream-failed", "service": .string(service), "replica": .string(replica),
                "message": .string(message), "count": .integer(Int64(count)),
            ]
        case .upstreamSilent(let service, let replica, let seconds):
            [
                "event": "upstream-silent", "service": .string(service), "replica": .string(replica),
                "seconds": .integer(Int64(seconds)),
            ]
        case .listenerEmptied, .connectionsEnded, .stopRequested: nil
        }
    }
}

/// Carries events from any thread to the one that waits on ``descriptor``.
final class EventInbox: Sendable {
    private let wake: OwnedDescriptor
    private let events = Mutex<[GatewayEvent]>([])

    init() throws(SystemError) {
        wake = OwnedDescriptor(taking: try check(mlr_eventfd(), "create an event descriptor"))
    }

    /// Readable while there are events.
    var descriptor: Int32 { wake.rawValue }

    func post(_ event: GatewayEvent) {
        let wasEmpty = events.withLock { events in
            events.append(event)
            return events.count == 1
        }
        // The counter cannot overflow: it is read before it is written again.
        if wasEmpty {
            var one: UInt64 = 1
            _ = write(wake.rawValue, &one, 8)
        }
    }

    func take() -> [GatewayEvent] {
        var count: UInt64 = 0
        _ = read(wake.rawValue, &count, 8)
        return events.withLock { events in
            defer { events = [] }
            return events
        }
    }
}
