internal import Crypto
internal import OCISpec

/// Digests of content in memory.
enum ContentHash {
    /// The digest of bytes by the algorithm of another digest.
    static func digest(of bytes: [UInt8], like other: OCISpec.Digest) -> OCISpec.Digest {
        other.algorithm == "sha512" ? sha512(Array(SHA512.hash(data: bytes))) : sha256(of: bytes)
    }

    static func sha256(of bytes: [UInt8]) -> OCISpec.Digest { OCISpec.Digest(sha256: SHA256.hash(data: bytes)) }

    static func sha512(_ hash: [UInt8]) -> OCISpec.Digest {
        let digits = Array("0123456789abcdef".utf8)
        let hex = hash.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
        guard let digest = OCISpec.Digest("sha512:" + String(decoding: hex, as: UTF8.self)) else {
            preconditionFailure("SHA-512 has 64 bytes")
        }
        return digest
    }
}
