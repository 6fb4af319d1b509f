extension TOMLTable {
    /// The root table of a document. Every rule that keeps a document from meaning two things is checked: keys and
    /// tables are defined once.
    init(parsing bytes: [UInt8]) throws(TOMLError) {
        guard String(validating: bytes, as: UTF8.self) != nil else {
            throw TOMLError(line: 1, message: "the file is no UTF-8")
        }
        var parser = TOMLParser(bytes)
        self = try parser.document()
    }
}

private struct TOMLParser {
    private var scanner: TOMLScanner
    private static let deepest = 32

    init(_ bytes: [UInt8]) { scanner = TOMLScanner(bytes) }

    mutating func document() throws(TOMLError) -> TOMLTable {
        var root = TOMLTable(.header)
        var path: [String] = []
        scanner.skipByteOrderMark()
        while true {
            scanner.skipBlankLines()
            guard let byte = scanner.peek() else { return root }
            let line = scanner.line
            if byte == UInt8(ascii: "[") {
                path = try header(&root, line)
            } else {
                let key = try keys()
                try scanner.expect("=", after: "the key \(key.joined(separator: "."))")
                let value = try value(depth: 0)
                try Self.at(path[...], in: &root, line) { (table) throws(TOMLError) in
                    try Self.define(key[...], value, in: &table, line)
                }
            }
            try scanner.endOfLine()
        }
    }

    /// `[a.b]` or `[[a.b]]`; returns where the next keys go.
    private mutating func header(_ root: inout TOMLTable, _ line: Int) throws(TOMLError) -> [String] {
        _ = scanner.take("[")
        let isArray = scanner.take("[")
        let path = try keys()
        guard scanner.take("]"), !isArray || scanner.take("]") else {
            throw scanner.failure("the header of \(path.joined(separator: ".")) is not closed")
        }
        let name = path[path.count - 1]
        try Self.at(path.dropLast(), in: &root, line, creating: true) { (table) throws(TOMLError) in
            let twice = TOMLError(line: line, message: "\(path.joined(separator: ".")) is defined twice")
            guard let index = table.index(of: name) else {
                let new = TOMLTable(.header)
                table.append(name, isArray ? .tables([new]) : .table(new), line: line)
                return
            }
            switch table.entries[index].value {
            case .tables(let tables) where isArray: table.replace(index, .tables(tables + [TOMLTable(.header)]))
            case .table(var existing) where !isArray && existing.origin == .implied:
                existing.origin = .header
                table.replace(index, .table(existing))
            default: throw twice
            }
        }
        return path
    }

    /// Runs `body` on the table at `path`, the last one where an array of tables lies there.
    private static func at(
        _ path: ArraySlice<String>, in table: inout TOMLTable, _ line: Int, creating: Bool = false,
        _ body: (inout TOMLTable) throws(TOMLError) -> Void
    ) throws(TOMLError) {
        guard let name = path.first else { return try body(&table) }
        if creating, table.index(of: name) == nil { table.append(name, .table(TOMLTable(.implied)), line: line) }
        guard let index = table.index(of: name) else { throw TOMLError(line: line, message: "\(name) is not defined") }
        switch table.entries[index].value {
        case .table(var inner) where inner.origin != .inline:
            try at(path.dropFirst(), in: &inner, line, creating: creating, body)
            table.replace(index, .table(inner))
        case .tables(var tables):
            try at(path.dropFirst(), in: &tables[tables.count - 1], line, creating: creating, body)
            table.replace(index, .tables(tables))
        default: throw TOMLError(line: line, message: "\(name) is defined twice, once as no table")
        }
    }

    /// Adds `a.b = value` to a table.
    private static func define(
        _ key: ArraySlice<String>, _ value: TOMLValue, in table: inout TOMLTable, _ line: Int
    ) throws(TOMLError) {
        guard let name = key.first else { return }
        let index = table.index(of: name)
        if key.count == 1 {
            guard index == nil else { throw TOMLError(line: line, message: "\(name) is defined twice") }
            return table.append(name, value, line: line)
        }
        var inner = TOMLTable(.dotted)
        if let index {
            guard case .table(let existing) = table.entries[index].value, existing.origin == .dotted else {
                throw TOMLError(line: line, message: "\(name) is defined twice")
            }
            inner = existing
        }
        try define(key.dropFirst(), value, in: &inner, line)
        if let index { table.replace(index, .table(inner)) } else { table.append(name, .table(inner), line: line) }
    }

    // MARK: Keys and values

    private mutating func keys() throws(TOMLError) -> [String] {
        var keys: [String] = []
        repeat {
            scanner.skipSpaces()
            keys.append(try key())
            scanner.skipSpaces()
            if keys.count > Self.deepest { throw scanner.failure("tables are nested too deeply") }
        } while scanner.take(".")
        return keys
    }

    private mutating func key() throws(TOMLError) -> String {
        switch scanner.peek() {
        case UInt8(ascii: "\""): return try scanner.basicString()
        case UInt8(ascii: "'"): return try scanner.literalString()
        default:
            let bare = scanner.bareWord { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "_"), UInt8(ascii: "-"): true
                default: false
                }
            }
            if bare.isEmpty { throw scanner.failure("a key is missing") }
            return bare
        }
    }

    private mutating func value(depth: Int) throws(TOMLError) -> TOMLValue {
        if depth > Self.deepest { throw scanner.failure("values are nested too deeply") }
        scanner.skipSpaces()
        switch scanner.peek() {
        case UInt8(ascii: "\""):
            return .string(scanner.isNext("\"\"\"") ? try scanner.longBasicString() : try scanner.basicString())
        case UInt8(ascii: "'"):
            return .string(scanner.isNext("'''") ? try scanner.longLiteralString() : try scanner.literalString())
        case UInt8(ascii: "["): return try array(depth)
        case UInt8(ascii: "{"): return try inlineTable(depth)
        default: return try scalar()
        }
    }

    private mutating func array(_ depth: Int) throws(TOMLError) -> TOMLValue {
        _ = scanner.take("[")
        var elements: [TOMLValue] = []
        while true {
            scanner.skipBlankLines()
            if scanner.take("]") { return .array(elements) }
            elements.append(try value(depth: depth + 1))
            scanner.skipBlankLines()
            if scanner.take(",") { continue }
            guard scanner.take("]") else { throw scanner.failure("the array lacks a comma or its closing bracket") }
            return .array(elements)
        }
    }

    private mutating func inlineTable(_ depth: Int) throws(TOMLError) -> TOMLValue {
        _ = scanner.take("{")
        var table = TOMLTable(.inline)
        scanner.skipSpaces()
        if scanner.take("}") { return .table(table) }
        repeat {
            let line = scanner.line
            let key = try keys()
            try scanner.expect("=", after: "the key \(key.joined(separator: "."))")
            try Self.define(key[...], try value(depth: depth + 1), in: &table, line)
            scanner.skipSpaces()
        } while scanner.take(",")
        guard scanner.take("}") else { throw scanner.failure("the inline table lacks a comma or its closing brace") }
        return .table(table)
    }

    private mutating func scalar() throws(TOMLError) -> TOMLValue {
        let word = scanner.bareWord { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
            default: "_-+.:".utf8.contains(byte)
            }
        }
        switch word {
        case "": throw scanner.failure("a value is missing")
        case "true": return .boolean(true)
        case "false": return .boolean(false)
        default: break
        }
        if let integer = Self.integer(word) { return .integer(integer) }
        let first = word.utf8.first { $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") } ?? 0
        let isNumber = (0x30...0x39).contains(first) || word.hasSuffix("inf") || word.hasSuffix("nan")
        guard isNumber else { throw scanner.failure("\"\(word)\" is no value; strings stand in quotation marks") }
        return .other(word)
    }

    private static func integer(_ word: String) -> Int64? {
        let radixes = [("0x", 16), ("0o", 8), ("0b", 2)]
        if let (prefix, radix) = radixes.first(where: { word.hasPrefix($0.0) }) {
            return Int64(word.dropFirst(prefix.count).filter { $0 != "_" }, radix: radix)
        }
        return Int64(word.filter { $0 != "_" })
    }
}
