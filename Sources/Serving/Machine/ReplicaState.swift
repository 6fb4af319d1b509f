/// The name of a replica: the service's name and a number that is never used twice, such as `sentiment-1`.
public struct ReplicaID: Sendable, Hashable, RawRepresentable, CustomStringConvertible {
    /// `<service>-<number>`.
    public let rawValue: String

    public init(rawValue: String) { self.rawValue = rawValue }
    public init(_ rawValue: String) { self.rawValue = rawValue }

    public var description: String { rawValue }
}

/// Where a replica is in its life.
public enum ReplicaPhase: String, Sendable, CaseIterable {
    /// No process; waits for its turn to be launched.
    case pending
    /// The launcher works.
    case launching
    /// The process runs; its port is not open yet.
    case starting
    /// Its port is open; it is not ready yet (it loads its model).
    case warming
    case ready
    /// Was ready, and its readiness probe fails now.
    case unready
    /// Gets no new requests; those it has are being finished.
    case draining
    /// Was asked to end, or is being killed.
    case stopping
    /// The process ended; what is left in its cgroup is being killed and its mounts taken down.
    case cleaning
    /// Nothing is left of it, and nobody wants it back.
    case stopped
    /// As ``stopped``, because it ended and its restart policy lets it be.
    case failed

    /// Whether a process may exist.
    public var mayHaveProcess: Bool {
        switch self {
        case .pending, .stopped, .failed: false
        default: true
        }
    }

    /// Whether it has ended for good, unless somebody asks for more.
    public var isAtRest: Bool { self == .stopped || self == .failed }
}

/// What the gateway may do with a replica.
public enum ReplicaRoute: String, Sendable {
    /// Unknown to the gateway.
    case absent
    /// Known, its socket agent is connected; gets no requests.
    case unready
    case ready
    /// Gets no new requests, and the gateway reports when the last one is answered.
    case draining
}

/// A process for ever: a number is used again, number and start time together are not.
public struct ProcessIdentity: Sendable, Hashable {
    /// As the host sees it.
    public let pid: Int32
    /// Field 22 of /proc/PID/stat: clock ticks since the host started.
    public let startTime: UInt64

    public init(pid: Int32, startTime: UInt64) {
        self.pid = pid
        self.startTime = startTime
    }
}

/// Everything the machine knows of one replica. All but ``observations`` survives on disk.
public struct ReplicaState: Sendable, Equatable {
    /// Never used again.
    public let id: ReplicaID
    /// How far its life has come.
    public internal(set) var phase = ReplicaPhase.pending
    /// Counts the launches, 0 before the first. Messages of an earlier one are ignored.
    public internal(set) var attempt = 0
    /// What it is to become.
    public internal(set) var goal = Goal.run
    /// Its first process, between launch and end.
    public internal(set) var process: ProcessIdentity?
    /// When this attempt's program was executed.
    public internal(set) var launchedAt: MonotonicTime?
    /// When its port first took a connection.
    public internal(set) var portOpenAt: MonotonicTime?
    /// When it was first ready.
    public internal(set) var readyAt: MonotonicTime?
    /// It shall be killed as soon as its launch is over.
    public internal(set) var forced = false
    /// Why mlrun itself makes the process end; nil while it does not.
    public internal(set) var reason: EndReason?
    /// How this attempt ended, between its end and its clean-up.
    public internal(set) var ending: DeathCause?
    /// How the last attempt that ended did so.
    public internal(set) var lastDeath: DeathCause?
    /// Ends since it was last healthy for long enough; they decide how long the next start waits.
    public internal(set) var failuresInARow = 0
    /// When it failed within ``RestartTiming/window``, oldest first.
    public internal(set) var recentFailures: [MonotonicTime] = []
    /// It failed too often within ``RestartTiming/window``.
    public internal(set) var crashLooping = false
    /// Launches after the first.
    public internal(set) var restarts = 0
    /// Out-of-memory kills since it last ended otherwise.
    public internal(set) var outOfMemoryInARow = 0
    /// The candidate that the server answers, once one did.
    public internal(set) var contract: ProbeCandidate?
    /// Whether the explicit liveness probe has passed once in this attempt.
    public internal(set) var provedLife = false
    /// What is armed, and for when.
    public internal(set) var timers: [ReplicaTimer: MonotonicTime] = [:]
    /// What was seen lately; lost with the supervisor.
    public internal(set) var observations = Observations()

    init(_ id: ReplicaID) { self.id = id }

    /// What a replica is headed for.
    public enum Goal: String, Sendable {
        case run
        /// End and stay.
        case stop
        /// End, then be launched again without delay.
        case restart
        /// End and be forgotten.
        case remove
    }

    /// What is learned from probes; lost with the process that runs the machine, and learned again.
    public struct Observations: Sendable, Equatable {
        var readinessFailures = 0
        var livenessFailures = 0
        var excludedCandidates: Set<Int> = []
        var lastActivity: Activity?
        var lastActivityAt: MonotonicTime?
        /// When it was found to answer its questions no more, while that lasts.
        var suspectSince: MonotonicTime?
        /// A readiness question was brought forward and is not answered yet.
        var isHurried = false
        var progressAt: MonotonicTime?
        var lastProbeText: String?
        var probing: Set<ProbeKind> = []
        var cleanUpFailures = 0
    }

    /// What the gateway should know of it: follows from the phase alone, so it can be told again at any time.
    public var route: ReplicaRoute {
        switch phase {
        case .starting, .warming, .unready: .unready
        case .ready: .ready
        case .draining: .draining
        case .pending, .launching, .stopping, .cleaning, .stopped, .failed: .absent
        }
    }

    /// The word that `mlrun ps` shows.
    public var status: ServiceStatus {
        switch phase {
        case .pending: crashLooping ? .crashLoop : .pending
        case .launching, .starting: crashLooping ? .crashLoop : .starting
        case .warming: crashLooping ? .crashLoop : .warming
        case .ready: .ready
        case .unready: .unready
        case .draining: .draining
        case .stopping: .stopping
        case .cleaning: goal == .run || goal == .restart ? (crashLooping ? .crashLoop : .pending) : .stopping
        case .stopped: .stopped
        case .failed: .failed
        }
    }

    /// What the last failed probe said, for people who wait.
    public var lastProbeText: String? { observations.lastProbeText }
}

/// The totals of a replica's work since its launch, as far as they can be read.
public struct Activity: Sendable, Equatable {
    /// `usage_usec` of cpu.stat, in nanoseconds.
    public var cpu: Int64
    /// `rbytes` of io.stat.
    public var bytesRead: Int64
    /// Lines or bytes of log, whichever is cheaper to count.
    public var logOutput: Int64
    /// How long ago the gateway had anything from the replica for a client; nil where it never had, or is not there.
    public var quietFor: Duration?

    public init(cpu: Int64 = 0, bytesRead: Int64 = 0, logOutput: Int64 = 0, quietFor: Duration? = nil) {
        self.cpu = cpu
        self.bytesRead = bytesRead
        self.logOutput = logOutput
        self.quietFor = quietFor
    }
}

/// What a check is for.
public enum ProbeKind: String, Sendable, CaseIterable {
    /// While starting.
    case startup
    case readiness
    case liveness
}

/// What a replica may wait for.
public enum ReplicaTimer: String, Sendable, CaseIterable {
    /// The end of a back-off.
    case restart
    /// The hard end of a start.
    case startup
    case drain
    /// From the stop signal to the kill.
    case stop
    /// A clean-up that failed is tried again.
    case cleanUp
    /// Healthy long enough for its failures to be forgotten.
    case forget
}
