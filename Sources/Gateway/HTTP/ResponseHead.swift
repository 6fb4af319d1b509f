internal import NIOCore

/// The status line and header fields of an answer, checked, still in the bytes it came in.
struct ResponseHead {
    let bytes: ByteBuffer
    let status: Int
    /// The reason phrase with the space before it; may be empty.
    let reason: Range<Int>
    let minorVersion: Int
    let fields: [HTTPField]
    let connection: HTTPConnectionFields
    let framing: HTTPFraming

    var keepsAlive: Bool { connection.keepsAlive(minorVersion: minorVersion) && framing != .untilClose }
    var isInterim: Bool { status < 200 && status != 101 }

    /// Parses exactly one head. `toHead`: it answers a HEAD request, so that no body follows whatever it says.
    init(_ bytes: ByteBuffer, toHead: Bool, limits: HTTPLimits = .standard) throws(HTTPFault) {
        var status = 0
        var reason = 0..<0
        var minor = 0
        let read = bytes.withUnsafeReadableBytes { raw -> Result<([HTTPField], HTTPConnectionFields), HTTPFault> in
            do throws(HTTPFault) {
                // Simple servers write such lines, and the gateway passes on none of a server's own.
                var lines = HTTPLines(raw, takesBareLineFeeds: true)
                (status, reason, minor) = try Self.statusLine(try lines.next(), in: raw)
                let fields = try lines.fields(limit: limits.fields)
                return .success((fields, try HTTPConnectionFields(fields, in: raw)))
            } catch {
                return .failure(error)
            }
        }
        (fields, connection) = try read.get()
        self.bytes = bytes
        self.status = status
        self.reason = reason
        minorVersion = minor
        if toHead || status < 200 || status == 204 || status == 304 {
            framing = .none
        } else if connection.isChunked {
            framing = .chunked
        } else if let length = connection.contentLength {
            framing = .length(length)
        } else {
            framing = .untilClose
        }
    }

    private static func statusLine(
        _ line: Range<Int>?, in raw: UnsafeRawBufferPointer
    ) throws(HTTPFault) -> (Int, Range<Int>, Int) {
        guard let line, line.count >= 12, let minor = raw[part: 0..<8].httpMinorVersion, raw[8] == .space,
            raw[9].isDigit, raw[10].isDigit, raw[11].isDigit, line.count == 12 || raw[12] == .space
        else { throw HTTPFault(502, "the status line is not one of HTTP/1.1") }
        let status = raw[9..<12].reduce(0) { $0 * 10 + Int($1 - 0x30) }
        guard status >= 100 else { throw HTTPFault(502, "the status code is not one of HTTP/1.1") }
        for index in 12..<line.upperBound where !raw[index].isFieldContent {
            throw HTTPFault(502, "the status line holds a control character")
        }
        return (status, 12..<line.upperBound, minor)
    }
}
