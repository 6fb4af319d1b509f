internal import Crypto
internal import OCISpec

/// An incremental hash by the algorithm of a digest.
struct ContentHasher {
    // Two properties, not an enum with payloads: those would copy the state at each update.
    private var sha256: SHA256?
    private var sha512: SHA512?

    /// `sha256` where no digest is expected.
    init(like digest: OCISpec.Digest?) {
        if digest?.algorithm == "sha512" { sha512 = SHA512() } else { sha256 = SHA256() }
    }

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        sha256?.update(bufferPointer: bytes)
        sha512?.update(bufferPointer: bytes)
    }

    func digest() -> OCISpec.Digest {
        if let sha512 { return ContentHash.sha512(Array(sha512.finalize())) }
        return OCISpec.Digest(sha256: (sha256 ?? SHA256()).finalize())
    }
}
