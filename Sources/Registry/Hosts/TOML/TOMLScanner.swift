/// The characters of a TOML document: white space, comments and the four kinds of strings.
struct TOMLScanner {
    private let bytes: [UInt8]
    private var position = 0
    private(set) var line = 1

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    func failure(_ message: String) -> TOMLError { TOMLError(line: line, message: message) }

    func peek() -> UInt8? { position < bytes.count ? bytes[position] : nil }

    func isNext(_ text: String) -> Bool { bytes[position...].starts(with: text.utf8) }

    mutating func take(_ text: String) -> Bool {
        guard isNext(text) else { return false }
        position += text.utf8.count
        return true
    }

    mutating func expect(_ text: String, after what: String) throws(TOMLError) {
        guard take(text) else { throw failure("there is no \(text) after \(what)") }
    }

    mutating func bareWord(_ isPart: (UInt8) -> Bool) -> String {
        let word = bytes[position...].prefix(while: isPart)
        position = word.endIndex
        return String(decoding: word, as: UTF8.self)
    }

    mutating func skipByteOrderMark() { _ = take("\u{FEFF}") }

    mutating func skipSpaces() {
        while let byte = peek(), byte == 0x20 || byte == 0x09 { position += 1 }
    }

    /// White space, line ends and comments.
    mutating func skipBlankLines() {
        while let byte = peek() {
            switch byte {
            case 0x20, 0x09, 0x0D: position += 1
            case 0x0A: newline()
            case UInt8(ascii: "#"): skipComment()
            default: return
            }
        }
    }

    /// Only a comment may stand between a value and the end of its line.
    mutating func endOfLine() throws(TOMLError) {
        skipSpaces()
        if peek() == UInt8(ascii: "#") { skipComment() }
        if peek() == 0x0D { position += 1 }
        guard let byte = peek() else { return }
        guard byte == 0x0A else { throw failure("there is more on the line than one key and value") }
        newline()
    }

    private mutating func skipComment() {
        while let byte = peek(), byte != 0x0A { position += 1 }
    }

    private mutating func newline() {
        position += 1
        line += 1
    }

    // MARK: Strings

    mutating func basicString() throws(TOMLError) -> String {
        position += 1
        var text: [UInt8] = []
        while let byte = peek(), byte != 0x0A {
            position += 1
            switch byte {
            case UInt8(ascii: "\""): return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"): text += try escape()
            default: text.append(byte)
            }
        }
        throw failure("a string is not closed")
    }

    mutating func literalString() throws(TOMLError) -> String {
        position += 1
        let text = bytes[position...].prefix { $0 != UInt8(ascii: "'") && $0 != 0x0A }
        position = text.endIndex
        guard take("'") else { throw failure("a string is not closed") }
        return String(decoding: text, as: UTF8.self)
    }

    mutating func longLiteralString() throws(TOMLError) -> String {
        let text = try long("'") { (scanner) throws(TOMLError) in
            defer { scanner.position += 1 }
            return [scanner.bytes[scanner.position]]
        }
        return text
    }

    mutating func longBasicString() throws(TOMLError) -> String {
        try long("\"") { (scanner) throws(TOMLError) in
            let byte = scanner.bytes[scanner.position]
            scanner.position += 1
            guard byte == UInt8(ascii: "\\") else { return [byte] }
            // A backslash at the end of a line swallows white space up to the next character.
            let rest = scanner.bytes[scanner.position...].prefix { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }
            if rest.endIndex < scanner.bytes.count, scanner.bytes[rest.endIndex] == 0x0A {
                while let space = scanner.peek(), [0x20, 0x09, 0x0D, 0x0A].contains(space) {
                    if space == 0x0A { scanner.line += 1 }
                    scanner.position += 1
                }
                return []
            }
            return try scanner.escape()
        }
    }

    /// Between three quotation marks; up to two more may belong to the text right before the closing ones.
    private mutating func long(
        _ mark: String, _ next: (inout TOMLScanner) throws(TOMLError) -> [UInt8]
    ) throws(TOMLError) -> String {
        let marks = mark + mark + mark
        position += 3
        if take("\r\n") || take("\n") { line += 1 }
        var text: [UInt8] = []
        while position < bytes.count {
            if isNext(marks) {
                var extra = 0
                while extra < 2, isNext(marks + mark) {
                    text += mark.utf8
                    position += 1
                    extra += 1
                }
                position += 3
                return String(decoding: text, as: UTF8.self)
            }
            if bytes[position] == 0x0A { line += 1 }
            text += try next(&self)
        }
        throw failure("a string is not closed")
    }

    private mutating func escape() throws(TOMLError) -> [UInt8] {
        guard let byte = peek() else { throw failure("a string is not closed") }
        position += 1
        switch byte {
        case UInt8(ascii: "b"): return [0x08]
        case UInt8(ascii: "t"): return [0x09]
        case UInt8(ascii: "n"): return [0x0A]
        case UInt8(ascii: "f"): return [0x0C]
        case UInt8(ascii: "r"): return [0x0D]
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): return [byte]
        case UInt8(ascii: "u"): return try codePoint(digits: 4)
        case UInt8(ascii: "U"): return try codePoint(digits: 8)
        default: throw failure("a string has an unknown escape sequence")
        }
    }

    private mutating func codePoint(digits: Int) throws(TOMLError) -> [UInt8] {
        let text = String(decoding: bytes[position...].prefix(digits), as: UTF8.self)
        guard text.utf8.count == digits, let value = UInt32(text, radix: 16), let scalar = Unicode.Scalar(value) else {
            throw failure("a string has a broken \\u escape")
        }
        position += digits
        return Array(String(Character(scalar)).utf8)
    }
}
