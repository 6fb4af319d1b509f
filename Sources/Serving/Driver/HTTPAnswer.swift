/// As much of an HTTP/1.1 answer as a probe needs: the status, and the body as far as it has come.
struct HTTPAnswer {
    private static let mostBody = 64 * 1024
    /// nil while more must come.
    let answer: ProbeAnswer?

    init(_ bytes: [UInt8], atEnd: Bool) {
        guard let status = Self.status(bytes) else {
            answer = bytes.count >= 12 ? .notHTTP : nil
            return
        }
        guard let head = Self.endOfHead(bytes) else {
            answer = atEnd ? .http(status: status, body: []) : nil
            return
        }
        var body = Array(bytes[head...])
        let fields = Self.fields(bytes[..<head])
        if fields["transfer-encoding"]?.contains("chunked") == true {
            let (content, isComplete) = Self.unchunked(body)
            body = content
            answer = isComplete || atEnd || body.count >= Self.mostBody ? Self.finished(status, body) : nil
        } else if let length = fields["content-length"].flatMap({ Int($0) }) {
            answer = body.count >= min(length, Self.mostBody) || atEnd ? Self.finished(status, body) : nil
        } else if status == 204 || status == 304 {
            answer = Self.finished(status, [])
        } else {
            answer = atEnd ? Self.finished(status, body) : nil
        }
    }

    private static func finished(_ status: Int, _ body: [UInt8]) -> ProbeAnswer {
        .http(status: status, body: Array(body.prefix(mostBody)))
    }

    /// `HTTP/1.x NNN`.
    private static func status(_ bytes: [UInt8]) -> Int? {
        guard bytes.count >= 12, bytes.starts(with: "HTTP/1.".utf8), bytes[8] == 0x20 else { return nil }
        return Int(String(decoding: bytes[9..<12], as: UTF8.self))
    }

    private static func endOfHead(_ bytes: [UInt8]) -> Int? {
        var index = 0
        while index + 1 < bytes.count {
            if bytes[index] == 0x0A {
                if bytes[index + 1] == 0x0A { return index + 2 }
                if index + 2 < bytes.count, bytes[index + 1] == 0x0D, bytes[index + 2] == 0x0A { return index + 3 }
            }
            index += 1
        }
        return nil
    }

    private static func fields(_ head: ArraySlice<UInt8>) -> [String: String] {
        var result: [String: String] = [:]
        for line in head.split(separator: 0x0A).dropFirst() {
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { continue }
            let value = String(decoding: line[(colon + 1)...], as: UTF8.self)
            result[String(decoding: line[..<colon], as: UTF8.self).lowercased()] =
                String(value.filter { !$0.isWhitespace }).lowercased()
        }
        return result
    }

    /// The content of as many chunks as are there, and whether the last one is among them.
    private static func unchunked(_ body: [UInt8]) -> ([UInt8], Bool) {
        var content: [UInt8] = []
        var rest = body[...]
        while let lineEnd = rest.firstIndex(of: 0x0A) {
            let digits = String(decoding: rest[..<lineEnd], as: UTF8.self).prefix { $0.isHexDigit }
            guard let size = Int(digits, radix: 16) else { return (content, true) }
            if size == 0 { return (content, true) }
            rest = rest[(lineEnd + 1)...]
            content.append(contentsOf: rest.prefix(size))
            guard rest.count > size else { return (content, false) }
            rest = rest.dropFirst(size)
            // The line feed after the chunk.
            while let first = rest.first, first == 0x0D || first == 0x0A { rest = rest.dropFirst() }
        }
        return (content, false)
    }
}
