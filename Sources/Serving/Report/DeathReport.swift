/// Everything about the end of a replica that helps to prevent the next one.
public struct DeathReport: Sendable, Equatable {
    /// When it ended.
    public var time: Timestamp
    /// Which replica.
    public var replica: ReplicaID
    /// How it ended.
    public var cause: DeathCause
    /// What was measured.
    public var facts: DeathFacts
    /// What that means, and what to do.
    public var diagnosis: Diagnosis

    public init(time: Timestamp, replica: ReplicaID, cause: DeathCause, facts: DeathFacts) {
        self.time = time
        self.replica = replica
        self.cause = cause
        self.facts = facts
        diagnosis = Diagnosis(cause, facts)
    }

    /// What the cause means in the light of the facts.
    public enum Diagnosis: String, Sendable, CaseIterable {
        case outOfMemoryContainer = "oom-container"
        case outOfMemoryHost = "oom-host"
        case outOfMemoryDevice = "oom-device"
        case liveness
        case startupDeadline = "startup-deadline"
        case stopRequested = "stop-requested"
        case drainTimeout = "drain-timeout"
        case systemCall = "seccomp"
        case signal
        case exitCode = "exit-code"
        case completed
        case launchFailed = "launch-failed"
        case unknown

        init(_ cause: DeathCause, _ facts: DeathFacts) {
            let badSystemCall: Int32 = 31
            switch cause {
            case .launchFailed: self = .launchFailed
            case .outOfMemory:
                // The host's end of memory kills without the container having met its own limit.
                self =
                    facts.limitHits > 0 || facts.memoryLimit == nil && facts.oomEvents > 0
                    ? .outOfMemoryContainer : .outOfMemoryHost
            case .ended(let reason, _):
                switch reason {
                case .stopRequested, .restartRequested, .scaledDown: self = .stopRequested
                case .liveness: self = .liveness
                case .startupDeadline: self = .startupDeadline
                case .drainTimeout: self = .drainTimeout
                }
            case .exited(.signal(badSystemCall)): self = .systemCall
            case .exited(let status) where !status.isSuccess && facts.deviceMemoryLine != nil:
                self = .outOfMemoryDevice
            case .exited(.signal): self = .signal
            case .exited(.code(0)): self = .completed
            case .exited(.code): self = .exitCode
            case .exited(.unknown): self = .unknown
            }
        }
    }
}

/// What can be measured of a replica that ended. nil or 0 where the host does not tell.
public struct DeathFacts: Sendable, Equatable {
    /// Seconds it ran.
    public var uptime = Duration.zero
    /// Launches after the first.
    public var restarts = 0
    /// memory.max, in bytes.
    public var memoryLimit: Int64?
    /// memory.peak, in bytes.
    public var memoryPeak: Int64?
    /// memory.stat's last reading, in bytes.
    public var anonymous: Int64?
    /// Pages of files, in bytes.
    public var fileCache: Int64?
    /// Also what is in /dev/shm and other tmpfs: it counts against the limit.
    public var shared: Int64?
    /// The kernel's own for these processes, in bytes.
    public var kernel: Int64?
    /// Buffers of network connections, in bytes.
    public var sockets: Int64?
    /// What was swapped out, in bytes.
    public var swap: Int64?
    /// How much each counter of memory.events rose.
    public var limitHits: Int64 = 0
    /// Times that the limit was reached and nothing could be reclaimed.
    public var oomEvents: Int64 = 0
    /// Processes killed for it.
    public var oomKills: Int64 = 0
    /// Times that all of its processes were killed together.
    public var oomGroupKills: Int64 = 0
    /// PSI `full avg10` of memory, in percent.
    public var memoryPressure: Double?
    /// The share of periods in which its processor time was used up, in percent.
    public var throttled: Double?
    /// How many kills for want of memory in a row, this one included.
    public var outOfMemoryInARow = 0
    /// The last lines of its log, oldest first; 20 are kept.
    public var lastLines: [String] = []

    public init() {}

    /// What the runtimes of accelerators say when their memory is used up.
    private static let deviceTexts = [
        "CUDA out of memory", "cudaMalloc failed", "HIP out of memory", "CUDA error: out of memory",
        "CUDA_ERROR_OUT_OF_MEMORY",
    ]

    var deviceMemoryLine: String? {
        lastLines.last { line in Self.deviceTexts.contains { line.contains($0) } }
    }
}
