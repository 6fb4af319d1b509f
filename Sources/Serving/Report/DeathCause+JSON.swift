public import OCISpec

extension EndReason {
    init(_ cursor: JSONCursor) throws(JSONError) {
        func text() throws(JSONError) -> String { try cursor.required("text").string() }
        let kind = try cursor.required("kind")
        switch try kind.string() {
        case "stop-requested": self = .stopRequested
        case "restart-requested": self = .restartRequested
        case "scaled-down": self = .scaledDown
        case "liveness": self = .liveness(try text())
        case "startup-deadline": self = .startupDeadline(try text())
        case "drain-timeout": self = .drainTimeout
        case let other: throw kind.failure("\"\(other)\" is no reason to end a process")
        }
    }

    /// The word that JSON and tables use.
    public var word: String {
        switch self {
        case .stopRequested: "stop-requested"
        case .restartRequested: "restart-requested"
        case .scaledDown: "scaled-down"
        case .liveness: "liveness"
        case .startupDeadline: "startup-deadline"
        case .drainTimeout: "drain-timeout"
        }
    }

    var json: JSON {
        var object = JSONObject([("kind", .string(word))])
        if case .liveness(let text) = self { object["text"] = .string(text) }
        if case .startupDeadline(let text) = self { object["text"] = .string(text) }
        return .object(object)
    }
}

extension DeathCause {
    public init(_ cursor: JSONCursor) throws(JSONError) {
        func status() throws(JSONError) -> ReplicaExit { try ReplicaExit(cursor.required("status")) }
        let kind = try cursor.required("cause")
        switch try kind.string() {
        case "exited": self = .exited(try status())
        case "out-of-memory": self = .outOfMemory(try status())
        case "ended": self = .ended(try EndReason(cursor.required("reason")), try status())
        case "launch-failed": self = .launchFailed(try cursor.required("text").string())
        case let other: throw kind.failure("\"\(other)\" is no cause of death")
        }
    }

    public var json: JSON {
        switch self {
        case .exited(let status): ["cause": "exited", "status": status.json]
        case .outOfMemory(let status): ["cause": "out-of-memory", "status": status.json]
        case .ended(let reason, let status): ["cause": "ended", "reason": reason.json, "status": status.json]
        case .launchFailed(let text): ["cause": "launch-failed", "text": .string(text)]
        }
    }
}
