internal import NIOCore

/// A client connection of a listener.
protocol ListenerConnection: AnyObject {
    var peer: Admission.Client { get }
    /// Whether it may make requests, or is only there to be told that it may not.
    var isAdmitted: Bool { get }
    /// Closes the connection if it makes no progress that its state asks for.
    func check(now: NIODeadline)
    /// The listener has closed: ends the connection as soon as nobody would notice.
    func windDown()
}

/// A published port: where its connections go and who they are. Belongs to the event loop of its service.
final class Listener {
    let service: Service
    let port: UInt16
    let token: UInt64
    let patience: ClientPatience
    private let admission: Admission
    private let events: EventInbox
    /// Refused ones that are still being told so.
    private var farewells = 0
    private var connections: [ObjectIdentifier: any ListenerConnection] = [:]
    private var check: Scheduled<Void>?
    private(set) var isClosing = false

    /// More refused connections than this are closed without a word.
    private static let mostFarewells = 64

    init(
        service: Service, port: UInt16, token: UInt64, patience: ClientPatience, admission: Admission,
        events: EventInbox
    ) {
        self.service = service
        self.port = port
        self.token = token
        self.patience = patience
        self.admission = admission
        self.events = events
    }

    func add(_ connection: any ListenerConnection) -> Admission.Answer {
        let answer = admission.admit(connection.peer)
        switch answer {
        case .admitted:
            service.statistics.connections += 1
            service.statistics.connectionsAccepted += 1
        case .refused:
            service.statistics.connectionsRefused += 1
            if farewells >= Self.mostFarewells { return .overrun }
            farewells += 1
        case .overrun: return answer
        }
        connections[ObjectIdentifier(connection)] = connection
        if check == nil { scheduleCheck() }
        return answer
    }

    func remove(_ connection: any ListenerConnection) {
        guard connections.removeValue(forKey: ObjectIdentifier(connection)) != nil else { return }
        if connection.isAdmitted {
            service.statistics.connections -= 1
            if admission.leave(connection.peer) { events.post(.connectionsEnded) }
        } else {
            farewells -= 1
        }
        if connections.isEmpty {
            check?.cancel()
            check = nil
            if isClosing { events.post(.listenerEmptied(token: token)) }
        }
    }

    /// Nothing new is accepted any more: idle connections close, others after what they carry.
    func close() {
        isClosing = true
        if connections.isEmpty { return events.post(.listenerEmptied(token: token)) }
        for connection in connections.values { connection.windDown() }
    }

    /// One timer for all connections, and none while there are none.
    private func scheduleCheck() {
        check = service.loop.assumeIsolated().scheduleTask(in: patience.check) { [self] in
            check = nil
            let now = NIODeadline.now()
            for connection in connections.values { connection.check(now: now) }
            if !connections.isEmpty { scheduleCheck() }
        }
    }
}
