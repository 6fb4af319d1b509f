internal import Crypto
internal import OCISpec

/// A public key that signatures of images are checked with: ECDSA on P-256 with SHA-256, or Ed25519.
public struct VerificationKey: Sendable, Equatable {
    /// What kind of key it is.
    public enum Algorithm: String, Sendable {
        /// ECDSA on NIST P-256, over SHA-256; what `cosign generate-key-pair` makes.
        case ecdsaP256 = "ECDSA P-256"
        /// Ed25519 over the payload itself.
        case ed25519 = "Ed25519"
    }

    /// What kind of key it is.
    public let algorithm: Algorithm
    /// The SHA-256 of the key's SubjectPublicKeyInfo, `sha256:` and hexadecimal digits.
    public let fingerprint: String
    /// Where it was read from, as errors call it.
    public let name: String
    /// The point, uncompressed or compressed, or the 32 bytes of an Ed25519 key.
    private let bytes: [UInt8]

    /// Reads one PEM block `PUBLIC KEY` (RFC 7468), as `openssl pkey -pubout` and cosign write it.
    ///
    /// - Throws: ``TrustError`` for anything else: another label, two keys, another algorithm or curve, a point that is
    ///   not on the curve, or bytes behind the key.
    public init(pem: [UInt8], name: String) throws(TrustError) {
        let der = try PEMDocument.publicKey(in: pem, name: name)
        func refused(_ reason: String) -> TrustError {
            TrustError(
                "the key \(name) cannot be used: \(reason)",
                remedy: "name a file with one PEM public key, ECDSA P-256 or Ed25519, such as cosign.pub")
        }
        if let key = Self.rest(of: der, behind: Self.ed25519Prefix, count: 32) {
            algorithm = .ed25519
            bytes = key
            guard (try? Curve25519.Signing.PublicKey(rawRepresentation: key)) != nil else {
                throw refused("its bytes are no Ed25519 key")
            }
        } else if let point = Self.rest(of: der, behind: Self.p256Prefix, count: 65) {
            algorithm = .ecdsaP256
            bytes = point
            guard point[0] == 4, (try? P256.Signing.PublicKey(x963Representation: point)) != nil else {
                throw refused("its point is not on the curve P-256")
            }
        } else if let point = Self.rest(of: der, behind: Self.compressedP256Prefix, count: 33) {
            algorithm = .ecdsaP256
            bytes = point
            guard point[0] == 2 || point[0] == 3,
                (try? P256.Signing.PublicKey(compressedRepresentation: point)) != nil
            else { throw refused("its point is not on the curve P-256") }
        } else {
            throw refused("it is neither an ECDSA P-256 nor an Ed25519 key")
        }
        fingerprint = OCISpec.Digest(sha256: SHA256.hash(data: der)).description
        self.name = name
    }

    /// Whether this key made the signature of the payload; ECDSA signatures are in DER.
    func verifies(_ signature: [UInt8], of payload: [UInt8]) -> Bool {
        switch algorithm {
        case .ed25519:
            guard signature.count == 64, let key = try? Curve25519.Signing.PublicKey(rawRepresentation: bytes) else {
                return false
            }
            return key.isValidSignature(signature, for: payload)
        case .ecdsaP256:
            guard let key = p256, let parsed = try? P256.Signing.ECDSASignature(derRepresentation: signature) else {
                return false
            }
            return key.isValidSignature(parsed, for: payload)
        }
    }

    private var p256: P256.Signing.PublicKey? {
        bytes.count == 65
            ? try? P256.Signing.PublicKey(x963Representation: bytes)
            : try? P256.Signing.PublicKey(compressedRepresentation: bytes)
    }

    public static func == (left: VerificationKey, right: VerificationKey) -> Bool {
        left.fingerprint == right.fingerprint
    }

    // MARK: SubjectPublicKeyInfo

    // DER has one form for each key, so what stands before the key is a constant (RFC 5480, RFC 8410).
    private static let ed25519Prefix: [UInt8] = [
        0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00,
    ]
    private static let p256Prefix = [0x30, 0x59] + p256Algorithm + [0x03, 0x42, 0x00]
    private static let compressedP256Prefix = [0x30, 0x39] + p256Algorithm + [0x03, 0x22, 0x00]
    /// id-ecPublicKey with the named curve prime256v1.
    private static let p256Algorithm: [UInt8] = [
        0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D,
        0x03, 0x01, 0x07,
    ]

    private static func rest(of der: [UInt8], behind prefix: [UInt8], count: Int) -> [UInt8]? {
        guard der.count == prefix.count + count, der.starts(with: prefix) else { return nil }
        return Array(der[prefix.count...])
    }
}
