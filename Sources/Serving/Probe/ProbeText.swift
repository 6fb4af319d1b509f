extension Probe {
    private static let remedy =
        "write http:/path[:port], tcp[:port], exec:command, json:/path[:port]#field=A|B, auto or none, "
        + "such as http:/health:8000"

    /// `http:/path[:port]`, `tcp[:port]`, `exec:command arguments`, `json:/path[:port]#field=A|B`, `auto`, `none`.
    ///
    /// A command is split at blanks; quotes hold words together. The field of `json` may name inner members with dots.
    public init(parsing text: String) throws(SettingError) {
        func invalid(_ reason: String) -> SettingError { SettingError("probe", text, reason, remedy: Self.remedy) }
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let rest = parts.count == 2 ? String(parts[1]) : nil
        func port(_ text: Substring) throws(SettingError) -> UInt16 {
            guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let port = UInt16(text), port > 0 else {
                throw invalid("\"\(text)\" is no port from 1 to 65535")
            }
            return port
        }
        func place(_ text: Substring) throws(SettingError) -> (path: String, port: UInt16?) {
            guard text.hasPrefix("/") else { throw invalid("the path \"\(text)\" does not begin with /") }
            guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
                throw invalid("the path has characters that no URL may have")
            }
            guard let colon = text.lastIndex(of: ":") else { return (String(text), nil) }
            return (String(text[..<colon]), try port(text[text.index(after: colon)...]))
        }
        switch (parts[0], rest) {
        case ("auto", nil): self = .automatic
        case ("none", nil): self = .none
        case ("tcp", nil): self = .tcp(port: nil)
        case ("tcp", let rest?): self = .tcp(port: try port(Substring(rest)))
        case ("http", let rest?):
            let (path, port) = try place(Substring(rest))
            self = .http(path: path, port: port)
        case ("exec", let rest?):
            guard let command = Self.words(rest) else { throw invalid("a quote is not closed") }
            guard let first = command.first, !first.isEmpty else { throw invalid("the command is missing") }
            self = .exec(command)
        case ("json", let rest?):
            guard let hash = rest.firstIndex(of: "#") else { throw invalid("the #field=value part is missing") }
            let (path, port) = try place(rest[..<hash])
            let condition = rest[rest.index(after: hash)...].split(
                separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard condition.count == 2 else { throw invalid("\"=\" is missing after the field") }
            let field = condition[0].split(separator: ".", omittingEmptySubsequences: false).map(String.init)
            let values = condition[1].split(separator: "|", omittingEmptySubsequences: false).map(String.init)
            guard !field.contains(""), !values.contains("") else { throw invalid("the field or a value is empty") }
            self = .json(path: path, port: port, field: field, values: values)
        case ("http", nil), ("json", nil), ("exec", nil):
            throw invalid("what to ask is missing after \"\(parts[0])\"")
        case ("grpc", _): throw invalid("gRPC health is not asked for yet; tcp:PORT is the nearest")
        default: throw invalid("\"\(parts[0])\" is no kind of probe")
        }
    }

    /// The form that ``init(parsing:)`` reads.
    public var text: String {
        func place(_ path: String, _ port: UInt16?) -> String { path + (port.map { ":\($0)" } ?? "") }
        switch self {
        case .none: return "none"
        case .automatic: return "auto"
        case .http(let path, let port): return "http:\(place(path, port))"
        case .tcp(let port): return "tcp" + (port.map { ":\($0)" } ?? "")
        case .exec(let command): return "exec:" + command.map(Self.quoted).joined(separator: " ")
        case .json(let path, let port, let field, let values):
            return "json:\(place(path, port))#\(field.joined(separator: "."))=\(values.joined(separator: "|"))"
        }
    }

    private static func quoted(_ word: String) -> String {
        let isPlain =
            !word.isEmpty
            && !word.contains { $0 == " " || $0 == "\t" || $0 == "\n" || $0 == "'" || $0 == "\"" || $0 == "\\" }
        return isPlain
            ? word : "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }

    /// Splits as a shell does, without expanding anything; nil where a quote is not closed.
    static func words(_ text: String) -> [String]? {
        var words: [String] = []
        var word: String?
        var quote: Character?
        var isEscaped = false
        for character in text {
            if isEscaped {
                word = (word ?? "") + String(character)
                isEscaped = false
            } else if character == "\\", quote != "'" {
                isEscaped = true
            } else if let open = quote {
                if character == open { quote = nil } else { word = (word ?? "") + String(character) }
            } else if character == "'" || character == "\"" {
                quote = character
                word = word ?? ""
            } else if character.isWhitespace {
                if let finished = word { words.append(finished) }
                word = nil
            } else {
                word = (word ?? "") + String(character)
            }
        }
        if quote != nil || isEscaped { return nil }
        if let word { words.append(word) }
        return words
    }
}
