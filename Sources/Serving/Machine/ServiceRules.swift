/// The part of a service's settings that the machine decides by, with everything resolved that depends on the image.
public struct ServiceRules: Sendable, Equatable {
    /// How many are kept running.
    public var replicas: Int
    /// When one that ended is started again.
    public var restart: RestartPolicy
    /// How to tell that a replica can take requests.
    public var readiness: Readiness
    /// How to tell that a replica is stuck.
    public var liveness: Liveness
    /// How long a start may take.
    public var startup = StartupRules()
    /// The number of the signal that asks the server to end.
    public var stopSignal: Int32
    /// From the stop signal to the kill.
    public var stopTimeout: Duration
    /// How long requests in flight may take when a replica is to stop.
    public var drainTimeout: Duration

    /// How a replica is found ready to be given requests.
    public enum Readiness: Sendable, Equatable {
        /// Ready as soon as the process runs.
        case whenRunning
        /// Asked at the start until one passes, then every ``ProbeTiming/period``.
        case check(ProbeCheck)
        /// Asked at the start; the first candidate that the server answers is its contract. After that nobody wakes
        /// up for it: a request that the gateway could not deliver is what asks again.
        case candidates([ProbeCandidate])
    }

    /// How a replica that hangs is found.
    public enum Liveness: Sendable, Equatable {
        case none
        /// Asked every ``ProbeTiming/period`` once the replica is ready.
        case check(ProbeCheck)
        /// Asked only while a replica that was ready is unready, through the contract that its start found. Any
        /// answer at all proves life, and so does work, up to ``ProbeTiming/longestWork``.
        case onSuspicion
    }

    public init(
        replicas: Int = 1, restart: RestartPolicy = .unlessStopped, readiness: Readiness = .whenRunning,
        liveness: Liveness = .none, stopSignal: Int32 = 15, stopTimeout: Duration = .seconds(15),
        drainTimeout: Duration = .seconds(120)
    ) {
        self.replicas = replicas
        self.restart = restart
        self.readiness = readiness
        self.liveness = liveness
        self.stopSignal = stopSignal
        self.stopTimeout = stopTimeout
        self.drainTimeout = drainTimeout
    }
}

/// When a start is asked about, and when it is given up.
public struct StartupRules: Sendable, Equatable {
    /// Given up after so long without a sign of work: bytes read, processor time, a log line.
    public var quietDeadline = Duration.seconds(600)
    /// Given up whatever it does.
    public var hardDeadline = Duration.seconds(3600)
    /// More than this share of one processor between two probes is progress.
    public var busyShare = 0.05

    public init() {}

    /// Every 250 ms for the first 10 s, every second up to 2 minutes, then every 5 s: a fast model is not delayed,
    /// and a slow one is not disturbed.
    public static func period(after elapsed: Duration) -> Duration {
        elapsed < .seconds(10) ? .milliseconds(250) : elapsed < .seconds(120) ? .seconds(1) : .seconds(5)
    }
}

/// The rhythm of a periodic probe.
public struct ProbeTiming: Sendable, Equatable {
    /// From one check to the next.
    public let period: Duration
    /// How long an answer may take.
    public let timeout: Duration
    /// Failures in a row that change something.
    public let failures: Int

    /// Out of rotation after two failures; back after one pass.
    public static let readiness = ProbeTiming(period: .seconds(2), timeout: .seconds(2), failures: 2)
    /// Restarted after three failures.
    public static let liveness = ProbeTiming(period: .seconds(10), timeout: .seconds(5), failures: 3)
    /// How long a server that nobody gave a liveness probe may work hard without answering: many take one request at a
    /// time, and answer no question meanwhile.
    public static let longestWork = Duration.seconds(600)
}

/// How fast a replica that keeps ending is started again.
public enum RestartTiming {
    /// The delay after the first failure.
    public static let first = Duration.seconds(1)
    /// No delay is longer.
    public static let longest = Duration.seconds(60)
    /// The delay is spread by this share both ways, so that replicas do not fall in step.
    public static let jitter = 0.1
    /// So many failures in ``window`` are a crash loop.
    public static let crashLoopFailures = 5
    /// How far back failures count towards a crash loop.
    public static let window = Duration.seconds(600)

    /// 1 s, 2 s, 4 s … 60 s for the first, second, third failure in a row, times 0.9 to 1.1.
    ///
    /// - Parameter random: from 0 to 1.
    public static func delay(failuresInARow: Int, crashLooping: Bool, random: Double) -> Duration {
        let doublings = min(max(failuresInARow - 1, 0), 6)
        let seconds = crashLooping ? 60 : min(60, 1 << doublings)
        return .milliseconds(Int64(Double(seconds * 1000) * (1 + jitter * (2 * random - 1))))
    }

    /// How long a replica must be healthy before its failures are forgotten: 10 minutes, or twice the usual start.
    public static func forgetting(after startDurations: [Duration]) -> Duration {
        let sorted = startDurations.sorted()
        guard !sorted.isEmpty else { return window }
        return max(window, sorted[sorted.count / 2] * 2)
    }
}
