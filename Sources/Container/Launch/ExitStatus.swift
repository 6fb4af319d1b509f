public import OCISpec

/// How a process ended.
public enum ExitStatus: Sendable, Hashable {
    case exited(Int32)
    case killed(SignalName, coreDumped: Bool)
    /// It has ended, but not as a child of this process, and the kernel (before 6.15) does not tell others how.
    case unknown

    /// The code a shell gives: 128 + n after signal n, 255 when it is not known.
    public var code: Int32 {
        switch self {
        case .exited(let code): code
        case .killed(let signal, _): 128 + signal.number
        case .unknown: 255
        }
    }
}

extension ExitStatus: CustomStringConvertible {
    public var description: String {
        switch self {
        case .exited(let code): "exited with code \(code)"
        case .killed(let signal, let dumped): "was killed by \(signal)\(dumped ? " (core dumped)" : "")"
        case .unknown: "ended"
        }
    }
}
