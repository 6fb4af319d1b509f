extension JSON {
    /// Parses a document by RFC 8259, strictly: one value, no comments, no trailing commas, valid UTF-8, no duplicate
    /// member names, at most 128 levels deep.
    public init(parsing bytes: [UInt8]) throws(JSONError) {
        var parser = JSONParser(bytes)
        self = try parser.document()
    }

    /// The same for a text.
    public init(parsing text: String) throws(JSONError) { try self.init(parsing: Array(text.utf8)) }
}

/// A recursive-descent parser over bytes; errors carry line and column.
struct JSONParser {
    private let bytes: [UInt8]
    private var position = 0
    private static let deepest = 128

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func document() throws(JSONError) -> JSON {
        skipWhitespace()
        let value = try self.value(depth: 0)
        skipWhitespace()
        if position < bytes.count { throw failure("unexpected text after the document") }
        return value
    }

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipWhitespace() {
        while position < bytes.count, [0x20, 0x0A, 0x0D, 0x09].contains(bytes[position]) { position += 1 }
    }

    private func failure(_ message: String) -> JSONError {
        var line = 1
        var column = 1
        for byte in bytes[..<min(position, bytes.count)] {
            if byte == 0x0A {
                line += 1
                column = 1
            } else {
                column += 1
            }
        }
        return JSONError(path: "", message: "invalid JSON at line \(line), column \(column): \(message)")
    }

    private mutating func value(depth: Int) throws(JSONError) -> JSON {
        if depth > Self.deepest { throw failure("nested deeper than \(Self.deepest) levels") }
        switch next {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try literal("true", .bool(true))
        case UInt8(ascii: "f"): return try literal("false", .bool(false))
        case UInt8(ascii: "n"): return try literal("null", .null)
        case nil: throw failure("the document ends where a value is expected")
        case let byte? where byte == UInt8(ascii: "-") || (0x30...0x39).contains(byte): return try number()
        default: throw failure("a value is expected here")
        }
    }

    private mutating func literal(_ word: StaticString, _ value: JSON) throws(JSONError) -> JSON {
        let length = word.utf8CodeUnitCount
        let matches =
            position + length <= bytes.count
            && (0..<length).allSatisfy { bytes[position + $0] == word.utf8Start[$0] }
        guard matches else { throw failure("a value is expected here") }
        position += length
        return value
    }

    private mutating func object(depth: Int) throws(JSONError) -> JSON {
        position += 1
        var object = JSONObject()
        var names: Set<String> = []
        skipWhitespace()
        if next == UInt8(ascii: "}") {
            position += 1
            return .object(object)
        }
        while true {
            skipWhitespace()
            guard next == UInt8(ascii: "\"") else { throw failure("a member name in quotes is expected") }
            let name = try string()
            guard names.insert(name).inserted else { throw failure("the member \"\(name)\" appears twice") }
            skipWhitespace()
            guard next == UInt8(ascii: ":") else { throw failure("':' is expected after \"\(name)\"") }
            position += 1
            skipWhitespace()
            object.appendUnchecked(name, try value(depth: depth + 1))
            skipWhitespace()
            switch next {
            case UInt8(ascii: ","): position += 1
            case UInt8(ascii: "}"):
                position += 1
                return .object(object)
            default: throw failure("',' or '}' is expected")
            }
        }
    }

    private mutating func array(depth: Int) throws(JSONError) -> JSON {
        position += 1
        var elements: [JSON] = []
        skipWhitespace()
        if next == UInt8(ascii: "]") {
            position += 1
            return .array(elements)
        }
        while true {
            skipWhitespace()
            elements.append(try value(depth: depth + 1))
            skipWhitespace()
            switch next {
            case UInt8(ascii: ","): position += 1
            case UInt8(ascii: "]"):
                position += 1
                return .array(elements)
            default: throw failure("',' or ']' is expected")
            }
        }
    }

    private mutating func digits() -> Int {
        let start = position
        while let byte = next, byte >= 0x30, byte <= 0x39 { position += 1 }
        return position - start
    }

    private mutating func number() throws(JSONError) -> JSON {
        let start = position
        if next == UInt8(ascii: "-") { position += 1 }
        let leadingZero = next == UInt8(ascii: "0")
        let whole = digits()
        if whole == 0 || (leadingZero && whole > 1) { throw failure("a malformed number") }
        var exact = true
        if next == UInt8(ascii: ".") {
            exact = false
            position += 1
            if digits() == 0 { throw failure("a malformed number") }
        }
        if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
            exact = false
            position += 1
            if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { position += 1 }
            if digits() == 0 { throw failure("a malformed number") }
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if exact {
            if let value = Int64(text) { return .integer(value) }
            if let value = UInt64(text) { return .unsigned(value) }
        }
        guard let value = Double(text), value.isFinite else { throw failure("a number out of range") }
        return .number(value)
    }

    private mutating func string() throws(JSONError) -> String {
        position += 1
        let start = position
        // The common case: no escape, so the bytes are the string.
        while let byte = next, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { position += 1 }
        if next == UInt8(ascii: "\"") {
            defer { position += 1 }
            return try text(bytes[start..<position])
        }
        var content = Array(bytes[start..<position])
        while let byte = next {
            switch byte {
            case UInt8(ascii: "\""):
                position += 1
                return try text(content[...])
            case UInt8(ascii: "\\"): try escape(into: &content)
            case 0..<0x20: throw failure("a control character inside a string")
            default:
                content.append(byte)
                position += 1
            }
        }
        throw failure("a string that does not end")
    }

    private func text(_ bytes: ArraySlice<UInt8>) throws(JSONError) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else { throw failure("invalid UTF-8 in a string") }
        return text
    }

    private mutating func escape(into content: inout [UInt8]) throws(JSONError) {
        position += 1
        guard let kind = next else { throw failure("a string that does not end") }
        position += 1
        switch kind {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): content.append(kind)
        case UInt8(ascii: "b"): content.append(0x08)
        case UInt8(ascii: "f"): content.append(0x0C)
        case UInt8(ascii: "n"): content.append(0x0A)
        case UInt8(ascii: "r"): content.append(0x0D)
        case UInt8(ascii: "t"): content.append(0x09)
        case UInt8(ascii: "u"):
            var unit = try fourHexDigits()
            if unit >= 0xD800, unit < 0xDC00 {
                guard next == UInt8(ascii: "\\"), position + 1 < bytes.count, bytes[position + 1] == UInt8(ascii: "u")
                else { throw failure("half of a surrogate pair") }
                position += 2
                let low = try fourHexDigits()
                guard low >= 0xDC00, low < 0xE000 else { throw failure("half of a surrogate pair") }
                unit = 0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(unit) else { throw failure("half of a surrogate pair") }
            content.append(contentsOf: Array(String(Character(scalar)).utf8))
        default: throw failure("an unknown escape in a string")
        }
    }

    private mutating func fourHexDigits() throws(JSONError) -> UInt32 {
        guard position + 4 <= bytes.count,
            let value = UInt32(String(decoding: bytes[position..<position + 4], as: UTF8.self), radix: 16),
            bytes[position] != UInt8(ascii: "+"), bytes[position] != UInt8(ascii: "-")
        else { throw failure("four hexadecimal digits are expected after \\u") }
        position += 4
        return value
    }
}
