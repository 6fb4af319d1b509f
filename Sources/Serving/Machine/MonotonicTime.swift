/// A point on the kernel's monotonic clock in nanoseconds: the same for every process until the host starts again.
public struct MonotonicTime: Sendable, Hashable, Comparable {
    /// Of CLOCK_MONOTONIC.
    public let nanoseconds: Int64

    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    public static func < (left: MonotonicTime, right: MonotonicTime) -> Bool { left.nanoseconds < right.nanoseconds }

    public static func + (time: MonotonicTime, duration: Duration) -> MonotonicTime {
        MonotonicTime(nanoseconds: time.nanoseconds &+ duration.wholeNanoseconds)
    }

    public static func - (later: MonotonicTime, earlier: MonotonicTime) -> Duration {
        .nanoseconds(later.nanoseconds - earlier.nanoseconds)
    }
}

extension Duration {
    /// Rounded down; saturates at 292 years.
    public var wholeNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, overflowAtEnd) = whole.addingReportingOverflow(attoseconds / 1_000_000_000)
        return overflow || overflowAtEnd ? (seconds < 0 ? .min : .max) : sum
    }

    /// Rounded towards zero; saturates as ``wholeNanoseconds``.
    public var wholeMilliseconds: Int64 { wholeNanoseconds / 1_000_000 }

    /// For display and arithmetic that need not be exact.
    public var fractionalSeconds: Double { Double(wholeNanoseconds) / 1e9 }
}
