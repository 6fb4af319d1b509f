internal import NIOHTTP1
internal import OCISpec

/// Opens one blob, from its start or from any byte.
struct BlobSource: Sendable {
    let descriptor: Descriptor
    let repository: RegistryRepository
    let requester: RegistryRequester

    /// An answer, and the number of bytes to pass over before the wanted one comes.
    struct Opening: Sendable {
        let body: ResponseBody
        let surplus: Int64
        let host: String
    }

    /// Asks for the bytes from `offset` on. A registry without ranges sends everything; then there is a surplus. The
    /// registry is asked anew each time, since the address it redirects to may have expired.
    func open(at offset: Int64) async throws(RegistryError) -> Opening {
        var headers = HTTPHeaders([("Accept", "*/*")])
        if offset > 0 { headers.add(name: "Range", value: "bytes=\(offset)-") }
        let request = RegistryRequest(
            target: .path("blobs/\(descriptor.digest)"), headers: headers, scopes: .pull(repository.name),
            accepted: [200, 206])
        return try await requester.first(of: repository, for: .pull) { (endpoint) async throws(RegistryError) in
            let response: TransportResponse
            do throws(RegistryError) {
                response = try await requester.send(request, to: endpoint, for: repository)
            } catch {
                guard error.kind == .notFound else { throw error }
                throw RegistryError(
                    .notFound, "\(endpoint.login) has no blob \(descriptor.digest) in \(repository.name)",
                    remedy: "push the image again: its manifest names a blob that is not there")
            }
            return try opening(of: response, at: offset)
        }
    }

    private func opening(of response: TransportResponse, at offset: Int64) throws(RegistryError) -> Opening {
        let host = response.address.hostAndPort
        let size = descriptor.size
        let start: Int64
        if response.status == .partialContent {
            guard let range = response.headers.first(name: "Content-Range"),
                let (first, total) = Self.contentRange(range), first == offset, total == nil || total == size
            else {
                throw RegistryError(
                    .server,
                    "\(host) was asked for bytes \(offset) to \(size - 1) of \(descriptor.digest), but sends "
                        + (response.headers.first(name: "Content-Range") ?? "a part without saying which"),
                    remedy: "ask the registry's operator", isTransient: true)
            }
            start = offset
        } else {
            start = 0
        }
        if let length = response.contentLength, length != size - start {
            throw RegistryError(
                .server,
                "\(host) announces \(length) bytes for the blob \(descriptor.digest) from byte \(start) on, "
                    + "but the manifest says \(size) in all",
                remedy: "push the image again, or ask the registry's operator")
        }
        return Opening(body: response.body, surplus: offset - start, host: host)
    }

    /// First byte and total of `bytes 5-9/10`; the total is nil for `*`.
    static func contentRange(_ text: String) -> (first: Int64, total: Int64?)? {
        guard text.hasPrefix("bytes ") else { return nil }
        let parts = text.dropFirst(6).split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let dash = parts[0].firstIndex(of: "-"), let first = Int64(parts[0][..<dash]) else {
            return nil
        }
        if parts[1] == "*" { return (first, nil) }
        return Int64(parts[1]).map { (first, $0) }
    }
}
