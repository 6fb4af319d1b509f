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

public struct ProbeRequest: Sendable, Equatable {
    public var kind: ProbeKind
    public var check: ProbeCheck
    public var timeout: Duration
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
    public var kind: Kind
    public var replica: ReplicaID?
    /// One sentence.
    public var text: String

    public init(_ kind: Kind, _ replica: ReplicaID? = nil, _ text: String) {
        self.kind = kind
        self.replica = replica
        self.text = text
    }

    public enum Kind: String, Sendable, CaseIterable {
        case starting, launched, portOpen = "port-open", ready, unready, died, restarting, crashLoop = "crashloop"
        case draining, stopping, killed, stopped, failed, startFailed = "start-failed"
        case probeFailed = "probe-failed", livenessFailed = "liveness-failed", recovered, warning
    }
}
