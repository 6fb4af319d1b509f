public import OCISpec

/// A signature as it was found beside an image; nothing of it is believed before it is verified.
public struct ImageSignature: Sendable, Equatable {
    /// The signed bytes.
    public let payload: [UInt8]
    /// Base64, as the annotation `dev.cosignproject.cosign/signature` has it.
    public let signature: String
    /// Where it was found, as errors call it.
    public let source: String

    /// The media type of payloads.
    public static let payloadType = "application/vnd.dev.cosign.simplesigning.v1+json"
    /// The annotation that holds the signature of a payload.
    public static let annotation = "dev.cosignproject.cosign/signature"
    /// The artifact type of signatures that are found through the referrers API.
    public static let artifactType = "application/vnd.dev.cosign.artifact.sig.v1+json"

    public init(payload: [UInt8], signature: String, source: String) {
        self.payload = payload
        self.signature = signature
        self.source = source
    }
}

extension SignatureRequirement {
    /// Checks that at least one of these signatures is by one of the keys, of one of the digests, and for the reference.
    ///
    /// - Parameters:
    ///   - digests: Of the manifest, and of the index that led to it by digest.
    ///   - reference: As it is pulled.
    /// - Returns: The fingerprints of the keys whose signatures hold.
    /// - Throws: ``TrustError`` that says of each signature why it does not hold.
    public func check(
        _ signatures: [ImageSignature], of digests: [Digest], for reference: ImageReference
    ) throws(TrustError) -> [String] {
        var signers: [String] = []
        var objections: [String] = []
        for signature in signatures {
            switch verdict(on: signature, digests, reference) {
            case .success(let key): if !signers.contains(key.fingerprint) { signers.append(key.fingerprint) }
            case .failure(let objection): objections.append(objection.reason)
            }
        }
        if !signers.isEmpty { return signers }
        let names = keys.map(\.name).joined(separator: ", ")
        guard !signatures.isEmpty else {
            throw TrustError(
                "\(reference) is not signed, but \(demander) demands a signature by \(names)",
                remedy: "sign it with `cosign sign --key`, or choose an image that is")
        }
        throw TrustError(
            "no signature of \(reference) holds, but \(demander) demands one by \(names): "
                + objections.enumerated().map { "(\($0 + 1)) \($1)" }.joined(separator: ", "),
            remedy: "have the image signed by the right key, or ask its publisher for theirs")
    }

    private struct Objection: Error {
        let reason: String
    }

    private func verdict(
        on found: ImageSignature, _ digests: [Digest], _ reference: ImageReference
    ) -> Result<VerificationKey, Objection> {
        func refused(_ reason: String) -> Result<VerificationKey, Objection> {
            .failure(Objection(reason: "\(found.source): \(reason)"))
        }
        guard let signature = Base64.decode(found.signature, .canonical) else { return refused("it is no base64") }
        guard let key = keys.first(where: { $0.verifies(signature, of: found.payload) }) else {
            return refused("it is by another key, or damaged")
        }
        let statement: SignedStatement
        do throws(JSONError) { statement = try SignedStatement(found.payload) } catch {
            return refused("what it signs is no statement about an image: \(error)")
        }
        guard digests.contains(statement.digest) else { return refused("it is for another image, \(statement.digest)") }
        if let objection = identity.objection(to: statement.reference, for: reference) { return refused(objection) }
        return .success(key)
    }
}
