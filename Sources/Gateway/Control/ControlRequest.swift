internal import NIOCore
internal import OCISpec

/// One message of mlrund to the gateway, checked as a whole before anything is done.
struct ControlRequest: Equatable, Sendable {
    enum Mode: String, Sendable {
        case http, tcp
    }

    enum Operation: Equatable, Sendable {
        case listen(id: String, service: String, mode: Mode, containerPort: UInt16)
        case unlisten(id: String)
        case addReplica(ReplicaKey, ReplicaState)
        case setReplica(ReplicaKey, ReplicaState)
        case removeReplica(ReplicaKey)
        /// What is nil stays as it is.
        case setService(String, concurrency: Int?, maxQueue: Int?, maxWait: TimeAmount?)
        case list
        case stats
    }

    /// The number that the reply carries as `re`.
    let sequence: Int64
    let operation: Operation

    /// How many descriptors may come with the message.
    var descriptors: ClosedRange<Int> {
        switch operation {
        case .listen: 1...1
        case .addReplica: 0...1
        default: 0...0
        }
    }
}

/// A replica is known by its name within its service.
struct ReplicaKey: Hashable, Sendable {
    let service: String
    let replica: String
}

extension ControlRequest {
    init(_ cursor: JSONCursor) throws(JSONError) {
        sequence = try cursor.required("seq").integer()
        let op = try cursor.required("op")
        let allowed: [String]
        switch try op.string() {
        case "listen":
            allowed = ["id", "service", "protocol", "containerPort"]
            let mode = try cursor.required("protocol")
            guard let value = Mode(rawValue: try mode.string()) else { throw mode.failure("must be http or tcp") }
            let port = try cursor.required("containerPort")
            let number: UInt16 = try port.integer()
            guard number > 0 else { throw port.failure("must not be 0") }
            operation = .listen(
                id: try Self.name(cursor, "id"), service: try Self.name(cursor, "service"), mode: value,
                containerPort: number)
        case "unlisten":
            allowed = ["id"]
            operation = .unlisten(id: try Self.name(cursor, "id"))
        case "replica-add":
            allowed = ["service", "replica", "state"]
            operation = .addReplica(try Self.key(cursor), try Self.state(cursor))
        case "replica-set":
            allowed = ["service", "replica", "state"]
            operation = .setReplica(try Self.key(cursor), try Self.state(cursor))
        case "replica-remove":
            allowed = ["service", "replica"]
            operation = .removeReplica(try Self.key(cursor))
        case "service-set":
            allowed = ["service", "concurrency", "maxQueue", "maxWait"]
            operation = .setService(
                try Self.name(cursor, "service"), concurrency: try Self.count(cursor, "concurrency"),
                maxQueue: try Self.count(cursor, "maxQueue"), maxWait: try Self.wait(cursor))
        case "list":
            allowed = []
            operation = .list
        case "stats":
            allowed = []
            operation = .stats
        default: throw op.failure("is no operation of the gateway")
        }
        for member in try cursor.members() where member.name != "op" && member.name != "seq" {
            guard allowed.contains(member.name) else {
                throw member.cursor.failure("is no field of \(try op.string())")
            }
        }
    }

    private static func name(_ cursor: JSONCursor, _ field: String) throws(JSONError) -> String {
        let value = try cursor.required(field)
        let text = try value.string()
        guard !text.isEmpty, text.utf8.count <= 255 else { throw value.failure("must have 1 to 255 bytes") }
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f }) else {
            throw value.failure("must not hold white space or control characters")
        }
        return text
    }

    private static func key(_ cursor: JSONCursor) throws(JSONError) -> ReplicaKey {
        ReplicaKey(service: try name(cursor, "service"), replica: try name(cursor, "replica"))
    }

    private static func state(_ cursor: JSONCursor) throws(JSONError) -> ReplicaState {
        let value = try cursor.required("state")
        guard let state = ReplicaState(rawValue: try value.string()) else {
            throw value.failure("must be ready, unready or draining")
        }
        return state
    }

    private static func count(_ cursor: JSONCursor, _ field: String) throws(JSONError) -> Int? {
        guard let value = try cursor.optional(field) else { return nil }
        let number: Int = try value.integer()
        guard (0...1_000_000).contains(number) else { throw value.failure("must be 0 to 1000000") }
        return number
    }

    private static func wait(_ cursor: JSONCursor) throws(JSONError) -> TimeAmount? {
        guard let value = try cursor.optional("maxWait") else { return nil }
        let seconds = try value.double()
        guard seconds >= 0, seconds <= 86_400 else { throw value.failure("must be 0 to 86400 seconds") }
        return .nanoseconds(Int64(seconds * 1e9))
    }
}
