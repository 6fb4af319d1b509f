public import OCISpec

extension ProbeCheck {
    public init(_ cursor: JSONCursor) throws(JSONError) {
        let kind = try cursor.required("kind")
        switch try kind.string() {
        case "http":
            self = .http(
                port: try cursor.required("port").integer(), path: try cursor.required("path").string(),
                expecting: try HTTPExpectation(cursor.required("expecting")))
        case "tcp": self = .tcp(port: try cursor.required("port").integer())
        case "exec": self = .exec(try cursor.required("command").strings())
        case let other: throw kind.failure("\"\(other)\" is no kind of check")
        }
    }

    public var json: JSON {
        switch self {
        case .http(let port, let path, let expecting):
            ["kind": "http", "port": .integer(Int64(port)), "path": .string(path), "expecting": expecting.json]
        case .tcp(let port): ["kind": "tcp", "port": .integer(Int64(port))]
        case .exec(let command): ["kind": "exec", "command": .array(command.map(JSON.string))]
        }
    }
}

extension HTTPExpectation {
    init(_ cursor: JSONCursor) throws(JSONError) {
        let kind = try cursor.required("kind")
        func field() throws(JSONError) -> [String] { try cursor.required("field").strings() }
        func values() throws(JSONError) -> [String] { try cursor.required("values").strings() }
        switch try kind.string() {
        case "success": self = .success
        case "ok": self = .ok
        case "any": self = .anyAnswer
        case "field": self = .field(try field(), values: try values())
        case "field-other-than": self = .fieldOtherThan(try field(), values: try values())
        case "non-empty-array": self = .nonEmptyArray(try field())
        case "body": self = .body(try cursor.required("text").string())
        case let other: throw kind.failure("\"\(other)\" is no expectation")
        }
    }

    var json: JSON {
        func list(_ strings: [String]) -> JSON { .array(strings.map(JSON.string)) }
        switch self {
        case .success: return ["kind": "success"]
        case .ok: return ["kind": "ok"]
        case .anyAnswer: return ["kind": "any"]
        case .field(let field, let values): return ["kind": "field", "field": list(field), "values": list(values)]
        case .fieldOtherThan(let field, let values):
            return ["kind": "field-other-than", "field": list(field), "values": list(values)]
        case .nonEmptyArray(let field): return ["kind": "non-empty-array", "field": list(field)]
        case .body(let text): return ["kind": "body", "text": .string(text)]
        }
    }
}

extension ProbeCandidate {
    public init(_ cursor: JSONCursor) throws(JSONError) {
        self.init(
            try cursor.required("name").string(), ready: try ProbeCheck(cursor.required("ready")),
            live: try ProbeCheck(cursor.required("live")),
            timeout: try cursor.optional("timeout").map { cursor throws(JSONError) in try Duration(cursor) })
    }

    public var json: JSON {
        var object = JSONObject([("name", .string(name)), ("ready", ready.json), ("live", live.json)])
        object["timeout"] = timeout?.json
        return .object(object)
    }
}
