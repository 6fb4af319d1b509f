extension JSON {
    /// Reads a document of the part of YAML that configuration files use: mappings and lists in blocks and in brackets,
    /// texts plain and quoted on one line, comments. What lies outside of it is refused, never guessed at: anchors, tags,
    /// merge keys, texts over several lines, several documents, and words that versions of YAML disagree about.
    public init(parsingYAML bytes: [UInt8]) throws(JSONError) {
        var parser = try YAMLParser(bytes)
        self = try parser.document()
    }

    /// The same for a text.
    public init(parsingYAML text: String) throws(JSONError) { try self.init(parsingYAML: Array(text.utf8)) }
}

/// Reads blocks by their indentation; errors carry line and column.
struct YAMLParser {
    let bytes: [UInt8]
    var position = 0
    static let deepest = 64

    init(_ bytes: [UInt8]) throws(JSONError) {
        self.bytes = bytes
        if String(validating: bytes, as: UTF8.self) == nil { throw JSONError(path: "", message: "invalid UTF-8") }
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
    }

    mutating func document() throws(JSONError) -> JSON {
        guard try skipToContent() else { return .null }
        if isMarker("---") {
            position += 3
            try endLine()
            guard try skipToContent(), !isMarker("---"), !isMarker("...") else { return .null }
        }
        let value = try block(indentation: column, depth: 0)
        if try skipToContent() {
            if isMarker("---") { throw failure("a second document; write each into a file of its own") }
            if isMarker("...") { throw failure("\"...\" is not supported; end the file here") }
            throw failure("this line is indented less than the ones it follows, or follows a value")
        }
        return value
    }

    // MARK: Places

    var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    func byte(at offset: Int) -> UInt8? { position + offset < bytes.count ? bytes[position + offset] : nil }

    /// How far the present byte is from the beginning of its line.
    private var column: Int {
        var start = position
        while start > 0, bytes[start - 1] != 0x0A { start -= 1 }
        return position - start
    }

    func failure(_ message: String) -> JSONError {
        var line = 1
        var column = 1
        for byte in bytes[..<min(position, bytes.count)] {
            if byte == 0x0A {
                line += 1
                column = 1
            } else if byte & 0xC0 != 0x80 {
                column += 1
            }
        }
        return JSONError(path: "", message: "invalid YAML at line \(line), column \(column): \(message)")
    }

    static func isBlank(_ byte: UInt8?) -> Bool { byte == nil || byte == 0x20 || byte == 0x0A || byte == 0x0D }

    mutating func skipSpaces() throws(JSONError) {
        while next == 0x20 { position += 1 }
        if next == 0x09 { throw failure("a tab; indent and separate with spaces") }
    }

    /// What may follow a value on its line: nothing, or a comment after a space.
    mutating func endLine() throws(JSONError) {
        let start = position
        try skipSpaces()
        if next == UInt8(ascii: "#"), position > start || position == 0 || bytes[position - 1] == 0x20 {
            while let byte = next, byte != 0x0A { position += 1 }
        }
        if next == 0x0D { position += 1 }
        guard let byte = next else { return }
        guard byte == 0x0A else { throw failure("unexpected text after a value") }
        position += 1
    }

    /// Goes to the first byte of the next line that has content; false at the end.
    mutating func skipToContent() throws(JSONError) -> Bool {
        while position < bytes.count {
            let start = position
            try skipSpaces()
            switch next {
            case nil: return false
            case 0x0A: position += 1
            case 0x0D where byte(at: 1) == 0x0A || byte(at: 1) == nil: position += 1
            case UInt8(ascii: "#"):
                while let byte = next, byte != 0x0A { position += 1 }
            case UInt8(ascii: "%") where position == start:
                throw failure("a directive; leave it out")
            default: return true
            }
        }
        return false
    }

    /// Whether a line is a marker of documents.
    private func isMarker(_ marker: String) -> Bool {
        column == 0 && bytes[position...].starts(with: marker.utf8) && Self.isBlank(byte(at: 3))
    }

    private var isItem: Bool { next == UInt8(ascii: "-") && Self.isBlank(byte(at: 1)) }

    // MARK: Blocks

    /// The value that begins here; its further lines are indented by as much.
    private mutating func block(indentation: Int, depth: Int) throws(JSONError) -> JSON {
        if depth > Self.deepest { throw failure("nested deeper than \(Self.deepest) levels") }
        if isItem { return try list(indentation: indentation, depth: depth) }
        if try isKeyAhead() { return try mapping(indentation: indentation, depth: depth) }
        let value = try inlineValue(depth: depth)
        try endLine()
        return value
    }

    /// What stands on the next lines, if they are indented as a value here must be; else null.
    private mutating func blockBelow(_ indentation: Int, depth: Int, allowsList: Bool) throws(JSONError) -> JSON {
        let start = position
        guard try skipToContent(), !isMarker("---"), !isMarker("...") else { return .null }
        let found = column
        if found > indentation || (allowsList && found == indentation && isItem) {
            return try block(indentation: found, depth: depth + 1)
        }
        position = start
        return .null
    }

    /// Whether another line of the block at this indentation follows; goes to it.
    private mutating func isContinued(_ indentation: Int) throws(JSONError) -> Bool {
        let start = position
        guard try skipToContent() else { return false }
        if isMarker("---") || isMarker("...") || column < indentation {
            position = start
            return false
        }
        if column > indentation {
            throw failure(
                "indented by \(column) where \(indentation) is expected (texts over several lines are not read)")
        }
        return true
    }

    private mutating func list(indentation: Int, depth: Int) throws(JSONError) -> JSON {
        var elements: [JSON] = []
        repeat {
            // A mapping may go on at the indentation of the list that is its member's value.
            guard isItem else { break }
            position += 1
            let dash = position
            try skipSpaces()
            if Self.isBlank(next) || (next == UInt8(ascii: "#") && position > dash) {
                try endLine()
                elements.append(try blockBelow(indentation, depth: depth, allowsList: false))
            } else {
                elements.append(try block(indentation: column, depth: depth + 1))
            }
        } while try isContinued(indentation)
        return .array(elements)
    }

    private mutating func mapping(indentation: Int, depth: Int) throws(JSONError) -> JSON {
        var object = JSONObject()
        var names: Set<String> = []
        repeat {
            if isItem { throw failure("an item of a list among the members of a mapping") }
            let start = position
            let name = try key()
            guard names.insert(name).inserted else {
                position = start
                throw failure("the member \"\(name)\" appears twice")
            }
            let colon = position
            try skipSpaces()
            if Self.isBlank(next) || (next == UInt8(ascii: "#") && position > colon) {
                try endLine()
                object.appendUnchecked(name, try blockBelow(indentation, depth: depth, allowsList: true))
            } else {
                object.appendUnchecked(name, try inlineValue(depth: depth))
                try endLine()
            }
        } while try isContinued(indentation)
        return .object(object)
    }

    /// Whether this line begins with a key and a colon.
    private func isKeyAhead() throws(JSONError) -> Bool {
        var ahead = self
        switch next {
        case UInt8(ascii: "\""), UInt8(ascii: "'"): _ = try ahead.quoted()
        case UInt8(ascii: "["), UInt8(ascii: "{"): return false
        default: _ = ahead.plainBytes(inBrackets: false)
        }
        while ahead.next == 0x20 { ahead.position += 1 }
        return ahead.next == UInt8(ascii: ":") && Self.isBlank(ahead.byte(at: 1))
    }

    /// A key with its colon.
    private mutating func key() throws(JSONError) -> String {
        let start = position
        let name = try keyText(inBrackets: false)
        try skipSpaces()
        guard next == UInt8(ascii: ":"), Self.isBlank(byte(at: 1)) else {
            position = start
            throw failure("a member's name with a colon and a space after it is expected")
        }
        position += 1
        return name
    }

    mutating func keyText(inBrackets: Bool) throws(JSONError) -> String {
        if next == UInt8(ascii: "\"") || next == UInt8(ascii: "'") { return try quoted() }
        let start = position
        let name = try plain(inBrackets: inBrackets)
        if name == "<<" {
            position = start
            throw failure("a merge key is not supported; write the members out")
        }
        return name
    }
}
