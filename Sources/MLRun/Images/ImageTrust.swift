internal import ImageStore
internal import LinuxSystem
internal import OCISpec
internal import Registry
internal import Trust

/// Decides whether an image may come into the store, by the policy and by the keys that were named for this pull.
struct ImageTrust: Sendable {
    let policy: TrustPolicy
    let keys: [VerificationKey]

    /// No image has a reason for more signatures than this, and none of the payloads is large.
    private static let mostSignatures = 64
    private static let largestPayload = 64 << 10

    /// What is demanded of an image of a registry; throws where the policy rejects it.
    private func requirements(for reference: ImageReference) throws(TrustError) -> [SignatureRequirement] {
        var requirements: [SignatureRequirement] = []
        switch policy.requirement(for: reference) {
        case .accept: break
        case .reject:
            throw TrustError(
                "\(policy.name) rejects \(reference)", remedy: "choose another image, or change the policy")
        case .signed(let requirement): requirements.append(requirement)
        }
        if !keys.isEmpty { requirements.append(SignatureRequirement(keys: keys, demander: "--verify-key")) }
        return requirements
    }

    /// Refuses what the policy rejects before the registry is asked for anything.
    func refuseRejected(_ reference: ImageReference) throws(MLRunError) {
        do throws(TrustError) { _ = try requirements(for: reference) } catch { throw MLRunError(error) }
    }

    /// Whether these keys' signatures, verified when the image came in, are all that is demanded now.
    func isSatisfied(by signers: [String], for reference: ImageReference) throws(MLRunError) -> Bool {
        do throws(TrustError) {
            return try requirements(for: reference).allSatisfy { requirement in
                requirement.keys.contains { signers.contains($0.fingerprint) }
            }
        } catch {
            throw MLRunError(error)
        }
    }

    /// Verifies an image by its digests, before anything but its manifests was fetched.
    ///
    /// - Returns: The fingerprints of the keys that signed.
    func verify(
        _ digests: [Digest], of reference: ImageReference, by client: RegistryClient
    ) async throws(MLRunError) -> [String] {
        do throws(TrustError) {
            if try requirements(for: reference).isEmpty { return [] }
        } catch {
            throw MLRunError(error)
        }
        var signatures: [ImageSignature] = []
        do throws(RegistryError) {
            for digest in digests { signatures += try await Self.find(digest, of: reference, by: client) }
        } catch {
            throw MLRunError(
                .pullFailed, "the signatures of \(reference) cannot be had: \(error.message)", remedy: error.remedy,
                underlying: error)
        }
        do throws(TrustError) {
            var signers: [String] = []
            for requirement in try requirements(for: reference) {
                signers += try requirement.check(signatures, of: digests, for: reference)
            }
            return signers
        } catch {
            throw MLRunError(error)
        }
    }

    /// Refuses images of a local archive or layout where a signature is demanded.
    func admit(_ source: ImageSource, references: [String]) throws(TrustError) {
        let scope = source.policyScope
        if !keys.isEmpty {
            throw TrustError(
                "--verify-key demands a signature, and \(source.description) is a local archive or layout, which carries "
                    + "none", remedy: "pull the image from its registry")
        }
        try policy.admit(localPath: scope, references: references)
    }

    // MARK: Finding signatures

    /// Those under cosign's tag, and those that refer to the image.
    private static func find(
        _ digest: Digest, of reference: ImageReference, by client: RegistryClient
    ) async throws(RegistryError) -> [ImageSignature] {
        let tag = ImageReference(
            registry: reference.registry, repository: reference.repository,
            tag: "\(digest.algorithm)-\(digest.hex).sig")
        var found = try await signatures(in: tag, source: tag.description, by: client)
        let referrers = try await client.referrers(
            of: digest, in: reference, artifactType: ImageSignature.artifactType)
        for referrer in referrers.prefix(mostSignatures) {
            let name = ImageReference(
                registry: reference.registry, repository: reference.repository, tag: nil, digest: referrer.digest)
            found += try await signatures(in: name, source: "the referrer \(referrer.digest)", by: client)
        }
        return Array(found.prefix(mostSignatures))
    }

    private static func signatures(
        in name: ImageReference, source: String, by client: RegistryClient
    ) async throws(RegistryError) -> [ImageSignature] {
        let manifest: ImageManifest
        do throws(RegistryError) { manifest = try await client.manifest(for: name).manifest } catch {
            if error.kind == .notFound { return [] }
            throw error
        }
        var found: [ImageSignature] = []
        for layer in manifest.layers.prefix(mostSignatures) where layer.mediaType == ImageSignature.payloadType {
            guard let signature = layer.annotations[ImageSignature.annotation] else { continue }
            let payload = try await client.smallBlob(layer, of: name, limit: largestPayload)
            found.append(ImageSignature(payload: payload, signature: signature, source: source))
        }
        return found
    }
}
