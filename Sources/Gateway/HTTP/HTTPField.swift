internal import NIOCore

/// One header field as two ranges of the bytes it was read from.
///
/// Heads are never turned into strings on their way through: what is passed on is copied from the received bytes.
struct HTTPField: Sendable, Equatable {
    let name: Range<Int>
    let value: Range<Int>
    let kind: Kind

    /// The fields a proxy has to understand.
    enum Kind: Sendable, Equatable {
        case connection, contentLength, transferEncoding, host, expect, upgrade
        /// Hop-by-hop fields (RFC 9110 §7.6.1) that are dropped unread.
        case hopByHop
        case forwardedFor, forwardedProto, forwardedHost
        case endToEnd
    }
}

extension HTTPField.Kind {
    /// Classifies a field name; `name` holds token characters only.
    init(_ name: UnsafeRawBufferPointer) {
        self = .endToEnd
        switch name.count {
        case 2 where name.equalsIgnoringCase("te"): self = .hopByHop
        case 4 where name.equalsIgnoringCase("host"): self = .host
        case 6 where name.equalsIgnoringCase("expect"): self = .expect
        case 7 where name.equalsIgnoringCase("upgrade"): self = .upgrade
        case 10 where name.equalsIgnoringCase("connection"): self = .connection
        case 10 where name.equalsIgnoringCase("keep-alive"): self = .hopByHop
        case 14 where name.equalsIgnoringCase("content-length"): self = .contentLength
        case 14 where name.equalsIgnoringCase("http2-settings"): self = .hopByHop
        case 15 where name.equalsIgnoringCase("x-forwarded-for"): self = .forwardedFor
        case 16 where name.equalsIgnoringCase("x-forwarded-host"): self = .forwardedHost
        case 16 where name.equalsIgnoringCase("proxy-connection"): self = .hopByHop
        case 17 where name.equalsIgnoringCase("x-forwarded-proto"): self = .forwardedProto
        case 17 where name.equalsIgnoringCase("transfer-encoding"): self = .transferEncoding
        case 19 where name.equalsIgnoringCase("proxy-authorization"): self = .hopByHop
        default: break
        }
    }
}

extension UnsafeRawBufferPointer {
    /// Compares with ASCII text in lower case, ignoring the case of these bytes.
    func equalsIgnoringCase(_ text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount else { return false }
        for index in 0..<count where self[index].asciiLowercased != text.utf8Start[index] { return false }
        return true
    }

    func equalsIgnoringCase(_ other: UnsafeRawBufferPointer) -> Bool {
        guard count == other.count else { return false }
        for index in 0..<count where self[index].asciiLowercased != other[index].asciiLowercased { return false }
        return true
    }

    subscript(part range: Range<Int>) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: self[range]) }

    /// The elements of a comma separated list (RFC 9110 §5.6.1) within `range`, empty ones left out.
    func forEachListElement(in range: Range<Int>, _ body: (Range<Int>) -> Void) {
        var start = range.lowerBound
        while start < range.upperBound {
            var end = start
            while end < range.upperBound, self[end] != .comma { end += 1 }
            let element = trimmingWhitespace(start..<end)
            if !element.isEmpty { body(element) }
            start = end + 1
        }
    }

    func trimmingWhitespace(_ range: Range<Int>) -> Range<Int> {
        var (start, end) = (range.lowerBound, range.upperBound)
        while start < end, self[start].isBlank { start += 1 }
        while end > start, self[end - 1].isBlank { end -= 1 }
        return start..<end
    }
}

extension UInt8 {
    static let comma = UInt8(ascii: ",")
    static let colon = UInt8(ascii: ":")
    static let space = UInt8(ascii: " ")
    static let tab = UInt8(ascii: "\t")
    static let carriageReturn = UInt8(ascii: "\r")
    static let lineFeed = UInt8(ascii: "\n")

    var asciiLowercased: UInt8 { self >= 0x41 && self <= 0x5a ? self | 0x20 : self }
    var isBlank: Bool { self == .space || self == .tab }
    var isDigit: Bool { self >= 0x30 && self <= 0x39 }

    /// A character of RFC 9110 §5.6.2 `token`.
    var isToken: Bool {
        switch self {
        case 0x30...0x39, 0x41...0x5a, 0x5e...0x7a, 0x7c, 0x7e, 0x21, 0x23...0x27, 0x2a, 0x2b, 0x2d, 0x2e: true
        default: false
        }
    }

    /// A character of a field value: visible, blank, or outside ASCII; no other control character.
    var isFieldContent: Bool { self >= 0x20 && self != 0x7f || self == .tab }

    /// The value of a hexadecimal digit.
    var hexadecimalValue: Int? {
        switch self {
        case 0x30...0x39: Int(self) - 0x30
        case 0x41...0x46: Int(self) - 0x41 + 10
        case 0x61...0x66: Int(self) - 0x61 + 10
        default: nil
        }
    }
}

extension ByteBuffer {
    /// The text of a range that was found while this buffer was read from index 0.
    func text(_ range: Range<Int>) -> String {
        withUnsafeReadableBytes { String(decoding: $0[range], as: UTF8.self) }
    }

    /// Appends a range of another buffer's readable bytes.
    mutating func append(_ range: Range<Int>, of bytes: UnsafeRawBufferPointer) {
        writeBytes(bytes[part: range])
    }
}
