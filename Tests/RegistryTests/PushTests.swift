import NIOCore
import NIOHTTP1
import OCISpec
import Synchronization
import Testing

@testable import Registry

/// A registry that takes uploads into `team/app` of itself, and can be told to misbehave.
final class UploadServer: Sendable {
    struct State {
        var blobs: [String: [UInt8]] = [:]
        var manifests: [String: [UInt8]] = [:]
        /// By session.
        var uploads: [String: [UInt8]] = [:]
        var sessions = 0
    }

    let state = Mutex(State())
    /// Answers a request in place of the registry; nil to let it be.
    private let fault: @Sendable (Received, inout State) -> Reply?
    private let absolute: Bool

    init(absolute: Bool = false, fault: @escaping @Sendable (Received, inout State) -> Reply? = { _, _ in nil }) {
        self.fault = fault
        self.absolute = absolute
    }

    func answer(_ request: Received) -> Reply {
        state.withLock { state in
            if let reply = fault(request, &state) { return reply }
            let parts = request.path.split(separator: "/").map(String.init)
            guard parts.count >= 5, parts[0] == "v2", parts[1] == "team", parts[2] == "app" else {
                return .status(.notFound)
            }
            switch (request.method, parts[3], parts[4]) {
            case (.HEAD, "blobs", let digest):
                return state.blobs[digest] == nil ? .status(.notFound) : Reply(body: [])
            case (.POST, "blobs", "uploads"):
                if request.uri.contains("mount="), request.uri.contains("from=base%2Fimage") {
                    return .status(.created, [("Location", "/v2/team/app/blobs/x")])
                }
                state.sessions += 1
                let session = "s\(state.sessions)"
                state.uploads[session] = []
                return .status(.accepted, location(session, request))
            case (.PATCH, "blobs", "uploads"):
                guard let known = state.uploads[parts[5]] else { return .status(.notFound) }
                if let range = request.headers.first(name: "Content-Range") {
                    guard range.hasPrefix("\(known.count)-") else { return .status(.rangeNotSatisfiable) }
                } else if !known.isEmpty {
                    return .status(.rangeNotSatisfiable)
                }
                state.uploads[parts[5]] = known + Array(request.body.utf8)
                return .status(.accepted, location(parts[5], request) + range(state.uploads[parts[5]] ?? []))
            case (.GET, "blobs", "uploads"):
                guard let known = state.uploads[parts[5]] else { return .status(.notFound) }
                return .status(.noContent, location(parts[5], request) + range(known))
            case (.PUT, "blobs", "uploads"):
                guard let known = state.uploads.removeValue(forKey: parts[5]) else { return .status(.notFound) }
                let digest = FakeRegistry.digest(known).description
                guard request.uri.contains("digest=\(digest.replacing(":", with: "%3A"))") else {
                    return .status(
                        .badRequest, [], #"{"errors":[{"code":"DIGEST_INVALID","message":"not what was sent"}]}"#)
                }
                state.blobs[digest] = known
                return .status(.created, [("Docker-Content-Digest", digest)])
            case (.PUT, "manifests", let name):
                state.manifests[name] = Array(request.body.utf8)
                return .status(.created)
            default: return .status(.notFound)
            }
        }
    }

    private func location(_ session: String, _ request: Received) -> [(String, String)] {
        let path = "/v2/team/app/blobs/uploads/\(session)?state=1"
        let host = request.headers.first(name: "Host") ?? ""
        return [("Location", absolute ? "http://\(host)\(path)" : path)]
    }

    private func range(_ bytes: [UInt8]) -> [(String, String)] { [("Range", "0-\(max(bytes.count - 1, 0))")] }
}

@Suite struct PushTests {
    // Text, since the scripted server keeps bodies as such.
    private let bytes = FakeRegistry.pseudoRandom(count: 300_000).map { $0 % 64 + 32 }

    private var content: BlobContent {
        BlobContent(
            Descriptor(mediaType: MediaType.ociLayer, digest: FakeRegistry.digest(bytes), size: Int64(bytes.count)),
            bytes: bytes)
    }

    @Test("a blob is uploaded to a relative or absolute location, and not a second time", arguments: [false, true])
    func upload(absolute: Bool) async throws {
        let registry = UploadServer(absolute: absolute)
        try await withServer {
            registry.answer($0)
        } _: { server, client in
            let sent = Mutex<Int64>(0)
            let first = try await client.push(content, to: server.reference()) { count in sent.withLock { $0 = count } }
            #expect(first == .uploaded && sent.withLock { $0 } == Int64(bytes.count))
            #expect(registry.state.withLock { $0.blobs.values.first } == bytes)
            let second = try await client.push(content, to: server.reference())
            #expect(second == .existed)
        }
    }

    @Test("a blob that another repository of the registry has is mounted, and sent where that fails")
    func mount() async throws {
        let registry = UploadServer()
        try await withServer {
            registry.answer($0)
        } _: { server, client in
            func source(_ name: String, _ host: String? = nil) -> ImageReference {
                ImageReference(registry: host ?? server.address, repository: name, tag: "v1")
            }
            let mounted = try await client.push(content, to: server.reference(), mountingFrom: source("base/image"))
            #expect(mounted == .mounted)
            // What lies in another registry cannot be mounted, and is not asked for.
            let far = try await client.push(
                content, to: server.reference(), mountingFrom: source("base/image", "other.example"))
            #expect(far == .uploaded)
            #expect(!server.requests.last(where: { $0.method == .POST })!.uri.contains("mount="))
            registry.state.withLock { $0.blobs = [:] }
            let unknown = try await client.push(content, to: server.reference(), mountingFrom: source("base/other"))
            #expect(unknown == .uploaded)
        }
    }

    @Test("an upload that breaks goes on at the byte that the registry names")
    func resume() async throws {
        let failed = Counter()
        let bytes = bytes
        let registry = UploadServer { request, state in
            guard request.method == .PATCH, failed.next() == 1 else { return nil }
            // A part had arrived.
            state.uploads["s1"] = Array(bytes[..<100_000])
            return Reply(fault: .hangsUp)
        }
        try await withServer {
            registry.answer($0)
        } _: { server, client in
            let outcome = try await client.push(content, to: server.reference())
            #expect(outcome == .uploaded)
            #expect(registry.state.withLock { $0.blobs.values.first } == bytes)
            #expect(registry.state.withLock { $0.sessions } == 1)
            let patches = server.requests.filter { $0.method == .PATCH }
            #expect(patches.count == 2)
            #expect(patches.last?.headers.first(name: "Content-Range") == "100000-\(bytes.count - 1)")
        }
    }

    @Test("a registry that forgot an upload gets all of it again")
    func restart() async throws {
        let failed = Counter()
        let registry = UploadServer { request, state in
            guard request.method == .PATCH, failed.next() == 1 else { return nil }
            state.uploads = [:]
            return Reply(fault: .hangsUp)
        }
        try await withServer {
            registry.answer($0)
        } _: { server, client in
            let outcome = try await client.push(content, to: server.reference())
            #expect(outcome == .uploaded)
            #expect(registry.state.withLock { $0.sessions } == 2)
        }
    }

    @Test("bytes that are not what their digest says are refused by the registry, and that is said")
    func wrong() async throws {
        let registry = UploadServer()
        let wrong = BlobContent(
            Descriptor(mediaType: MediaType.ociLayer, digest: FakeRegistry.digest([1]), size: Int64(bytes.count)),
            bytes: bytes)
        try await withServer {
            registry.answer($0)
        } _: { server, client in
            let error = try await failure { try await client.push(wrong, to: server.reference()) }
            #expect(error.message.contains("not what was sent"), "\(error)")
            #expect(registry.state.withLock { $0.blobs.isEmpty })
        }
    }

    @Test("a manifest goes under its tag, or as part of an index under its digest")
    func manifest() async throws {
        let registry = UploadServer()
        let manifest = Array(#"{"schemaVersion":2}"#.utf8)
        let descriptor = Descriptor(
            mediaType: MediaType.ociManifest, digest: FakeRegistry.digest(manifest), size: Int64(manifest.count))
        try await withServer {
            registry.answer($0)
        } _: { server, client in
            try await client.push(manifest: manifest, descriptor, to: server.reference())
            try await client.push(manifest: manifest, descriptor, to: server.reference(), tagged: false)
            #expect(registry.state.withLock { Set($0.manifests.keys) } == ["v1", descriptor.digest.description])
            #expect(server.requests.last?.headers.first(name: "Content-Type") == MediaType.ociManifest)
        }
    }

    @Test(
        "the end of an upload's range is read, and nothing else is believed",
        arguments: [
            ("0-99", 100), ("bytes=0-99", 100), ("0-0", 0), ("5-9", nil), ("0-", nil), ("x", nil), ("0--1", nil),
            ("0-9223372036854775807", nil),
        ] as [(String, Int64?)])
    func range(text: String, end: Int64?) { #expect(BlobUpload.end(of: text) == end) }
}

@Suite struct ReferrerTests {
    private static let digest = FakeRegistry.digest([1])
    private static func entry(_ byte: UInt8, _ type: String) -> Descriptor {
        Descriptor(
            mediaType: MediaType.ociManifest, digest: FakeRegistry.digest([byte]), size: 1, artifactType: type)
    }
    private static func index(_ entries: [Descriptor]) -> [UInt8] { ImageIndex(manifests: entries).json.bytes() }

    @Test("referrers come page by page, and are filtered where the registry does not")
    func pages() async throws {
        try await withServer { request in
            guard request.path == "/v2/team/app/referrers/\(Self.digest)" else { return .status(.notFound) }
            let isSecond = request.uri.contains("page=2")
            let next = "</v2/team/app/referrers/\(Self.digest)?page=2>; rel=\"next\""
            return Reply(
                headers: HTTPHeaders([("Content-Type", MediaType.ociIndex)] + (isSecond ? [] : [("Link", next)])),
                body: Self.index([Self.entry(isSecond ? 3 : 2, isSecond ? "signature" : "sbom")]))
        } _: { server, client in
            let all = try await client.referrers(of: Self.digest, in: server.reference())
            #expect(all.count == 2)
            let signatures = try await client.referrers(
                of: Self.digest, in: server.reference(), artifactType: "signature")
            #expect(signatures == [Self.entry(3, "signature")])
            #expect(server.requests.contains { $0.uri.hasSuffix("?artifactType=signature") })
        }
    }

    @Test("a registry without the API is asked for the tag that stands in for it")
    func fallback() async throws {
        let bytes = Self.index([Self.entry(2, "signature")])
        try await withServer { request in
            guard request.path == "/v2/team/app/manifests/sha256-\(Self.digest.hex)" else { return .status(.notFound) }
            return Reply(headers: HTTPHeaders([("Content-Type", MediaType.ociIndex)]), body: bytes)
        } _: { server, client in
            let found = try await client.referrers(of: Self.digest, in: server.reference())
            #expect(found == [Self.entry(2, "signature")])
        }
        try await withServer({ _ in .status(.notFound) }) { server, client in
            let found = try await client.referrers(of: Self.digest, in: server.reference())
            #expect(found == [])
        }
    }
}
