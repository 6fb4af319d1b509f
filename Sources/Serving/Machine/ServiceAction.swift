/// What the driver must do, in the order given.
public enum ServiceAction: Sendable, Equatable {
    /// Write the state to disk before anything that follows.
    case persist
    /// Tell whoever listens.
    case emit(ServiceNotice)
    /// Tell the gateway. ``ReplicaRoute/absent`` removes the replica, everything else adds it if it is new.
    case route(ReplicaID, ReplicaRoute)
    /// Answered by `launched` or `launchFailed`.
    case launch(ReplicaID, attempt: Int)
    /// Run a check after a delay; answered by `probed`. A later one of the same kind replaces it.
    case probe(ReplicaID, attempt: Int, ProbeRequest)
    /// Forget all checks of the replica, running ones too.
    case cancelProbes(ReplicaID)
    /// Send `timer` at this time; replaces an earlier time of the same timer.
    case arm(ReplicaID, attempt: Int, ReplicaTimer, at: MonotonicTime)
    case disarm(ReplicaID, ReplicaTimer)
    /// To the first process of the replica.
    case signal(ReplicaID, Int32)
    /// cgroup.kill, or SIGKILL to the first process where there is no such file; then report `cgroupEmpty`.
    case killCgroup(ReplicaID, attempt: Int)
    /// Answered by `cleanedUp` or `cleanUpFailed`.
    case cleanUp(ReplicaID, attempt: Int)
    /// A step of the start was reached, so long after the launch.
    case recordPhase(ReplicaID, attempt: Int, StartPhase, Duration)
    /// The replica is no more: its directory can go.
    case forget(ReplicaID)
}

/// A check that the driver is to make once.
public struct ProbeRequest: Sendable, Equatable {
    /// What the answer is taken for.
    public var kind: ProbeKind
    /// What is asked.
    public var check: ProbeCheck
    /// How long the answer may take.
    public var timeout: Duration
    /// How long to wait before asking.
    public var after: Duration

    public init(kind: ProbeKind, check: ProbeCheck, timeout: Duration, after: Duration) {
        self.kind = kind
        self.check = check
        self.timeout = timeout
        self.after = after
    }
}

/// What is told to people and programs that follow a service.
public struct ServiceNotice: Sendable, Equatable {
    /// What happened.
    public var kind: Kind
    /// To which replica; nil for the service as a whole.
    public var replica: ReplicaID?
    /// One sentence.
    public var text: String

    public init(_ kind: Kind, _ replica: ReplicaID? = nil, _ text: String) {
        self.kind = kind
        self.replica = replica
        self.text = text
    }

    /// What may happen; the raw values stand in the lines that `events` prints.
    public enum Kind: String, Sendable, CaseIterable {
        case starting, launched, portOpen = "port-open", ready, unready, died, restarting, crashLoop = "crashloop"
        case draining, stopping, killed, stopped, failed, startFailed = "start-failed"
        case probeFailed = "probe-failed", livenessFailed = "liveness-failed", recovered, warning
    }
}
