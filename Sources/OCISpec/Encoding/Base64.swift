/// Base64 with the standard alphabet (RFC 4648, section 4).
public enum Base64 {
    /// How much of what is not quite base64 is forgiven.
    public enum Form: Sendable {
        /// Padded, unused bits zero. What is signed or identifies a key must not have two spellings.
        case canonical
        /// Padding may be missing or too much and unused bits may be anything, as config.json and archives have it.
        case lenient
    }

    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    /// The text of the bytes, padded.
    public static func encode(_ bytes: [UInt8]) -> String {
        var output: [UInt8] = []
        output.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let bits = group.enumerated().reduce(0) { $0 | Int($1.element) << (16 - 8 * $1.offset) }
            for position in 0..<4 {
                let isPadding = position > group.count
                output.append(isPadding ? UInt8(ascii: "=") : alphabet[bits >> (18 - 6 * position) & 63])
            }
        }
        return String(decoding: output, as: UTF8.self)
    }

    /// The bytes of a text; nil for anything that is no base64, white space included.
    public static func decode(_ text: some StringProtocol, _ form: Form = .lenient) -> [UInt8]? {
        decode(Array(text.utf8), form)
    }

    /// The bytes of a text in UTF-8; nil for anything that is no base64, white space included.
    public static func decode(_ characters: some BidirectionalCollection<UInt8>, _ form: Form = .lenient) -> [UInt8]? {
        let padding = characters.reversed().prefix { $0 == UInt8(ascii: "=") }.count
        if form == .canonical, !characters.count.isMultiple(of: 4) || padding > 2 { return nil }
        var output: [UInt8] = []
        output.reserveCapacity(characters.count / 4 * 3 + 3)
        var bits: UInt32 = 0
        var count: UInt32 = 0
        for character in characters.dropLast(padding) {
            guard let value = value(of: character) else { return nil }
            bits = bits << 6 | UInt32(value)
            count += 6
            if count >= 8 {
                count -= 8
                output.append(UInt8(truncatingIfNeeded: bits >> count))
            }
        }
        let unused = bits & (1 << count - 1)
        return count == 6 || form == .canonical && unused != 0 ? nil : output
    }

    private static func value(of character: UInt8) -> UInt8? {
        switch character {
        case 0x41...0x5A: character - 0x41
        case 0x61...0x7A: character - 0x61 + 26
        case 0x30...0x39: character - 0x30 + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}
