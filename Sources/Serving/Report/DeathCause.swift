internal import OCISpec

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
    case exited(ReplicaExit)
    /// The kernel killed a process of it for want of memory.
    case outOfMemory(ReplicaExit)
    /// mlrun made it end.
    case ended(EndReason, ReplicaExit)
    /// It never came to be.
    case launchFailed(String)
}

extension EndReason {
    /// As people read it, within a sentence.
    public var sentence: String {
        switch self {
        case .stopRequested: "it was asked to stop"
        case .restartRequested: "it was asked to restart"
        case .scaledDown: "fewer replicas were asked for"
        case .liveness(let text): "it hung: \(text)"
        case .startupDeadline(let text): "it took too long to start: \(text)"
        case .drainTimeout: "it still had requests when its time to finish them was over"
        }
    }
}

extension DeathCause {
    /// As people read it, within a sentence.
    public var sentence: String {
        switch self {
        case .exited(let status): status.sentence
        case .outOfMemory(let status): "the kernel killed it for want of memory (\(status.sentence))"
        case .ended(let reason, let status): "\(reason.sentence) (\(status.sentence))"
        case .launchFailed(let text): "it could not be launched: \(text)"
        }
    }

    /// How the first process ended; nil where there was none.
    public var status: ReplicaExit? {
        switch self {
        case .exited(let status), .outOfMemory(let status), .ended(_, let status): status
        case .launchFailed: nil
        }
    }
}

extension ReplicaExit {
    /// As people read it, within a sentence.
    public var sentence: String {
        switch self {
        case .code(let code): "exit code \(code)"
        case .signal(let number): "killed by \(SignalName(number: number)?.description ?? "signal \(number)")"
        case .unknown: "it ended unseen"
        }
    }
}
