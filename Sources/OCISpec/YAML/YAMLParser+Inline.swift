// Values that stand on one line, or in brackets.
extension YAMLParser {
    mutating func inlineValue(depth: Int) throws(JSONError) -> JSON {
        if depth > Self.deepest { throw failure("nested deeper than \(Self.deepest) levels") }
        switch next {
        case UInt8(ascii: "["): return try bracketedList(depth: depth)
        case UInt8(ascii: "{"): return try bracketedMapping(depth: depth)
        case UInt8(ascii: "\""), UInt8(ascii: "'"): return .string(try quoted())
        default: return try plainValue(inBrackets: false)
        }
    }

    private mutating func valueInBrackets(depth: Int) throws(JSONError) -> JSON {
        switch next {
        case UInt8(ascii: "["), UInt8(ascii: "{"), UInt8(ascii: "\""), UInt8(ascii: "'"):
            return try inlineValue(depth: depth + 1)
        default: return try plainValue(inBrackets: true)
        }
    }

    /// Spaces, line ends and comments between the parts of a value in brackets.
    private mutating func skipInBrackets() throws(JSONError) {
        guard try skipToContent() else { throw failure("a bracket that is not closed") }
    }

    private mutating func bracketedList(depth: Int) throws(JSONError) -> JSON {
        position += 1
        var elements: [JSON] = []
        while true {
            try skipInBrackets()
            if next == UInt8(ascii: "]") { break }
            elements.append(try valueInBrackets(depth: depth))
            try skipInBrackets()
            if next == UInt8(ascii: ",") {
                position += 1
            } else if next != UInt8(ascii: "]") {
                throw failure("',' or ']' is expected")
            }
        }
        position += 1
        return .array(elements)
    }

    private mutating func bracketedMapping(depth: Int) throws(JSONError) -> JSON {
        position += 1
        var object = JSONObject()
        var names: Set<String> = []
        while true {
            try skipInBrackets()
            if next == UInt8(ascii: "}") { break }
            let name = try keyText(inBrackets: true)
            guard names.insert(name).inserted else { throw failure("the member \"\(name)\" appears twice") }
            try skipInBrackets()
            guard next == UInt8(ascii: ":") else { throw failure("':' is expected after \"\(name)\"") }
            position += 1
            try skipInBrackets()
            let isEmpty = next == UInt8(ascii: ",") || next == UInt8(ascii: "}")
            object.appendUnchecked(name, isEmpty ? .null : try valueInBrackets(depth: depth))
            try skipInBrackets()
            if next == UInt8(ascii: ",") {
                position += 1
            } else if next != UInt8(ascii: "}") {
                throw failure("',' or '}' is expected")
            }
        }
        position += 1
        return .object(object)
    }

    // MARK: Texts

    mutating func quoted() throws(JSONError) -> String {
        let start = position
        let quote = bytes[position]
        position += 1
        var content: [UInt8] = []
        while let byte = next {
            if byte == quote {
                position += 1
                guard quote == UInt8(ascii: "'"), next == quote else { return String(decoding: content, as: UTF8.self) }
                content.append(quote)
                position += 1
            } else if byte == 0x0A || byte == 0x0D {
                throw failure("a quoted text over several lines; write it on one")
            } else if byte == UInt8(ascii: "\\"), quote == UInt8(ascii: "\"") {
                try escape(into: &content)
            } else {
                if byte < 0x20, byte != 0x09 { throw failure("a control character in a text") }
                content.append(byte)
                position += 1
            }
        }
        position = start
        throw failure("a quoted text that does not end")
    }

    private mutating func escape(into content: inout [UInt8]) throws(JSONError) {
        position += 1
        guard let kind = next else { throw failure("a quoted text that does not end") }
        position += 1
        switch kind {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), 0x20: content.append(kind)
        case UInt8(ascii: "n"): content.append(0x0A)
        case UInt8(ascii: "t"): content.append(0x09)
        case UInt8(ascii: "r"): content.append(0x0D)
        case UInt8(ascii: "e"): content.append(0x1B)
        case UInt8(ascii: "x"): try scalar(digits: 2, into: &content)
        case UInt8(ascii: "u"): try scalar(digits: 4, into: &content)
        case UInt8(ascii: "U"): try scalar(digits: 8, into: &content)
        default:
            position -= 2
            throw failure("an escape in a text that is not supported")
        }
    }

    private mutating func scalar(digits count: Int, into content: inout [UInt8]) throws(JSONError) {
        let digits = bytes[position...].prefix(count)
        guard digits.count == count, digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
            let number = UInt32(String(decoding: digits, as: UTF8.self), radix: 16), number != 0,
            let scalar = Unicode.Scalar(number)
        else { throw failure("\(count) hexadecimal digits of a character are expected") }
        content.append(contentsOf: Array(String(Character(scalar)).utf8))
        position += count
    }

    /// The bytes of a text without quotes, and goes behind them.
    mutating func plainBytes(inBrackets: Bool) -> ArraySlice<UInt8> {
        let start = position
        while let byte = next, byte != 0x0A, byte != 0x0D {
            if byte == UInt8(ascii: ":") {
                let after = self.byte(at: 1)
                if Self.isBlank(after) { break }
                if inBrackets, ",[]{}".utf8.contains(after!) { break }
            }
            if byte == UInt8(ascii: "#"), position > start, bytes[position - 1] == 0x20 { break }
            if inBrackets, ",[]{}".utf8.contains(byte) { break }
            position += 1
        }
        while position > start, bytes[position - 1] == 0x20 { position -= 1 }
        return bytes[start..<position]
    }

    /// A text without quotes.
    mutating func plain(inBrackets: Bool) throws(JSONError) -> String {
        let start = position
        let refusal: String? =
            switch next {
            case UInt8(ascii: "&"): "an anchor"
            case UInt8(ascii: "*"): "an alias"
            case UInt8(ascii: "!"): "a tag"
            case UInt8(ascii: "|"), UInt8(ascii: ">"): "a text over several lines"
            case UInt8(ascii: "?") where Self.isBlank(byte(at: 1)): "a complex key"
            case UInt8(ascii: "-") where Self.isBlank(byte(at: 1)): "a list within a line"
            case UInt8(ascii: "%"), UInt8(ascii: "@"), UInt8(ascii: "`"), UInt8(ascii: ","), UInt8(ascii: "]"),
                UInt8(ascii: "}"), UInt8(ascii: "#"):
                "a text that begins with this character and has no quotes"
            default: nil
            }
        if let refusal { throw failure("\(refusal) is not supported here; put a text in quotes") }
        let content = plainBytes(inBrackets: inBrackets)
        if content.isEmpty { throw failure("a value is expected here") }
        if let control = content.firstIndex(where: { $0 < 0x20 }) {
            position = control
            throw failure("a control character in a text")
        }
        let text = String(decoding: content, as: UTF8.self)
        if content.last == UInt8(ascii: ":") {
            position = start
            throw failure("\"\(text)\" ends with a colon; put it in quotes")
        }
        return text
    }

    /// A value without quotes: a text unless it is written as something else.
    private mutating func plainValue(inBrackets: Bool) throws(JSONError) -> JSON {
        let start = position
        let text = try plain(inBrackets: inBrackets)
        if !inBrackets, next == UInt8(ascii: ":") {
            throw failure("a colon in a text without quotes; put it in quotes")
        }
        switch text {
        case "null", "Null", "NULL", "~": return .null
        case "true", "True", "TRUE": return .bool(true)
        case "false", "False", "FALSE": return .bool(false)
        default: break
        }
        // A yes of YAML 1.1 is a text of YAML 1.2.
        if ["y", "n", "yes", "no", "on", "off"].contains(text.lowercased()) {
            position = start
            throw failure("\"\(text)\" means a truth value to some readers and a text to others; put it in quotes")
        }
        return number(text) ?? .string(text)
    }

    /// Numbers as YAML's readers agree on them; a leading zero makes an octal one, as for a file's mode.
    private func number(_ text: String) -> JSON? {
        let digits =
            text.utf8.first == UInt8(ascii: "-") || text.utf8.first == UInt8(ascii: "+") ? text.dropFirst() : text[...]
        guard let first = digits.utf8.first, (0x30...0x39).contains(first) || first == UInt8(ascii: ".") else {
            return nil
        }
        let isNegative = text.utf8.first == UInt8(ascii: "-")
        func whole(_ magnitude: UInt64?) -> JSON? {
            guard let magnitude else { return nil }
            if isNegative { return magnitude <= UInt64(Int64.max) ? .integer(-Int64(magnitude)) : nil }
            return Int64(exactly: magnitude).map { .integer($0) } ?? .unsigned(magnitude)
        }
        let isDecimal = digits.utf8.allSatisfy { (0x30...0x39).contains($0) }
        if isDecimal, digits.utf8.count > 1, first == 0x30 {
            return digits.utf8.allSatisfy { $0 < 0x38 } ? whole(UInt64(digits, radix: 8)) : nil
        }
        if isDecimal { return whole(UInt64(digits)) }
        if digits.hasPrefix("0x"), digits.dropFirst(2).allSatisfy(\.isHexDigit) {
            return whole(UInt64(digits.dropFirst(2), radix: 16))
        }
        if digits.hasPrefix("0o") { return whole(UInt64(digits.dropFirst(2), radix: 8)) }
        // One point at most: "0.5.0" is a text.
        guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) || ".eE+-".utf8.contains($0) }),
            let value = Double(text), value.isFinite
        else { return nil }
        return .number(value)
    }
}
