internal import NIOHTTP1
internal import OCISpec
internal import Synchronization

/// Opens one blob, from its start or from any byte. Parts of different answers may be put together without a validator
/// such as an ETag: they are parts of what one digest names, and whoever reads them verifies it over the whole.
struct BlobSource: Sendable {
    let descriptor: Descriptor
    let repository: RegistryRepository
    let requester: RegistryRequester
    /// Which hosts have answered so far.
    let hosts = AnswerLog()

    /// An answer, and the number of bytes to pass over before the wanted one comes.
    struct Opening: Sendable {
        let body: ResponseBody
        let surplus: Int64
        let host: String
    }

    final class AnswerLog: Sendable {
        private let endpoints = Mutex<Set<RegistryEndpoint>>([])
        func insert(_ endpoint: RegistryEndpoint) { endpoints.withLock { _ = $0.insert(endpoint) } }
        var mirrors: [RegistryEndpoint] { endpoints.withLock { $0.filter(\.isMirror) } }
    }

    /// Asks for the bytes from `offset` on. A registry without ranges, or one that answers with another range, is asked
    /// for everything; then there is a surplus. The registry is asked anew each time, since the address it redirects to
    /// may have expired.
    func open(at offset: Int64) async throws(RegistryError) -> Opening {
        try await requester.first(of: repository, for: .pull, content: descriptor.digest) {
            (endpoint) async throws(RegistryError) in
            if offset > 0 {
                let response = try await ask(endpoint, range: "bytes=\(offset)-", accepted: [200, 206, 416])
                if response.status != .rangeNotSatisfiable, hasRightPart(response, from: offset) {
                    return try opening(of: response, at: offset)
                }
            }
            return try opening(of: try await ask(endpoint, range: nil, accepted: [200, 206]), at: offset)
        }
    }

    /// Asks for exactly these bytes; anything but them is an error.
    func open(_ range: Range<Int64>) async throws(RegistryError) -> ResponseBody {
        try await requester.first(of: repository, for: .pull, content: descriptor.digest) {
            (endpoint) async throws(RegistryError) in
            let text = "bytes=\(range.lowerBound)-\(range.upperBound - 1)"
            let response = try await ask(endpoint, range: text, accepted: [200, 206])
            let answered = response.headers.first(name: "Content-Range").flatMap { ContentRange($0) }
            guard response.status == .partialContent, let answered, answered.covers(range, of: descriptor.size),
                response.contentLength.map({ $0 == Int64(range.count) }) ?? true
            else {
                let host = response.address.hostAndPort
                throw RegistryError(.unsupported, "\(host) does not answer with the range that was asked for")
            }
            return response.body
        }
    }

    private func ask(
        _ endpoint: RegistryEndpoint, range: String?, accepted: Set<UInt>
    ) async throws(RegistryError) -> TransportResponse {
        var headers = HTTPHeaders([("Accept", "*/*")])
        if let range { headers.add(name: "Range", value: range) }
        let request = RegistryRequest(
            target: .path("blobs/\(descriptor.digest)"), headers: headers, scopes: .pull(repository.name),
            accepted: accepted)
        do throws(RegistryError) {
            let response = try await requester.send(request, to: endpoint, for: repository)
            hosts.insert(endpoint)
            return response
        } catch {
            guard error.kind == .notFound else { throw error }
            throw RegistryError(
                .notFound, "\(endpoint.login) has no blob \(descriptor.digest) in \(repository.name)",
                remedy: "push the image again: its manifest names a blob that is not there")
        }
    }

    private func hasRightPart(_ response: TransportResponse, from offset: Int64) -> Bool {
        guard response.status == .partialContent else { return true }
        let range = response.headers.first(name: "Content-Range").flatMap { ContentRange($0) }
        return range?.covers(offset..<descriptor.size, of: descriptor.size) ?? false
    }

    private func opening(of response: TransportResponse, at offset: Int64) throws(RegistryError) -> Opening {
        let host = response.address.hostAndPort
        let size = descriptor.size
        let start = response.status == .partialContent && hasRightPart(response, from: offset) ? offset : 0
        guard response.status != .partialContent || hasRightPart(response, from: start) else {
            throw RegistryError(
                .server,
                "\(host) was asked for all of \(descriptor.digest), but sends "
                    + (response.headers.first(name: "Content-Range") ?? "a part without saying which"),
                remedy: "ask the registry's operator", isTransient: true)
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
}
