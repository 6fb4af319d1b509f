internal import NIOCore

/// Idle connections to one replica, by port; the one used last is used next, so that the others can grow old.
final class UpstreamPool {
    private static let mostIdle = 64
    private static let idleLimit: TimeAmount = .seconds(60)

    private struct Entry {
        let connection: UpstreamConnection
        let since: NIODeadline
    }

    private let loop: any EventLoop
    private var idle: [UInt16: [Entry]] = [:]
    private var expiry: Scheduled<Void>?
    private var isClosed = false

    init(loop: any EventLoop) { self.loop = loop }

    var count: Int { idle.values.reduce(0) { $0 + $1.count } }

    /// A connection over which nothing has come since its last answer, not even its end.
    func take(port: UInt16) -> UpstreamConnection? {
        while let entry = idle[port]?.popLast() {
            entry.connection.pool = nil
            if entry.connection.isFresh { return entry.connection }
            entry.connection.close()
        }
        return nil
    }

    func put(_ connection: UpstreamConnection, port: UInt16) {
        guard !isClosed, idle[port, default: []].count < Self.mostIdle else { return connection.close() }
        connection.pool = self
        idle[port, default: []].append(Entry(connection: connection, since: .now()))
        if expiry == nil { scheduleExpiry(at: .now() + Self.idleLimit) }
    }

    /// The connection ended while it was idle.
    func remove(_ connection: UpstreamConnection) {
        for port in idle.keys { idle[port]?.removeAll { $0.connection === connection } }
        cancelExpiryIfEmpty()
    }

    func closeIdle() {
        let entries = idle.values.joined()
        idle = [:]
        for entry in entries {
            entry.connection.pool = nil
            entry.connection.close()
        }
        cancelExpiryIfEmpty()
    }

    /// Nothing is kept from here on.
    func close() {
        isClosed = true
        closeIdle()
    }

    private func cancelExpiryIfEmpty() {
        if count == 0 {
            expiry?.cancel()
            expiry = nil
        }
    }

    private func scheduleExpiry(at deadline: NIODeadline) {
        expiry = loop.assumeIsolated().scheduleTask(deadline: deadline) { [self] in
            expiry = nil
            let oldest = NIODeadline.now() - Self.idleLimit
            for (port, entries) in idle {
                let expired = entries.prefix { $0.since <= oldest }
                idle[port]?.removeFirst(expired.count)
                for entry in expired {
                    entry.connection.pool = nil
                    entry.connection.close()
                }
            }
            if let next = idle.values.compactMap({ $0.first?.since }).min() {
                scheduleExpiry(at: next + Self.idleLimit)
            }
        }
    }
}
