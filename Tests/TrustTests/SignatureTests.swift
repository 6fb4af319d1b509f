import Crypto
import OCISpec
import Testing

@testable import Trust

@Suite("Signatures of images")
struct SignatureTests {
    static let digest = OCISpec.Digest("sha256:" + String(repeating: "a", count: 64))!
    static let index = OCISpec.Digest("sha256:" + String(repeating: "b", count: 64))!
    static let reference = ImageReference(registry: "registry.example", repository: "team/model", tag: "v1")

    static func payload(
        digest: OCISpec.Digest = digest, name: String = "registry.example/team/model",
        type: String = "cosign container image signature", more: String = ""
    ) -> [UInt8] {
        Array(
            """
            {"critical":{"identity":{"docker-reference":"\(name)"},"image":{"docker-manifest-digest":"\(digest)"},\
            "type":"\(type)"\(more)},"optional":null}
            """.utf8)
    }

    private func check(
        _ signatures: [ImageSignature], keys: [VerificationKey], identity: SignedIdentity = .repository,
        for reference: ImageReference = reference
    ) throws -> [String] {
        try SignatureRequirement(keys: keys, identity: identity, demander: "the policy").check(
            signatures, of: [Self.digest, Self.index], for: reference)
    }

    private func signed(_ payload: [UInt8], by signer: Signer) throws -> ImageSignature {
        ImageSignature(payload: payload, signature: try signer.sign(payload), source: "the tag")
    }

    @Test(
        "a signature by one of the keys holds, of the manifest or of the index that led to it",
        arguments: [VerificationKey.Algorithm.ecdsaP256, .ed25519])
    func holds(_ algorithm: VerificationKey.Algorithm) throws {
        let signer = Signer.make(algorithm)
        let other = Signer.make(.ed25519)
        for digest in [Self.digest, Self.index] {
            let signature = try signed(Self.payload(digest: digest), by: signer)
            #expect(try check([signature], keys: [other.key(), signer.key()]) == [signer.key().fingerprint])
        }
        // One that holds is enough, whatever lies beside it.
        let wrong = try signed(Self.payload(), by: other)
        let right = try signed(Self.payload(), by: signer)
        #expect(try check([wrong, right], keys: [signer.key()]) == [signer.key().fingerprint])
    }

    struct Wrong: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let reason: String
        let make: @Sendable (Signer) throws -> ImageSignature

        init(_ what: String, _ reason: String, _ make: @escaping @Sendable (Signer) throws -> ImageSignature) {
            testDescription = what
            self.reason = reason
            self.make = make
        }

        static func payload(_ what: String, _ reason: String, _ payload: [UInt8]) -> Wrong {
            Wrong(what, reason) { ImageSignature(payload: payload, signature: try $0.sign(payload), source: "tag") }
        }

        static let all: [Wrong] = [
            Wrong("another key", "by another key") { _ in
                let payload = SignatureTests.payload()
                return ImageSignature(
                    payload: payload, signature: try Signer.make(.ecdsaP256).sign(payload), source: "tag")
            },
            Wrong("a payload changed after signing", "by another key") {
                ImageSignature(
                    payload: SignatureTests.payload(name: "registry.example/team/model2"),
                    signature: try $0.sign(SignatureTests.payload()), source: "tag")
            },
            Wrong("no base64", "no base64") { _ in
                ImageSignature(payload: SignatureTests.payload(), signature: "*", source: "tag")
            },
            Wrong("base64 with a line break", "no base64") {
                let payload = SignatureTests.payload()
                return ImageSignature(payload: payload, signature: try $0.sign(payload) + "\n", source: "tag")
            },
            Wrong("an empty signature", "by another key") { _ in
                ImageSignature(payload: SignatureTests.payload(), signature: "", source: "tag")
            },
            .payload(
                "another image", "for another image",
                SignatureTests.payload(digest: OCISpec.Digest("sha256:" + String(repeating: "c", count: 64))!)),
            .payload(
                "another repository", "not registry.example/team/model",
                SignatureTests.payload(name: "registry.example/team/other")),
            .payload(
                "another registry", "not registry.example/team/model",
                SignatureTests.payload(name: "evil.example/team/model")),
            .payload("a name that is none", "no image reference", SignatureTests.payload(name: "A B")),
            .payload("another type", "is not \\\"", SignatureTests.payload(type: "atomic container signature")),
            .payload(
                "something critical that is not understood", "must be understood",
                SignatureTests.payload(more: #","expires":1"#)),
            .payload("no JSON", "no statement", Array("signed".utf8)),
            .payload(
                "no digest", "is missing", Array(#"{"critical":{"type":"cosign container image signature"}}"#.utf8)),
        ]
    }

    @Test("what is wrong with a signature is said, and it does not hold", arguments: Wrong.all)
    func refused(_ wrong: Wrong) throws {
        for algorithm in [VerificationKey.Algorithm.ecdsaP256, .ed25519] {
            let signer = Signer.make(algorithm)
            let signature = try wrong.make(signer)
            let error = try #require(throws: TrustError.self) { try check([signature], keys: [signer.key()]) }
            let reason = wrong.reason.replacing("\\", with: "")
            #expect(error.message.contains(reason) && error.message.contains("the policy"), "\(error)")
        }
    }

    @Test("an image without signatures is called unsigned, with who demands it")
    func unsigned() throws {
        let key = try Signer.make(.ed25519).key("team.pem")
        let error = try #require(throws: TrustError.self) { try check([], keys: [key]) }
        #expect(error.message.contains("is not signed") && error.message.contains("team.pem"), "\(error)")
    }

    @Test("which name a signature must be for is what the rule says")
    func identity() throws {
        let signer = Signer.make(.ed25519)
        let key = try signer.key()
        let elsewhere = try signed(Self.payload(name: "upstream.example/model"), by: signer)
        let upstream = try ImageReference(parsing: "upstream.example/model")
        #expect(try check([elsewhere], keys: [key], identity: .any).count == 1)
        #expect(try check([elsewhere], keys: [key], identity: .copyOf(upstream)).count == 1)
        #expect(throws: TrustError.self) { try check([elsewhere], keys: [key]) }

        let bare = try signed(Self.payload(), by: signer)
        let tagged = try signed(Self.payload(name: "registry.example/team/model:v1"), by: signer)
        #expect(try check([tagged], keys: [key], identity: .exact).count == 1)
        #expect(throws: TrustError.self) { try check([bare], keys: [key], identity: .exact) }
        let later = try ImageReference(parsing: "registry.example/team/model:v2")
        #expect(throws: TrustError.self) { try check([tagged], keys: [key], identity: .exact, for: later) }
        #expect(try check([tagged], keys: [key], for: later).count == 1)
    }
}
