internal import Glibc
internal import OCISpec

/// The part of Go's templates that people use with `docker --format`: text, `{{.Field}}`, `{{.Outer.Inner}}`,
/// `{{json .}}`, `{{json .Field}}`, `{{upper .F}}`, `{{lower .F}}`, `{{len .F}}`, `{{println .F}}`, the escapes `\t` and
/// `\n`, and a leading `table` for aligned columns with titles.
struct FormatTemplate {
    private enum Part {
        case text(String)
        case field(function: String?, path: [String])
    }

    private let parts: [Part]
    private let isTable: Bool

    init(_ text: String) throws(CommandFailure) {
        var rest = text[...]
        isTable = rest.hasPrefix("table ")
        if isTable { rest = rest.dropFirst("table ".count) }
        var parts: [Part] = []
        while let open = rest.range(of: "{{") {
            parts.append(.text(Self.unescaped(rest[..<open.lowerBound])))
            rest = rest[open.upperBound...]
            guard let close = rest.range(of: "}}") else {
                throw CommandFailure("--format: \"{{\" without \"}}\" in \"\(text)\"", exitCode: 64)
            }
            parts.append(try Self.action(rest[..<close.lowerBound], in: text))
            rest = rest[close.upperBound...]
        }
        parts.append(.text(Self.unescaped(rest)))
        self.parts = parts
    }

    private static func action(_ text: Substring, in whole: String) throws(CommandFailure) -> Part {
        let words = text.split(whereSeparator: { $0 == " " || $0 == "-" && text.count == 1 }).map(String.init)
        let functions = ["json", "upper", "lower", "len", "println"]
        let function = words.count == 2 ? words[0] : nil
        guard (1...2).contains(words.count), let field = words.last, field.hasPrefix("."),
            function.map(functions.contains) ?? true
        else {
            throw CommandFailure(
                "--format: \"{{\(text)}}\" is not understood",
                remedy: "write {{.Field}} or {{json .Field}}; the functions are \(functions.joined(separator: ", "))",
                exitCode: 64)
        }
        return .field(function: function, path: field.split(separator: ".").map(String.init))
    }

    private static func unescaped(_ text: Substring) -> String {
        String(text.replacing("\\t", with: "\t").replacing("\\n", with: "\n"))
    }

    /// Each value through the template, a line each.
    func render(_ values: [JSON]) throws(CommandFailure) -> String {
        var lines: [String] = []
        for value in values { lines.append(try render(value)) }
        guard isTable else {
            // Programs get every byte, people what is safe to look at.
            let text = lines.map { $0 + "\n" }.joined()
            return Terminal.isTerminal(STDOUT_FILENO) ? ShownText.lines(text) : text
        }
        let titles = parts.map { part in
            switch part {
            case .text(let text): text
            case .field(_, let path): (path.last ?? "").uppercased()
            }
        }.joined()
        var table = Table(titles.split(separator: "\t", omittingEmptySubsequences: false).map(String.init))
        for line in lines {
            table.add(line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init))
        }
        return table.text
    }

    private func render(_ value: JSON) throws(CommandFailure) -> String {
        var text = ""
        for part in parts {
            switch part {
            case .text(let piece): text += piece
            case .field(let function, let path): text += try Self.apply(function, to: Self.find(path, in: value))
            }
        }
        return text
    }

    private static func find(_ path: [String], in value: JSON) throws(CommandFailure) -> JSON {
        var value = value
        for name in path {
            guard let object = value.object else {
                throw CommandFailure(
                    "--format: .\(path.joined(separator: ".")): there are no fields in .\(name)'s parent")
            }
            // Docker's spelling, `.Name`, and JSON's, `.name`, both find a field.
            guard
                let member = object.members.first(where: { $0.name == name })
                    ?? object.members.first(where: { $0.name.lowercased() == name.lowercased() })
            else {
                let names = object.members.map { ".\($0.name)" }.joined(separator: " ")
                throw CommandFailure("--format: there is no field .\(name)", remedy: "the fields are \(names)")
            }
            value = member.value
        }
        return value
    }

    private static func apply(_ function: String?, to value: JSON) throws(CommandFailure) -> String {
        switch function {
        case "json": return value.text()
        case "upper": return plain(value).uppercased()
        case "lower": return plain(value).lowercased()
        case "println": return plain(value) + "\n"
        case "len":
            switch value {
            case .array(let elements): return "\(elements.count)"
            case .object(let object): return "\(object.count)"
            default: return "\(plain(value).count)"
            }
        default: return plain(value)
        }
    }

    private static func plain(_ value: JSON) -> String {
        switch value {
        case .string(let text): text
        case .null: ""
        case .array(let elements) where elements.allSatisfy({ $0.string != nil }):
            elements.compactMap(\.string).joined(separator: ",")
        default: value.text()
        }
    }
}

extension Substring {
    /// The first place of a text, without Foundation.
    fileprivate func range(of text: String) -> Range<Index>? { firstRange(of: text) }
}
