internal import Crypto
internal import OCISpec

/// Computes and compares digests of content that fits in memory.
enum ContentDigest {
    /// The digest of these bytes by the algorithm of another digest.
    static func of(_ bytes: [UInt8], like digest: OCISpec.Digest? = nil) -> OCISpec.Digest {
        guard digest?.algorithm == "sha512" else { return OCISpec.Digest(sha256: SHA256.hash(data: bytes)) }
        let hex = SHA512.hash(data: bytes).map { byte in
            let digits = String(byte, radix: 16)
            return digits.utf8.count == 1 ? "0\(digits)" : digits
        }
        // 64 hash bytes are always 128 digits.
        return OCISpec.Digest("sha512:\(hex.joined())")!
    }

    static func verify(_ bytes: [UInt8], against expected: OCISpec.Digest, what: String, host: String)
        throws(RegistryError)
    {
        let actual = of(bytes, like: expected)
        guard actual != expected else { return }
        throw RegistryError(
            .digestMismatch, "\(what) from \(host) has the digest \(actual), but \(expected) was asked for",
            remedy: "try again; if it stays so, the registry or a proxy on the way serves damaged content")
    }
}
