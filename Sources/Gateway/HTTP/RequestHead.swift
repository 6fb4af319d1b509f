internal import NIOCore

/// The request line and header fields of a request, checked, still in the bytes it came in.
struct RequestHead {
    let bytes: ByteBuffer
    let method: Range<Int>
    /// The request target in origin form or `*`; empty when an absolute form had no path.
    let target: Range<Int>
    /// The authority of a target in absolute form: it takes the place of Host (RFC 9112 §3.2.2).
    let authority: Range<Int>?
    let minorVersion: Int
    let fields: [HTTPField]
    let connection: HTTPConnectionFields
    let framing: HTTPFraming
    let isHead: Bool
    let expectsContinue: Bool
    /// The protocols asked for with `Upgrade`, when the request may really switch to one.
    let upgrade: Range<Int>?

    var keepsAlive: Bool { connection.keepsAlive(minorVersion: minorVersion) }
    var host: Range<Int>? { authority ?? connection.hosts.first }

    /// Parses exactly one head, its closing empty line included.
    init(_ bytes: ByteBuffer, limits: HTTPLimits = .standard) throws(HTTPFault) {
        let parsed = bytes.withUnsafeReadableBytes { raw -> Result<Parsed, HTTPFault> in
            do throws(HTTPFault) { return .success(try Parsed(raw, limits: limits)) } catch { return .failure(error) }
        }
        let head = try parsed.get()
        self.bytes = bytes
        method = head.method
        target = head.target
        authority = head.authority
        minorVersion = head.minorVersion
        fields = head.fields
        connection = head.connection
        framing = head.framing
        isHead = head.isHead
        expectsContinue = head.expectsContinue
        upgrade = head.upgrade
    }
}

/// The result of reading the raw bytes, before they are joined with their buffer.
private struct Parsed {
    var method: Range<Int>
    var target: Range<Int>
    var authority: Range<Int>?
    var minorVersion: Int
    var fields: [HTTPField]
    var connection: HTTPConnectionFields
    var framing: HTTPFraming
    var isHead: Bool
    var expectsContinue = false
    var upgrade: Range<Int>?

    init(_ raw: UnsafeRawBufferPointer, limits: HTTPLimits) throws(HTTPFault) {
        var lines = HTTPLines(raw)
        guard let line = try lines.next() else { throw HTTPFault(400, "the request is empty") }
        guard line.count <= limits.startLine else {
            throw HTTPFault(414, "the request line is longer than \(limits.startLine) bytes")
        }
        var space = line.lowerBound
        while space < line.upperBound, raw[space].isToken { space += 1 }
        guard space > line.lowerBound, space < line.upperBound, raw[space] == .space else {
            throw HTTPFault(400, "the request line does not begin with a method")
        }
        method = line.lowerBound..<space
        let start = space + 1
        space = start
        while space < line.upperBound, raw[space] > 0x20, raw[space] != 0x7f { space += 1 }
        guard space > start, space < line.upperBound, raw[space] == .space else {
            throw HTTPFault(400, "the request line is not a method, a target and a version")
        }
        target = start..<space
        let version = raw[part: (space + 1)..<line.upperBound]
        guard let minor = version.httpMinorVersion else {
            if version.count == 8, version.prefix(5).elementsEqual("HTTP/".utf8) {
                throw HTTPFault(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
            }
            throw HTTPFault(400, "the request line does not end in HTTP/1.1")
        }
        minorVersion = minor
        isHead = raw[part: method].elementsEqual("HEAD".utf8)
        fields = try lines.fields(limit: limits.fields)
        connection = try HTTPConnectionFields(fields, in: raw)
        framing = connection.isChunked ? .chunked : connection.contentLength.map { .length($0) } ?? .none
        try checkTarget(raw)
        try checkHost(raw)
        try checkExpectation(raw)
        if minorVersion == 0, connection.isChunked {
            throw HTTPFault(400, "HTTP/1.0 has no Transfer-Encoding")
        }
        readUpgrade(raw)
    }

    private mutating func checkTarget(_ raw: UnsafeRawBufferPointer) throws(HTTPFault) {
        let name = raw[part: method]
        if name.elementsEqual("CONNECT".utf8) {
            throw HTTPFault(405, "this is a gateway to one service, so CONNECT is not supported")
        }
        let text = raw[part: target]
        if text[0] == UInt8(ascii: "/") { return }
        if text.elementsEqual("*".utf8), name.elementsEqual("OPTIONS".utf8) { return }
        for scheme in ["http://", "https://"] as [StaticString] {
            let length = scheme.utf8CodeUnitCount
            guard text.count > length, text[part: 0..<length].equalsIgnoringCase(scheme) else { continue }
            let start = target.lowerBound + length
            var end = start
            while end < target.upperBound, raw[end] != UInt8(ascii: "/"), raw[end] != UInt8(ascii: "?") { end += 1 }
            guard end > start else { break }
            authority = start..<end
            target = end..<target.upperBound
            return
        }
        throw HTTPFault(400, "the request target is neither a path nor an absolute URL")
    }

    private func checkHost(_ raw: UnsafeRawBufferPointer) throws(HTTPFault) {
        if connection.hosts.count > 1 { throw HTTPFault(400, "there is more than one Host") }
        if connection.hosts.isEmpty, minorVersion >= 1 { throw HTTPFault(400, "there is no Host") }
        guard let host = authority ?? connection.hosts.first else { return }
        for byte in raw[part: host] where byte.isBlank || byte == .comma || byte == UInt8(ascii: "/") {
            throw HTTPFault(400, "Host is not a host name")
        }
    }

    private mutating func checkExpectation(_ raw: UnsafeRawBufferPointer) throws(HTTPFault) {
        guard let expect = connection.expect, minorVersion >= 1 else { return }
        guard raw[part: expect].equalsIgnoringCase("100-continue") else {
            throw HTTPFault(417, "an expectation other than 100-continue is not supported")
        }
        expectsContinue = true
    }

    /// h2c is not passed on: an upstream that switched to HTTP/2 would carry requests nobody here looked at.
    private mutating func readUpgrade(_ raw: UnsafeRawBufferPointer) {
        guard minorVersion >= 1, connection.saysUpgrade, framing == .none || framing == .length(0) else { return }
        guard let value = connection.upgrade else { return }
        var offersHTTP2 = false
        raw.forEachListElement(in: value) { element in
            if raw[part: element].equalsIgnoringCase("h2c") { offersHTTP2 = true }
        }
        if !offersHTTP2 { upgrade = value }
    }
}
