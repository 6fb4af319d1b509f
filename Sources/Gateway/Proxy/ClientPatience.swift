internal import NIOCore

/// How long a client may leave a connection without progress.
struct ClientPatience: Sendable {
    /// Between two requests.
    var idle: TimeAmount = .seconds(75)
    /// From the first byte of a head to its last.
    var head: TimeAmount = .seconds(60)
    /// Between two pieces of a body that the upstream waits for.
    var body: TimeAmount = .seconds(60)
    /// Without reading anything of an answer.
    var answer: TimeAmount = .seconds(300)
    /// After an answer to a request that was not read to its end.
    var lingering: TimeAmount = .seconds(5)
    /// Without a byte from a replica that has a whole request; the supervisor is told then.
    var silence: TimeAmount = .seconds(10)
    /// How often a listener looks at its connections.
    var check: TimeAmount = .seconds(10)

    static let standard = ClientPatience()
}
