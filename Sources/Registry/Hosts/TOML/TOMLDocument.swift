/// A value of a TOML 1.0 document.
indirect enum TOMLValue: Sendable, Equatable {
    case string(String)
    case integer(Int64)
    case boolean(Bool)
    /// A fraction, date or time, as it is written: no file read here has a use for one.
    case other(String)
    case array([TOMLValue])
    case table(TOMLTable)
    /// An array of tables (`[[name]]`).
    case tables([TOMLTable])

    /// As an error says it.
    var typeName: String {
        switch self {
        case .string: "a string"
        case .integer: "an integer"
        case .boolean: "a boolean"
        case .other: "a number or date"
        case .array, .tables: "an array"
        case .table: "a table"
        }
    }
}

/// Keys and values in the order in which they are written: that of mirrors has a meaning.
struct TOMLTable: Sendable, Equatable {
    struct Entry: Sendable, Equatable {
        let key: String
        var value: TOMLValue
        let line: Int
    }

    /// How a table came to be, which decides what may be added to it later.
    enum Origin: Sendable, Equatable {
        /// By a header of a table inside it.
        case implied
        /// By its own header.
        case header
        /// By a dotted key.
        case dotted
        /// Written in braces.
        case inline
    }

    private(set) var entries: [Entry] = []
    var origin: Origin

    init(_ origin: Origin) { self.origin = origin }

    subscript(key: String) -> Entry? { entries.first { $0.key == key } }

    func index(of key: String) -> Int? { entries.firstIndex { $0.key == key } }

    mutating func append(_ key: String, _ value: TOMLValue, line: Int) {
        entries.append(Entry(key: key, value: value, line: line))
    }

    mutating func replace(_ index: Int, _ value: TOMLValue) { entries[index].value = value }
}

/// What is wrong with a TOML document, and in which line.
struct TOMLError: Error, Sendable, Equatable, CustomStringConvertible {
    let line: Int
    let message: String
    var description: String { "line \(line): \(message)" }
}
