extension JSON {
    /// The document as text: on one line, or with two spaces of indentation.
    public func text(pretty: Bool = false) -> String { String(decoding: bytes(pretty: pretty), as: UTF8.self) }

    /// The document in UTF-8: on one line, or with two spaces of indentation.
    public func bytes(pretty: Bool = false) -> [UInt8] {
        var output: [UInt8] = []
        write(into: &output, indentation: pretty ? 0 : nil)
        return output
    }

    private func write(into output: inout [UInt8], indentation: Int?) {
        switch self {
        case .null: output.append(contentsOf: "null".utf8)
        case .bool(let value): output.append(contentsOf: (value ? "true" : "false").utf8)
        case .integer(let value): output.append(contentsOf: String(value).utf8)
        case .unsigned(let value): output.append(contentsOf: String(value).utf8)
        case .number(let value): output.append(contentsOf: (value.isFinite ? "\(value)" : "null").utf8)
        case .string(let value): Self.quote(value, into: &output)
        case .array(let elements):
            Self.list("[", "]", elements.count, indentation, &output) { index, inner, output in
                elements[index].write(into: &output, indentation: inner)
            }
        case .object(let object):
            Self.list("{", "}", object.count, indentation, &output) { index, inner, output in
                Self.quote(object.members[index].name, into: &output)
                output.append(UInt8(ascii: ":"))
                if inner != nil { output.append(UInt8(ascii: " ")) }
                object.members[index].value.write(into: &output, indentation: inner)
            }
        }
    }

    private static func list(
        _ open: Character, _ close: Character, _ count: Int, _ indentation: Int?, _ output: inout [UInt8],
        element: (Int, Int?, inout [UInt8]) -> Void
    ) {
        let inner = indentation.map { $0 + 2 }
        func newLine(_ depth: Int?) {
            guard let depth, count > 0 else { return }
            output.append(0x0A)
            output.append(contentsOf: repeatElement(0x20, count: depth))
        }
        output.append(contentsOf: open.utf8)
        for index in 0..<count {
            if index > 0 { output.append(UInt8(ascii: ",")) }
            newLine(inner)
            element(index, inner, &output)
        }
        newLine(indentation)
        output.append(contentsOf: close.utf8)
    }

    private static func quote(_ text: String, into output: inout [UInt8]) {
        output.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                output.append(UInt8(ascii: "\\"))
                output.append(byte)
            case 0x0A: output.append(contentsOf: "\\n".utf8)
            case 0x0D: output.append(contentsOf: "\\r".utf8)
            case 0x09: output.append(contentsOf: "\\t".utf8)
            case 0..<0x20, 0x7F:
                let digits = String(byte, radix: 16)
                output.append(contentsOf: "\\u00\(digits.utf8.count == 1 ? "0" : "")\(digits)".utf8)
            case 0x80...0x9F where output.last == 0xC2:
                // U+0080 to U+009F: a terminal takes some of them, such as CSI, for the start of a command.
                output.removeLast()
                output.append(contentsOf: "\\u00\(String(byte, radix: 16))".utf8)
            default: output.append(byte)
            }
        }
        output.append(UInt8(ascii: "\""))
    }
}
