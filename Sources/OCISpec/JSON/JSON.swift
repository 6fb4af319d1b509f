/// A JSON document (RFC 8259) as a value. Objects keep the order of their members; integers stay exact.
public enum JSON: Sendable, Equatable {
    case null
    case bool(Bool)
    /// A number written without fraction or exponent that fits in 64 bits with sign.
    case integer(Int64)
    /// A number written without fraction or exponent above `Int64.max`.
    case unsigned(UInt64)
    case number(Double)
    case string(String)
    case array([JSON])
    case object(JSONObject)

    /// The member of an object by this name; nil where there is none or this is no object.
    public subscript(name: String) -> JSON? {
        guard case .object(let object) = self else { return nil }
        return object[name]
    }

    /// The text of a string; nil for anything else.
    public var string: String? { if case .string(let value) = self { value } else { nil } }
    /// The value of a boolean; nil for anything else.
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    /// The elements of an array; nil for anything else.
    public var array: [JSON]? { if case .array(let value) = self { value } else { nil } }
    /// The members of an object; nil for anything else.
    public var object: JSONObject? { if case .object(let value) = self { value } else { nil } }
    /// The value of an integer that fits in an `Int`; nil for anything else.
    public var int: Int? { if case .integer(let value) = self { Int(exactly: value) } else { nil } }
    /// Whether this is `null`.
    public var isNull: Bool { self == .null }

    /// The name of this value's type, as an error says it.
    var typeName: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .integer, .unsigned: "an integer"
        case .number: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }
}

/// The members of a JSON object in the order they were written; names are unique.
public struct JSONObject: Sendable, Equatable {
    /// In the order they were written.
    public private(set) var members: [(name: String, value: JSON)] = []

    public init() {}
    public init(_ members: [(name: String, value: JSON)]) {
        for member in members { self[member.name] = member.value }
    }

    /// Reads, replaces, appends, or (with nil) removes a member.
    public subscript(name: String) -> JSON? {
        get { members.first { $0.name == name }?.value }
        set {
            let index = members.firstIndex { $0.name == name }
            switch (index, newValue) {
            case (let index?, let value?): members[index].value = value
            case (let index?, nil): members.remove(at: index)
            case (nil, let value?): members.append((name, value))
            case (nil, nil): break
            }
        }
    }

    /// Whether there are no members.
    public var isEmpty: Bool { members.isEmpty }
    /// The number of members.
    public var count: Int { members.count }

    mutating func appendUnchecked(_ name: String, _ value: JSON) { members.append((name, value)) }

    public static func == (left: JSONObject, right: JSONObject) -> Bool {
        left.members.count == right.members.count
            && zip(left.members, right.members).allSatisfy { $0.name == $1.name && $0.value == $1.value }
    }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral, ExpressibleByFloatLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int64) { self = .integer(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(arrayLiteral elements: JSON...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, JSON)...) {
        self = .object(JSONObject(elements.map { (name: $0.0, value: $0.1) }))
    }
    public init(nilLiteral: ()) { self = .null }
    public init(floatLiteral value: Double) { self = .number(value) }
}

/// What is wrong with a JSON document, and where.
public struct JSONError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The place in the document's structure, such as `linux.resources.memory.limit` or `layers[2].digest`; empty for
    /// the document itself or when the text could not be parsed.
    public let path: String
    /// What is wrong there.
    public let message: String

    public init(path: String, message: String) {
        self.path = path
        self.message = message
    }

    public var description: String { path.isEmpty ? message : "\(path): \(message)" }
}
