internal import Glibc
internal import NIOCore

/// Finds where the head of a message ends without reading any byte twice, however small the pieces it comes in.
struct HTTPHeadScanner {
    private var scanned = 0
    private var sawStartLine = false

    /// The length of the head with its closing empty line, or nil when more bytes are needed.
    ///
    /// A head that only ends if bare line feeds count as ends of lines is returned too: the parser decides.
    mutating func headLength(in buffer: ByteBuffer, limits: HTTPLimits) throws(HTTPFault) -> Int? {
        let found = buffer.withUnsafeReadableBytes { bytes in scan(bytes) }
        if let found, found <= limits.head {
            self = HTTPHeadScanner()
            return found
        }
        if !sawStartLine, buffer.readableBytes > limits.startLine {
            throw HTTPFault(414, "the request line is longer than \(limits.startLine) bytes")
        }
        if found != nil || buffer.readableBytes > limits.head {
            throw HTTPFault(431, "the header fields are larger than \(limits.head) bytes")
        }
        return nil
    }

    private mutating func scan(_ bytes: UnsafeRawBufferPointer) -> Int? {
        while scanned < bytes.count, let base = bytes.baseAddress,
            let hit = memchr(base + scanned, Int32(UInt8.lineFeed), bytes.count - scanned)
        {
            let index = UnsafeRawPointer(hit) - base
            let next = index + 1
            guard next < bytes.count else { break }
            sawStartLine = true
            if bytes[next] == .lineFeed { return next + 1 }
            if bytes[next] == .carriageReturn {
                guard next + 1 < bytes.count else {
                    scanned = index
                    return nil
                }
                if bytes[next + 1] == .lineFeed { return next + 2 }
            }
            scanned = next
        }
        // The last byte may be the line feed whose successor is not here yet.
        if let last = bytes.last { scanned = last == .lineFeed ? max(scanned, bytes.count - 1) : bytes.count }
        return nil
    }
}

/// A run of CRLF-terminated lines, read strictly: what is lenient here is what request smuggling lives on.
struct HTTPLines {
    private let bytes: UnsafeRawBufferPointer
    private let takesBareLineFeeds: Bool
    private var position = 0

    /// - Parameter takesBareLineFeeds: as RFC 9112 section 2.2 allows, for what nobody reads after this but by lines that are
    ///   written anew.
    init(_ bytes: UnsafeRawBufferPointer, takesBareLineFeeds: Bool = false) {
        self.bytes = bytes
        self.takesBareLineFeeds = takesBareLineFeeds
    }

    /// The next line without its CRLF; nil at the end.
    mutating func next() throws(HTTPFault) -> Range<Int>? {
        guard position < bytes.count else { return nil }
        let start = position
        guard let hit = memchr(bytes.baseAddress! + start, Int32(UInt8.lineFeed), bytes.count - start) else {
            throw HTTPFault(400, "a line has no end")
        }
        let end = UnsafeRawPointer(hit) - bytes.baseAddress!
        position = end + 1
        if end > start, bytes[end - 1] == .carriageReturn { return start..<(end - 1) }
        guard takesBareLineFeeds else { throw HTTPFault(400, "a line ends in a bare line feed") }
        return start..<end
    }

    /// All field lines up to the empty line.
    mutating func fields(limit: Int) throws(HTTPFault) -> [HTTPField] {
        var fields: [HTTPField] = []
        fields.reserveCapacity(12)
        while let line = try next(), !line.isEmpty {
            guard fields.count < limit else { throw HTTPFault(431, "there are more than \(limit) header fields") }
            fields.append(try field(line))
        }
        return fields
    }

    private func field(_ line: Range<Int>) throws(HTTPFault) -> HTTPField {
        if bytes[line.lowerBound].isBlank {
            throw HTTPFault(400, "a header field is folded over several lines, which RFC 9112 forbids")
        }
        var colon = line.lowerBound
        while colon < line.upperBound, bytes[colon].isToken { colon += 1 }
        guard colon < line.upperBound, bytes[colon] == .colon, colon > line.lowerBound else {
            if colon < line.upperBound, bytes[colon].isBlank {
                throw HTTPFault(400, "there is white space before the colon of a header field")
            }
            throw HTTPFault(400, "a header field name holds a character that is not allowed in it")
        }
        let value = bytes.trimmingWhitespace((colon + 1)..<line.upperBound)
        for index in value where !bytes[index].isFieldContent {
            throw HTTPFault(400, "a header field value holds a control character")
        }
        let name = line.lowerBound..<colon
        return HTTPField(name: name, value: value, kind: HTTPField.Kind(bytes[part: name]))
    }
}
