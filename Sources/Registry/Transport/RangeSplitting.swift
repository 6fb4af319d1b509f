/// When and how the rest of a large blob is fetched in pieces over several connections: where one connection is slow,
/// as with a long way or a limit per connection, and the registry answers ranges. A fast connection is left alone.
public struct RangeSplitting: Sendable, Hashable {
    /// Connections at once; 1 never splits.
    public var connections: Int
    /// Bytes in one piece. At most ``connections`` of them are under way or wait for their turn in memory.
    public var piece: Int64
    /// A connection that brings fewer bytes a second is slow.
    public var slowerThan: Int64
    /// For how long a connection is watched before it is called slow.
    public var watch: Duration

    public init(
        connections: Int = 4, piece: Int64 = 32 << 20, slowerThan: Int64 = 300_000_000, watch: Duration = .seconds(2)
    ) {
        self.connections = max(1, connections)
        self.piece = max(1, piece)
        self.slowerThan = slowerThan
        self.watch = watch
    }

    /// One connection a blob.
    public static let never = RangeSplitting(connections: 1)
}

/// Measures one connection: how many bytes came, and how much of the time their reader waited for them. Only a
/// connection that lets its reader wait can be slow; otherwise the reader is.
struct ConnectionMeter: Sendable {
    private let began: ContinuousClock.Instant
    private var waited = Duration.zero
    private var bytes: Int64 = 0

    init(now: ContinuousClock.Instant = .now) { began = now }

    mutating func count(_ bytes: Int, waited: Duration) {
        self.bytes += Int64(bytes)
        self.waited += waited
    }

    func isSlow(_ splitting: RangeSplitting, now: ContinuousClock.Instant = .now) -> Bool {
        let elapsed = now - began
        guard elapsed >= splitting.watch, elapsed > .zero, waited * 2 > elapsed else { return false }
        return Double(bytes) / (elapsed / .seconds(1)) < Double(splitting.slowerThan)
    }
}
