internal import NIOHTTP1
public import OCISpec

/// How a blob came to be in a repository.
public enum PushedBlob: String, Sendable {
    /// It was there.
    case existed
    /// The registry took it from another of its repositories.
    case mounted
    /// It was sent.
    case uploaded
}

extension RegistryClient {
    /// Brings a blob into the repository of a reference. A connection that breaks is replaced by another that goes on
    /// where the registry says.
    ///
    /// - Parameters:
    ///   - source: A repository of the same registry that has the blob already, where one is known.
    ///   - report: Called with the bytes sent so far.
    public func push(
        _ content: BlobContent, to reference: ImageReference, mountingFrom source: ImageReference? = nil,
        report: @escaping @Sendable (_ sent: Int64) -> Void = { _ in }
    ) async throws(RegistryError) -> PushedBlob {
        let repository = RegistryRepository(reference)
        let isOther = source.map { $0.registry == reference.registry && $0.repository != reference.repository } ?? false
        return try await requester.first(of: repository, for: .push) { (endpoint) async throws(RegistryError) in
            let upload = BlobUpload(
                content: content, repository: repository, endpoint: endpoint, requester: requester,
                retries: configuration.retries, mountFrom: isOther ? source?.repository : nil, report: report)
            switch try await upload.run() {
            case .existed: return .existed
            case .mounted: return .mounted
            case .uploaded: return .uploaded
            }
        }
    }

    /// Gives a repository a manifest or index, under the reference's tag or under its digest alone. All that it names
    /// must be there.
    ///
    /// - Parameter tagged: off for a part of an index, which has no name of its own.
    public func push(
        manifest bytes: [UInt8], _ descriptor: Descriptor, to reference: ImageReference, tagged: Bool = true
    ) async throws(RegistryError) {
        let repository = RegistryRepository(reference)
        let name = tagged ? reference.tag ?? descriptor.digest.description : descriptor.digest.description
        let request = RegistryRequest(
            method: .PUT, target: .path("manifests/\(name)"),
            headers: HTTPHeaders([("Content-Type", descriptor.mediaType)]), body: .bytes(bytes),
            scopes: .push(repository.name), accepted: [201, 200, 202])
        try await configuration.retries.run(
            "push the manifest of \(reference)"
        ) { () async throws(RegistryError) in
            try await requester.first(of: repository, for: .push) { (endpoint) async throws(RegistryError) in
                let response = try await requester.send(request, to: endpoint, for: repository)
                guard let named = response.headers.first(name: "Docker-Content-Digest"), let actual = Digest(named),
                    actual.algorithm == descriptor.digest.algorithm, actual != descriptor.digest
                else { return }
                throw RegistryError(
                    .digestMismatch,
                    "\(endpoint.host) stored the manifest of \(reference) as \(actual), not as \(descriptor.digest)",
                    remedy: "ask the registry's operator")
            }
        }
    }

    /// Whether a repository has a manifest.
    public func hasManifest(_ digest: Digest, in reference: ImageReference) async throws(RegistryError) -> Bool {
        let repository = RegistryRepository(reference)
        var headers = HTTPHeaders()
        for type in MediaType.manifests { headers.add(name: "Accept", value: type) }
        let request = RegistryRequest(
            method: .HEAD, target: .path("manifests/\(digest)"), headers: headers, scopes: .push(repository.name))
        do throws(RegistryError) {
            _ = try await configuration.retries.run("look for \(digest)") { () async throws(RegistryError) in
                try await requester.first(of: repository, for: .push) { (endpoint) async throws(RegistryError) in
                    try await requester.send(request, to: endpoint, for: repository)
                }
            }
            return true
        } catch {
            if error.kind == .notFound { return false }
            throw error
        }
    }

    /// A manifest or index by its digest, exactly as the registry has it, for a copy of it elsewhere.
    public func manifest(
        _ descriptor: Descriptor, of reference: ImageReference
    ) async throws(RegistryError) -> (bytes: [UInt8], manifest: ImageManifest?) {
        let document = try await document(reference, descriptor.digest, expected: descriptor)
        guard case .manifest(let manifest) = document.content else { return (document.bytes, nil) }
        return (document.bytes, manifest)
    }
}
