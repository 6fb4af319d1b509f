internal import NIOHTTP1
public import OCISpec

extension RegistryClient {
    /// No image has a reason for more pages or referrers than this.
    private static let mostPages = 16
    private static let mostReferrers = 1024

    /// The manifests that refer to another by its digest, such as signatures and lists of materials: through the
    /// referrers API (distribution specification 1.1), or where a registry lacks that, the tag that stands in for it.
    ///
    /// - Parameter artifactType: Only those of this type; registries that do not filter are filtered after.
    /// - Returns: Their descriptors as the registry gives them; empty where there are none.
    public func referrers(
        of digest: Digest, in reference: ImageReference, artifactType: String? = nil
    ) async throws(RegistryError) -> [Descriptor] {
        let repository = RegistryRepository(reference)
        var found: [Descriptor] = []
        do throws(RegistryError) {
            found = try await configuration.retries.run(
                "list the referrers of \(reference)"
            ) { () async throws(RegistryError) in
                try await requester.first(of: repository, for: .referrers) { (endpoint) async throws(RegistryError) in
                    try await pages(of: digest, artifactType, endpoint, repository)
                }
            }
        } catch {
            // A registry before 1.1 does not know the path; some say that it is not allowed.
            guard error.kind == .notFound || error.kind == .unsupported || error.kind == .server, !error.isTransient
            else { throw error }
            found = try await taggedReferrers(of: digest, in: reference)
        }
        guard let artifactType else { return found }
        return found.filter { $0.artifactType == artifactType }
    }

    private func pages(
        of digest: Digest, _ artifactType: String?, _ endpoint: RegistryEndpoint, _ repository: RegistryRepository
    ) async throws(RegistryError) -> [Descriptor] {
        let query = artifactType.map { "?artifactType=\(WebAddress.encode($0))" } ?? ""
        var request = RegistryRequest(
            target: .path("referrers/\(digest)\(query)"), headers: HTTPHeaders([("Accept", MediaType.ociIndex)]),
            scopes: .pull(repository.name))
        var found: [Descriptor] = []
        for _ in 0..<Self.mostPages {
            let response = try await requester.send(request, to: endpoint, for: repository)
            let host = response.address.hostAndPort
            guard let bytes = try await response.body.collect(limit: configuration.manifestLimit) else {
                throw RegistryError(.server, "\(host) sends a list of referrers larger than a manifest may be")
            }
            do throws(JSONError) {
                found += try ImageIndex(JSONCursor(JSON(parsing: bytes))).manifests
            } catch {
                throw RegistryError(
                    .server, "\(host) sends a list of referrers that cannot be read: \(error)",
                    remedy: "ask the registry's operator")
            }
            guard found.count <= Self.mostReferrers else { break }
            guard let next = Self.next(response.headers["Link"]), let address = response.address.resolving(next),
                address.origin == response.address.origin
            else { break }
            request.target = .address(address)
        }
        return found
    }

    /// The target of a `Link` with the relation "next" (RFC 8288).
    static func next(_ links: [String]) -> String? {
        for link in links {
            guard let open = link.firstIndex(of: "<"), let close = link[open...].firstIndex(of: ">") else { continue }
            let parameters = link[link.index(after: close)...].split(separator: ";").map {
                $0.filter { $0 != " " && $0 != "\"" }.lowercased()
            }
            if parameters.contains("rel=next") { return String(link[link.index(after: open)..<close]) }
        }
        return nil
    }

    /// The index under the tag `sha256-<hex>`.
    private func taggedReferrers(
        of digest: Digest, in reference: ImageReference
    ) async throws(RegistryError) -> [Descriptor] {
        let name = ImageReference(
            registry: reference.registry, repository: reference.repository,
            tag: "\(digest.algorithm)-\(digest.hex.prefix(64))")
        do throws(RegistryError) {
            guard case .index(let index) = try await document(name, nil, expected: nil).content else { return [] }
            return index.manifests
        } catch {
            if error.kind == .notFound { return [] }
            throw error
        }
    }
}
