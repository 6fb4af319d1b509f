/// Why mlrun makes a process end.
public enum EndReason: Sendable, Hashable {
    case stopRequested
    case restartRequested
    case scaledDown
    case liveness(String)
    case startupDeadline(String)
    /// It had requests left when the time to finish them was over.
    case drainTimeout
}

/// Why a replica ended.
public enum DeathCause: Sendable, Hashable {
    /// By itself.
    case exited(ExitStatus)
    /// The kernel killed a process of it at its own memory limit, or at the host's end of memory.
    case outOfMemory(ExitStatus)
    /// mlrun made it end.
    case ended(EndReason, ExitStatus)
    /// It never came to be.
    case launchFailed(String)
}
