import Crypto
import OCISpec
import Testing

@testable import Trust

/// A PEM block of these bytes.
func pem(_ der: [UInt8], label: String = "PUBLIC KEY", width: Int = 64) -> [UInt8] {
    let text = base64(der)
    var lines: [String] = []
    var rest = text[...]
    while !rest.isEmpty {
        lines.append(String(rest.prefix(width)))
        rest = rest.dropFirst(width)
    }
    return Array("-----BEGIN \(label)-----\n\(lines.joined(separator: "\n"))\n-----END \(label)-----\n".utf8)
}

func base64(_ bytes: some Collection<UInt8>) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
    var text = ""
    var rest = Array(bytes)[...]
    while !rest.isEmpty {
        let group = Array(rest.prefix(3))
        rest = rest.dropFirst(3)
        let bits = group.enumerated().reduce(0) { $0 | Int($1.element) << (16 - 8 * $1.offset) }
        for position in 0..<4 { text.append(position > group.count ? "=" : alphabet[bits >> (18 - 6 * position) & 63]) }
    }
    return text
}

/// A key pair that signs as cosign does.
enum Signer {
    case ecdsa(P256.Signing.PrivateKey)
    case ed25519(Curve25519.Signing.PrivateKey)

    static func make(_ algorithm: VerificationKey.Algorithm) -> Signer {
        algorithm == .ecdsaP256 ? .ecdsa(P256.Signing.PrivateKey()) : .ed25519(Curve25519.Signing.PrivateKey())
    }

    func sign(_ payload: [UInt8]) throws -> String {
        switch self {
        case .ecdsa(let key): base64(try key.signature(for: payload).derRepresentation)
        case .ed25519(let key): base64(try key.signature(for: payload))
        }
    }

    var publicPEM: [UInt8] {
        switch self {
        case .ecdsa(let key): Array(key.publicKey.pemRepresentation.utf8)
        case .ed25519(let key): pem(Self.ed25519Prefix + Array(key.publicKey.rawRepresentation))
        }
    }

    static let ed25519Prefix: [UInt8] = [0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00]

    func key(_ name: String = "team.pem") throws -> VerificationKey { try VerificationKey(pem: publicPEM, name: name) }
}

@Suite("Verification keys")
struct KeyTests {
    // Made by `openssl genpkey -algorithm ed25519` and `openssl ecparam -name prime256v1 -genkey`, with `-pubout`; the
    // signatures are of "statement" by `openssl pkeyutl -sign -rawin` and `openssl dgst -sha256 -sign`.
    @Test("keys and signatures that openssl made are understood", arguments: OpenSSLKey.all)
    func openssl(_ made: OpenSSLKey) throws {
        let key = try VerificationKey(pem: Array(made.pem.utf8), name: "key")
        #expect(key.algorithm == made.algorithm && key.fingerprint.hasPrefix("sha256:"))
        let signature = try #require(Base64.decode(made.signature, .canonical))
        #expect(key.verifies(signature, of: Array("statement".utf8)))
        #expect(!key.verifies(signature, of: Array("Statement".utf8)))
        #expect(!key.verifies(Array(signature.dropLast()), of: Array("statement".utf8)))
    }

    @Test("a compressed point is the same curve's key, under a fingerprint of its own bytes")
    func compressed() throws {
        let pair = P256.Signing.PrivateKey()
        let prefix: [UInt8] = [
            0x30, 0x39, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A, 0x86, 0x48,
            0xCE, 0x3D, 0x03, 0x01, 0x07, 0x03, 0x22, 0x00,
        ]
        let key = try VerificationKey(
            pem: pem(prefix + Array(pair.publicKey.compressedRepresentation)), name: "key")
        let signature = try pair.signature(for: [1, 2, 3]).derRepresentation
        #expect(key.verifies(Array(signature), of: [1, 2, 3]))
    }

    @Test(
        "what is no public key of a known kind is refused with the reason",
        arguments: [
            ("", "no PEM block"), ("hello", "no PEM block"),
            ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "which must stay with whoever signs"),
            ("-----BEGIN PUBLIC KEY-----\nAAAA\n", "does not end"),
            ("-----BEGIN PUBLIC KEY-----\nA*AA\n-----END PUBLIC KEY-----", "no base64"),
            ("-----BEGIN PUBLIC KEY-----\nAAB=\n-----END PUBLIC KEY-----", "no base64"),
            ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "neither an ECDSA P-256 nor an Ed25519"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "\"CERTIFICATE\""),
        ])
    func refused(text: String, reason: String) throws {
        let error = try #require(throws: TrustError.self) {
            try VerificationKey(pem: Array(text.utf8), name: "key.pem")
        }
        #expect(error.message.contains("key.pem") && error.message.contains(reason), "\(error)")
    }

    @Test("a second key, a point off the curve, bytes behind the key and another curve are refused")
    func tampered() throws {
        let signer = Signer.make(.ecdsaP256)
        guard case .ecdsa(let pair) = signer else { return }
        let der = Array(pair.publicKey.derRepresentation)
        var off = der
        off[der.count - 1] ^= 1
        for (bytes, reason) in [
            (signer.publicPEM + [0x0A] + signer.publicPEM, "more than one"), (pem(off), "not on the curve"),
            (pem(der + [0]), "neither"), (Array(P384.Signing.PrivateKey().publicKey.pemRepresentation.utf8), "neither"),
        ] {
            let error = try #require(throws: TrustError.self) { try VerificationKey(pem: bytes, name: "key") }
            #expect(error.message.contains(reason), "\(error)")
        }
    }
}
