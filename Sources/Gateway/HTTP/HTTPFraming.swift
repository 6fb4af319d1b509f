internal import NIOCore

/// How the end of a message body is found (RFC 9112 §6.3).
enum HTTPFraming: Equatable, Sendable {
    case none
    case length(Int)
    case chunked
    /// The end of the connection ends the body: answers only.
    case untilClose
}

/// What the header fields say of a message beyond its own meaning: framing, connection, upgrade.
struct HTTPConnectionFields {
    var contentLength: Int?
    var isChunked = false
    var hosts: [Range<Int>] = []
    var expect: Range<Int>?
    var upgrade: Range<Int>?
    /// Field names listed in Connection: they go no further than this connection.
    var listed: [Range<Int>] = []
    var saysClose = false
    var saysKeepAlive = false
    var saysUpgrade = false

    /// Reads and checks the fields; anything two parsers could understand differently is refused.
    init(_ fields: [HTTPField], in bytes: UnsafeRawBufferPointer) throws(HTTPFault) {
        var codings = 0
        for field in fields {
            switch field.kind {
            case .contentLength:
                guard contentLength == nil else { throw HTTPFault(400, "there is more than one Content-Length") }
                contentLength = try Self.length(bytes[part: field.value])
            case .transferEncoding:
                codings += 1
                guard bytes[part: field.value].equalsIgnoringCase("chunked") else {
                    throw HTTPFault(501, "a transfer coding other than chunked is not supported")
                }
                isChunked = true
            case .host: hosts.append(field.value)
            case .expect: expect = field.value
            case .upgrade: upgrade = field.value
            case .connection: readConnection(field.value, in: bytes)
            case .hopByHop, .forwardedFor, .forwardedProto, .forwardedHost, .endToEnd: break
            }
        }
        if codings > 1 { throw HTTPFault(400, "there is more than one Transfer-Encoding") }
        if isChunked, contentLength != nil {
            throw HTTPFault(400, "there are both Content-Length and Transfer-Encoding")
        }
    }

    private mutating func readConnection(_ value: Range<Int>, in bytes: UnsafeRawBufferPointer) {
        bytes.forEachListElement(in: value) { element in
            let option = bytes[part: element]
            if option.equalsIgnoringCase("close") {
                saysClose = true
            } else if option.equalsIgnoringCase("keep-alive") {
                saysKeepAlive = true
            } else if option.equalsIgnoringCase("upgrade") {
                saysUpgrade = true
            } else {
                listed.append(element)
            }
        }
    }

    private static func length(_ digits: UnsafeRawBufferPointer) throws(HTTPFault) -> Int {
        var length = 0
        guard !digits.isEmpty, digits.count <= 18 else { throw HTTPFault(400, "Content-Length is not a number") }
        for digit in digits {
            guard digit.isDigit else { throw HTTPFault(400, "Content-Length is not a number") }
            length = length * 10 + Int(digit - 0x30)
        }
        return length
    }

    /// Whether the sender keeps the connection open after this message (RFC 9112 §9.3).
    func keepsAlive(minorVersion: Int) -> Bool { saysClose ? false : minorVersion >= 1 || saysKeepAlive }

    func lists(_ name: Range<Int>, in bytes: UnsafeRawBufferPointer) -> Bool {
        listed.contains { bytes[part: $0].equalsIgnoringCase(bytes[part: name]) }
    }
}

extension UnsafeRawBufferPointer {
    /// The minor version if these bytes are `HTTP/1.` and a digit; nil for anything else.
    var httpMinorVersion: Int? {
        guard count == 8, self[7].isDigit, prefix(7).elementsEqual("HTTP/1.".utf8) else { return nil }
        return Int(self[7] - 0x30)
    }
}
