/// A value of D-Bus (the specification's "Type System").
indirect enum DBusValue: Sendable, Equatable {
    case byte(UInt8)
    case bool(Bool)
    case int16(Int16)
    case uint16(UInt16)
    case int32(Int32)
    case uint32(UInt32)
    case int64(Int64)
    case uint64(UInt64)
    case double(Double)
    case string(String)
    case objectPath(String)
    case signature(String)
    /// With the signature of its elements, since it may have none.
    case array(of: String, [DBusValue])
    case structure([DBusValue])
    case entry(DBusValue, DBusValue)
    case variant(DBusValue)

    /// The single complete type of this value.
    var signature: String {
        switch self {
        case .byte: "y"
        case .bool: "b"
        case .int16: "n"
        case .uint16: "q"
        case .int32: "i"
        case .uint32: "u"
        case .int64: "x"
        case .uint64: "t"
        case .double: "d"
        case .string: "s"
        case .objectPath: "o"
        case .signature: "g"
        case .array(let element, _): "a\(element)"
        case .structure(let members): "(\(members.map(\.signature).joined()))"
        case .entry(let key, let value): "{\(key.signature)\(value.signature)}"
        case .variant: "v"
        }
    }

    /// An array of texts.
    static func strings(_ values: [String]) -> DBusValue { .array(of: "s", values.map { .string($0) }) }

    /// The text of a string, a path or a signature.
    var text: String? {
        switch self {
        case .string(let text), .objectPath(let text), .signature(let text): text
        case .variant(let value): value.text
        default: nil
        }
    }
}

/// Splits signatures into single complete types.
enum DBusSignature {
    /// The longest that the specification allows.
    private static let longest = 255

    static func types(_ signature: String) throws(DBusError) -> [String] {
        let bytes = Array(signature.utf8)
        guard bytes.count <= longest else { throw DBusError("a signature longer than \(longest) bytes") }
        var types: [String] = []
        var position = 0
        while position < bytes.count {
            let start = position
            try skip(bytes, &position, depth: 0)
            types.append(String(decoding: bytes[start..<position], as: UTF8.self))
        }
        return types
    }

    private static func skip(_ bytes: [UInt8], _ position: inout Int, depth: Int) throws(DBusError) {
        guard depth <= 32, position < bytes.count else { throw DBusError("a signature that is cut off or too deep") }
        let type = bytes[position]
        position += 1
        switch type {
        case UInt8(ascii: "a"): try skip(bytes, &position, depth: depth + 1)
        case UInt8(ascii: "("), UInt8(ascii: "{"):
            let end = type == UInt8(ascii: "(") ? UInt8(ascii: ")") : UInt8(ascii: "}")
            let first = position
            while position < bytes.count, bytes[position] != end { try skip(bytes, &position, depth: depth + 1) }
            guard position < bytes.count, position > first else { throw DBusError("an unfinished or empty structure") }
            position += 1
        default:
            guard "ybnqiuxtdsogvh".utf8.contains(type) else {
                throw DBusError("the unknown type \"\(Character(Unicode.Scalar(type)))\"")
            }
        }
    }

    /// What a value of this type begins at a multiple of.
    static func alignment(_ type: String) -> Int {
        switch type.utf8.first {
        case UInt8(ascii: "y"), UInt8(ascii: "g"), UInt8(ascii: "v"): 1
        case UInt8(ascii: "n"), UInt8(ascii: "q"): 2
        case UInt8(ascii: "x"), UInt8(ascii: "t"), UInt8(ascii: "d"), UInt8(ascii: "("), UInt8(ascii: "{"): 8
        default: 4
        }
    }
}

/// A message that is not of the D-Bus protocol.
struct DBusError: Error, Equatable, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
