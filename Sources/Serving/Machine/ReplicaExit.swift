public import OCISpec

/// How a process ended, as waitid(2) says it.
public enum ReplicaExit: Sendable, Hashable {
    case code(Int32)
    case signal(Int32)
    /// The process ended while nobody who may ask was watching.
    case unknown

    /// Whether it ended with exit code 0.
    public var isSuccess: Bool { self == .code(0) }

    /// The exit code as a shell and Docker give it: 128 + n for a signal, 255 where nothing is known.
    public var shellCode: Int32 {
        switch self {
        case .code(let code): code
        case .signal(let number): 128 + number
        case .unknown: 255
        }
    }

    public init(_ cursor: JSONCursor) throws(JSONError) {
        if let code = try cursor.optional("code") {
            self = .code(try code.integer())
        } else if let signal = try cursor.optional("signal") {
            self = .signal(try signal.integer())
        } else {
            self = .unknown
        }
    }

    public var json: JSON {
        switch self {
        case .code(let code): ["code": .integer(Int64(code))]
        case .signal(let number): ["signal": .integer(Int64(number))]
        case .unknown: .object(JSONObject())
        }
    }
}
