internal import NIOCore
internal import OCISpec

/// Durations counted in fixed buckets, so that counts of several services or times can be added.
struct Histogram: Sendable, Equatable {
    /// Upper bounds in milliseconds; a last bucket takes everything above.
    static let bounds: [Int64] = [
        1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000,
    ]

    private(set) var counts = [UInt64](repeating: 0, count: bounds.count + 1)
    private(set) var sum: TimeAmount = .zero
    private(set) var count: UInt64 = 0

    mutating func add(_ duration: TimeAmount) {
        let bucket = Self.bounds.firstIndex { duration <= .milliseconds($0) } ?? Self.bounds.count
        counts[bucket] += 1
        count += 1
        sum = sum + duration
    }

    /// `{"bounds":[milliseconds…],"counts":[…],"count":…,"sum":seconds}`; `counts` has one element more than `bounds`.
    var json: JSON {
        [
            "bounds": .array(Self.bounds.map { .integer($0) }),
            "counts": .array(counts.map { .integer(Int64(clamping: $0)) }),
            "count": .integer(Int64(clamping: count)),
            "sum": .number(Double(sum.nanoseconds) / 1e9),
        ]
    }
}
