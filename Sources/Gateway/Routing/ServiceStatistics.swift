internal import NIOCore
internal import OCISpec

/// What one service did since the gateway knows it.
struct ServiceStatistics: Sendable {
    /// Answers given to clients by the first digit of their status, 1xx at index 0, the gateway's own included.
    private(set) var answers = [UInt64](repeating: 0, count: 5)
    /// Of those, the ones that the gateway gave in the place of the service.
    var ownAnswers: UInt64 = 0
    /// Requests whose client left before its answer was complete.
    var abandoned: UInt64 = 0
    /// Answers that broke off because the upstream did.
    var truncated: UInt64 = 0
    /// Connections to upstreams that were tried again after a failure.
    var retries: UInt64 = 0
    var connections = 0
    var connectionsAccepted: UInt64 = 0
    /// Those that were too many for the gateway or for their client.
    var connectionsRefused: UInt64 = 0
    /// Body bytes towards the service and towards the clients; all bytes in TCP mode and after an upgrade.
    var bytesIn: UInt64 = 0
    var bytesOut: UInt64 = 0
    var queueWait = Histogram()
    /// From the complete head of a request to the first byte of its final answer.
    var firstByte = Histogram()

    mutating func countAnswer(_ status: Int) {
        let index = status / 100 - 1
        if answers.indices.contains(index) { answers[index] += 1 }
    }

    var members: [(name: String, value: JSON)] {
        func number(_ value: UInt64) -> JSON { .integer(Int64(clamping: value)) }
        let classes = answers.enumerated().map { (name: "\($0.offset + 1)xx", value: number($0.element)) }
        return [
            ("requests", .object(JSONObject(classes))),
            ("ownAnswers", number(ownAnswers)),
            ("abandoned", number(abandoned)),
            ("truncated", number(truncated)),
            ("retries", number(retries)),
            ("connections", .integer(Int64(connections))),
            ("connectionsAccepted", number(connectionsAccepted)),
            ("connectionsRefused", number(connectionsRefused)),
            ("bytesIn", number(bytesIn)),
            ("bytesOut", number(bytesOut)),
            ("queueWait", queueWait.json),
            ("firstByte", firstByte.json),
        ]
    }
}
