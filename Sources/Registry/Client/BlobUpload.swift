internal import NIOCore
internal import NIOHTTP1
internal import OCISpec
internal import Synchronization

/// Brings one blob into a repository (distribution specification 1.1, "Push"): not at all where it is there, by a mount
/// where another repository of the registry has it, else as one stream that goes on where a connection broke.
struct BlobUpload: Sendable {
    let content: BlobContent
    let repository: RegistryRepository
    let endpoint: RegistryEndpoint
    let requester: RegistryRequester
    let retries: RetryPolicy
    /// A repository of the same registry that is known to have the blob.
    let mountFrom: String?
    let report: @Sendable (_ sent: Int64) -> Void

    enum Outcome: Sendable {
        case existed, mounted, uploaded
    }

    private var digest: Digest { content.descriptor.digest }
    private var size: Int64 { content.descriptor.size }
    private var scopes: AccessScopes {
        let own = AccessScopes.push(repository.name)
        return mountFrom.map { own.union(.pull($0)) } ?? own
    }

    func run() async throws(RegistryError) -> Outcome {
        if try await exists() { return .existed }
        var failures: [RegistryError] = []
        /// Where an upload that broke can go on, and how far it came.
        var resumption: (at: WebAddress, offset: Int64)?
        while true {
            do throws(RegistryError) {
                let start: (at: WebAddress, offset: Int64)
                if let known = resumption {
                    start = known
                } else {
                    guard let begun = try await begin(mounting: failures.isEmpty) else { return .mounted }
                    start = (begun, 0)
                    resumption = start
                }
                try await finish(at: try await send(from: start.offset, to: start.at))
                return .uploaded
            } catch {
                // A refused connection says nothing for good: this host was there a moment ago.
                failures.append(error.asTransient(error.isTransient || error.kind == .network))
                if let final = retries.verdict(failures) { throw final.inContext("cannot push \(digest)") }
                try await retries.sleep(
                    retries.pause(after: failures.count, asked: error.retryAfter), "the push of \(digest)")
                // What the registry has of it decides; one that does not know the upload any more gets all of it again.
                if let known = resumption {
                    let progress = try? await status(of: known.at)
                    if let progress, progress.offset > known.offset { failures.removeAll() }
                    resumption = progress
                }
            }
        }
    }

    private func exists() async throws(RegistryError) -> Bool {
        let request = RegistryRequest(method: .HEAD, target: .path("blobs/\(digest)"), scopes: scopes)
        do throws(RegistryError) {
            // The answer alone counts: what has the digest has the content, and not every registry tells its length.
            _ = try await retries.run("look for \(digest)") { () async throws(RegistryError) in
                try await requester.send(request, to: endpoint, for: repository)
            }
            return true
        } catch {
            if error.kind == .notFound { return false }
            throw error
        }
    }

    /// Where to send the blob; nil when it was mounted.
    private func begin(mounting: Bool) async throws(RegistryError) -> WebAddress? {
        var path = "blobs/uploads/"
        if mounting, let mountFrom {
            path += "?mount=\(WebAddress.encode(digest.description))&from=\(WebAddress.encode(mountFrom))"
        }
        let request = RegistryRequest(
            method: .POST, target: .path(path), headers: HTTPHeaders([("Content-Length", "0")]), body: .bytes([]),
            scopes: scopes, accepted: [201, 202])
        let response = try await requester.send(request, to: endpoint, for: repository)
        if response.status == .created, mounting, mountFrom != nil { return nil }
        guard response.status == .accepted else { throw unexpected(response) }
        return try requester.location(of: response)
    }

    /// Sends what is missing; returns where to say that it is complete.
    private func send(from offset: Int64, to address: WebAddress) async throws(RegistryError) -> WebAddress {
        if offset == size { return address }
        var headers = HTTPHeaders([("Content-Type", "application/octet-stream")])
        // One that begins in the middle must say so.
        if offset > 0 { headers.add(name: "Content-Range", value: "\(offset)-\(size - 1)") }
        let content = content
        let report = report
        let request = RegistryRequest(
            method: .PATCH, target: .address(address), headers: headers,
            body: .stream(length: size - offset) { () async throws(RegistryError) in
                CountedPieces(try await content.pieces(from: offset), from: offset, report: report)
            }, scopes: scopes, accepted: [202, 201, 204])
        let response = try await requester.send(request, to: endpoint, for: repository)
        if let range = response.headers.first(name: "Range"), let end = Self.end(of: range), end != size {
            throw RegistryError(
                .server, "\(endpoint.host) has \(end) bytes of \(digest) where \(size) were sent",
                remedy: "try again, or ask the registry's operator", isTransient: true)
        }
        return response.headers.contains(name: "Location") ? try requester.location(of: response) : address
    }

    /// The registry computes the digest of what it got, and refuses another.
    private func finish(at address: WebAddress) async throws(RegistryError) {
        let separator = address.target.contains("?") ? "&" : "?"
        let complete = WebAddress(
            scheme: address.scheme, host: address.host, port: address.port,
            target: "\(address.target)\(separator)digest=\(WebAddress.encode(digest.description))")
        let request = RegistryRequest(
            method: .PUT, target: .address(complete),
            headers: HTTPHeaders([("Content-Length", "0"), ("Content-Type", "application/octet-stream")]),
            body: .bytes([]), scopes: scopes, accepted: [201, 204])
        let response = try await requester.send(request, to: endpoint, for: repository)
        guard let named = response.headers.first(name: "Docker-Content-Digest"), let actual = Digest(named),
            actual.algorithm == digest.algorithm, actual != digest
        else { return }
        throw RegistryError(
            .digestMismatch, "\(endpoint.host) stored \(actual) where \(digest) was sent",
            remedy: "ask the registry's operator")
    }

    /// How far an upload came; nil when the registry does not know it.
    private func status(of address: WebAddress) async throws(RegistryError) -> (at: WebAddress, offset: Int64)? {
        let request = RegistryRequest(target: .address(address), scopes: scopes, accepted: [204, 202, 200])
        let response = try await requester.send(request, to: endpoint, for: repository)
        // A registry that says nothing, or an impossible thing, gets all of it again.
        let range = response.headers.first(name: "Range") ?? ""
        guard let end = Self.end(of: range), end <= size else { return nil }
        let next = response.headers.contains(name: "Location") ? try requester.location(of: response) : address
        return (next, end)
    }

    /// The bytes that a `Range` of uploads counts, `0-99` being a hundred. Nothing at all is written `0-0` by Docker's
    /// registry, which one byte would be too: then that byte is sent again.
    static func end(of range: String) -> Int64? {
        let text = range.hasPrefix("bytes=") ? Substring(range.dropFirst(6)) : Substring(range)
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0] == "0", let last = Int64(parts[1]), last >= 0, last < Int64.max else {
            return nil
        }
        return last == 0 ? 0 : last + 1
    }

    private func unexpected(_ response: TransportResponse) -> RegistryError {
        RegistryError(
            .server, "\(endpoint.host) answers the start of an upload with \(response.status.code)",
            remedy: "ask the registry's operator")
    }
}

/// Says how many bytes have gone out.
private actor CountedPieces: RequestBodySource {
    private let pieces: any BlobPieces
    private let report: @Sendable (Int64) -> Void
    private var sent: Int64

    init(_ pieces: any BlobPieces, from offset: Int64, report: @escaping @Sendable (Int64) -> Void) {
        self.pieces = pieces
        self.report = report
        sent = offset
    }

    func next() async throws(RegistryError) -> ByteBuffer? {
        guard let piece = try await pieces.next() else { return nil }
        sent += Int64(piece.readableBytes)
        report(sent)
        return piece
    }
}
