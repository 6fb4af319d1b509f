public import Logging
internal import NIOCore
internal import NIOHTTP1
public import OCISpec

/// Reads images from registries (OCI distribution specification 1.1): manifests by tag or digest, blobs by digest.
///
/// Nothing runs before the first request. One client serves any number of registries and of requests at once; logins,
/// tokens and connections are shared. Call ``shutdown()`` when done with it.
public struct RegistryClient: Sendable {
    let configuration: RegistryConfiguration
    let requester: RegistryRequester

    public init(
        configuration: RegistryConfiguration = RegistryConfiguration(),
        logger: Logger = Logger(label: "mlrun.registry", factory: { _ in SwiftLogNoOpLogHandler() })
    ) {
        self.configuration = configuration
        let transport = HTTPTransport(configuration: configuration, logger: logger)
        requester = RegistryRequester(transport: transport, configuration: configuration, logger: logger)
    }

    /// Closes all connections; requests under way fail, and later ones are refused.
    public func shutdown() async { await requester.shutdown() }

    /// The image manifest that a reference means on `platform`. An index is followed, and one inside it, no deeper.
    ///
    /// Throws ``RegistryError/Kind/notFound`` for an unknown tag or digest, ``RegistryError/Kind/digestMismatch`` where
    /// content differs from the digest it was asked for or announced by, ``RegistryError/Kind/unsupported`` where the
    /// image is not there for the platform, and the errors of the network and of logging in.
    public func manifest(
        for reference: ImageReference, platform: Platform = .host
    ) async throws(RegistryError) -> ResolvedManifest {
        var document = try await document(reference, reference.digest, expected: nil)
        var index: ResolvedManifest.Index?
        var depth = 0
        while true {
            switch document.content {
            case .manifest(let manifest):
                return ResolvedManifest(
                    digest: document.digest, mediaType: document.mediaType, bytes: document.bytes,
                    manifest: manifest, index: index)
            case .index(let list):
                depth += 1
                guard depth <= 2 else {
                    throw RegistryError(
                        .invalidManifest, "\(reference) is an index in an index in an index",
                        remedy: "name the inner index or a manifest by its digest")
                }
                let outermost = ResolvedManifest.Index(
                    digest: document.digest, mediaType: document.mediaType, bytes: document.bytes)
                index = index ?? outermost
                let child = try Self.choose(platform, from: list, of: reference)
                document = try await self.document(reference, child.digest, expected: child)
            }
        }
    }

    /// A configuration or another blob that fits in memory, at most `limit` bytes, verified against its digest.
    public func smallBlob(
        _ descriptor: Descriptor, of reference: ImageReference, limit: Int = 4 << 20
    ) async throws(RegistryError) -> [UInt8] {
        guard descriptor.size <= Int64(limit) else {
            throw RegistryError(
                .invalidManifest,
                "the blob \(descriptor.digest) of \(reference) has \(descriptor.size) bytes, and at most \(limit) "
                    + "are accepted for a \(descriptor.mediaType)")
        }
        while true {
            let stream = try await blob(descriptor, of: reference)
            var bytes: [UInt8] = []
            bytes.reserveCapacity(Int(descriptor.size))
            for try await buffer in stream { bytes.append(contentsOf: buffer.readableBytesView) }
            do throws(RegistryError) {
                try ContentDigest.verify(
                    bytes, against: descriptor.digest, what: "a blob of \(reference)", host: reference.registry)
                return bytes
            } catch {
                guard reject(stream) else { throw error }
            }
        }
    }

    /// Tells that what a stream brought has another digest than it was asked for by. True if a mirror sent it, which is
    /// then not asked for it again: the blob is worth another try.
    public func reject(_ stream: BlobStream) -> Bool {
        requester.reject(stream.mirrors, for: stream.descriptor.digest)
    }

    /// A blob as a stream that begins at once and survives broken and stalled connections. Its bytes are exactly
    /// `descriptor.size`, but whoever reads them has to verify the digest.
    public func blob(
        _ descriptor: Descriptor, of reference: ImageReference
    ) async throws(RegistryError) -> BlobStream {
        let source = BlobSource(
            descriptor: descriptor, repository: RegistryRepository(reference), requester: requester)
        let first = try await configuration.retries.run(
            "fetch the blob \(descriptor.digest) of \(reference)"
        ) { () async throws(RegistryError) in
            try await source.open(at: 0)
        }
        return BlobStream(
            source: source, first: first, retries: configuration.retries, splitting: configuration.splitting)
    }

    /// One document by the reference's tag or a digest.
    func document(
        _ reference: ImageReference, _ digest: Digest?, expected: Descriptor?
    ) async throws(RegistryError) -> ManifestDocument {
        let repository = RegistryRepository(reference)
        let name = digest.map(\.description) ?? reference.tag ?? "latest"
        var headers = HTTPHeaders()
        for type in MediaType.manifests { headers.add(name: "Accept", value: type) }
        let request = RegistryRequest(
            target: .path("manifests/\(name)"), headers: headers, scopes: .pull(repository.name))
        return try await configuration.retries.run(
            "fetch the manifest of \(reference)"
        ) { () async throws(RegistryError) in
            try await requester.first(
                of: repository, for: digest == nil ? .resolve : .pull, content: digest
            ) { (endpoint) async throws(RegistryError) in
                let response: TransportResponse
                do throws(RegistryError) {
                    response = try await requester.send(request, to: endpoint, for: repository)
                } catch {
                    throw error.kind == .notFound ? Self.unknown(reference, name, endpoint, error) : error
                }
                let bytes = try await manifestBytes(of: response, name, reference)
                return try ManifestDocument(
                    verifying: bytes, of: response, asked: digest, expected: expected, reference: reference)
            }
        }
    }

    private func manifestBytes(
        of response: TransportResponse, _ name: String, _ reference: ImageReference
    ) async throws(RegistryError) -> [UInt8] {
        let limit = configuration.manifestLimit
        let tooLarge = RegistryError(
            .invalidManifest,
            "the manifest \(name) on \(response.address.hostAndPort) is larger than \(limit) bytes",
            remedy: "check that \(reference) names an image")
        if let length = response.contentLength, length > Int64(limit) { throw tooLarge }
        guard let bytes = try await response.body.collect(limit: limit) else { throw tooLarge }
        return bytes
    }

    private static func unknown(
        _ reference: ImageReference, _ name: String, _ endpoint: RegistryEndpoint, _ error: RegistryError
    ) -> RegistryError {
        RegistryError(
            .notFound, "\(endpoint.login) has no \(name) in \(reference.repository) (\(error.message))",
            remedy: "check the spelling of \(reference.familiar), and that it has been pushed")
    }

    private static func choose(
        _ platform: Platform, from index: ImageIndex, of reference: ImageReference
    ) throws(RegistryError) -> Descriptor {
        if let child = index.manifest(for: platform) { return child }
        let known = index.manifests.compactMap { $0.platform?.description }.filter { !$0.hasPrefix("unknown") }
        throw RegistryError(
            .unsupported,
            "\(reference) is not there for \(platform)"
                + (known.isEmpty ? ", its index names no platform" : ", only for \(known.joined(separator: ", "))"),
            remedy: "choose another tag, or build the image for \(platform)")
    }
}
