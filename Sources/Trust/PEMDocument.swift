internal import OCISpec

/// The textual encoding of keys (RFC 7468), strictly: one block, of public keys.
enum PEMDocument {
    /// No key that is understood has a file of this size.
    private static let largest = 16 << 10
    private static let label = "PUBLIC KEY"

    static func publicKey(in bytes: [UInt8], name: String) throws(TrustError) -> [UInt8] {
        func refused(_ reason: String) -> TrustError {
            TrustError(
                "the key \(name) cannot be read: \(reason)",
                remedy: "name a file with one block \"-----BEGIN PUBLIC KEY-----\", such as cosign.pub")
        }
        guard bytes.count <= largest else { throw refused("it is larger than \(largest) bytes") }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw refused("it is no text") }
        let lines = text.split(omittingEmptySubsequences: true) { $0.isNewline }.map(Self.trimmed)
        guard let begin = lines.firstIndex(where: { $0.hasPrefix("-----BEGIN ") }) else {
            throw refused("there is no PEM block in it")
        }
        guard lines[begin] == "-----BEGIN \(label)-----" else {
            let found = lines[begin].dropFirst("-----BEGIN ".count).prefix { $0 != "-" }.filter {
                $0.isASCII && ($0.isLetter || $0.isNumber || $0 == " ")
            }
            let hint = found.contains("PRIVATE") ? ", which must stay with whoever signs" : ""
            throw refused("it holds \"\(found)\", not \"\(label)\"\(hint)")
        }
        guard let end = lines[begin...].firstIndex(of: "-----END \(label)-----") else {
            throw refused("its PEM block does not end")
        }
        guard !lines[(end + 1)...].contains(where: { $0.hasPrefix("-----BEGIN ") }) else {
            throw refused("it holds more than one PEM block")
        }
        guard let der = Base64.decode(lines[(begin + 1)..<end].joined(), .canonical) else {
            throw refused("its PEM block is no base64")
        }
        return der
    }

    private static func trimmed(_ line: Substring) -> Substring {
        var line = line
        while line.last == " " || line.last == "\t" { line.removeLast() }
        return line
    }
}
