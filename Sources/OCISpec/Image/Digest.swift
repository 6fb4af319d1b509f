/// A content digest (image-spec, descriptor.md): `sha256:` or `sha512:` and lower-case hexadecimal digits.
public struct Digest: Hashable, Sendable, CustomStringConvertible {
    /// `sha256` or `sha512`.
    public let algorithm: String
    /// The digits after the colon.
    public let hex: String

    /// Accepts only the registered algorithms with exactly their number of digits; nil for anything else.
    public init?(_ text: String) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2 else { return nil }
        let length: Int
        switch parts[0] {
        case "sha256": length = 64
        case "sha512": length = 128
        default: return nil
        }
        let isHex = parts[1].utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
        guard parts[1].utf8.count == length, isHex else { return nil }
        algorithm = String(parts[0])
        hex = String(parts[1])
    }

    /// The sha256 digest of 32 hash bytes.
    public init(sha256 bytes: some Sequence<UInt8>) {
        algorithm = "sha256"
        hex = bytes.reduce(into: "") { text, byte in
            let digits = String(byte, radix: 16)
            text += digits.utf8.count == 1 ? "0" + digits : digits
        }
    }

    public var description: String { "\(algorithm):\(hex)" }

    /// The first twelve digits, as tables show it.
    public var short: String { String(hex.prefix(12)) }

    public init(_ cursor: JSONCursor) throws(JSONError) {
        let text = try cursor.string()
        guard let digest = Digest(text) else { throw cursor.failure("\"\(text)\" is no sha256 or sha512 digest") }
        self = digest
    }
}
