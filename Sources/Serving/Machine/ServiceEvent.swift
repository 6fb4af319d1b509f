/// What happens to a service.
public enum ServiceEvent: Sendable, Equatable {
    /// The user wants it to run. With `failFast`, a replica that ends before the service was ever ready is left
    /// failed instead of restarted, since the user is there to read why.
    case startRequested(failFast: Bool)
    /// The user wants it to end: drained and asked, or with `force` killed at once.
    case stopRequested(force: Bool)
    /// Every replica is drained, stopped and launched again.
    case restartRequested
    /// The user sends a signal. The stop signal and SIGKILL also mean that it shall stay stopped.
    case signalRequested(Int32)
    /// New rules, such as another number of replicas. A running replica goes on under them.
    case rulesChanged(ServiceRules)
    /// About a replica; `attempt` is the launch it is about.
    case replica(ReplicaID, attempt: Int, ReplicaEvent)
}

/// What happens to one replica.
public enum ReplicaEvent: Sendable, Equatable {
    /// execve(2) succeeded.
    case launched(ProcessIdentity)
    /// No process came to be; the text names the step and the cause.
    case launchFailed(String)
    /// The answer to ``ServiceAction/probe``, with the replica's work so far where it can be read.
    case probed(ProbeKind, ProbeAnswer, Activity?)
    /// The first process ended. `outOfMemory` says whether `oom_kill` of memory.events rose.
    case exited(ReplicaExit, outOfMemory: Bool)
    /// The cgroup holds no process any more.
    case cgroupEmpty
    /// Mounts, cgroup and run-time files are gone and its ports are free.
    case cleanedUp
    case cleanUpFailed(String)
    case timer(ReplicaTimer)
    /// The gateway has no request of it in flight.
    case drained
    /// The gateway could not connect to it, or it broke a connection.
    case upstreamFailed(String)
    /// It has requests, and the gateway had nothing from it for so long.
    case upstreamSilent(Duration)
}
