import NIOHTTP1
import OCISpec
import Testing

@testable import Registry

@Suite struct ManifestTests {
    private let amd64 = Platform(os: "linux", architecture: "amd64")

    @Test("a tag resolves to the manifest exactly as it was sent, and its configuration can be read")
    func tag() async throws {
        let registry = FakeRegistry.withImage()
        try await withServer {
            registry.answer($0)
        } _: { server, client in
            let resolved = try await client.manifest(for: server.reference(), platform: amd64)
            #expect(resolved.bytes == registry.manifests["v1"]?.bytes)
            #expect(resolved.digest == FakeRegistry.digest(resolved.bytes))
            #expect(resolved.index == nil)
            let config = try await client.smallBlob(resolved.manifest.config, of: server.reference())
            #expect(config == FakeRegistry.configuration)
            let accepted = server.requests.first?.headers["Accept"] ?? []
            #expect(accepted.contains(MediaType.ociIndex) && accepted.contains(MediaType.dockerManifest))
            #expect(server.requests.allSatisfy { $0.headers["Accept-Encoding"] == ["identity"] })
        }
    }

    @Test("an index inside an index leads to the manifest of the platform asked for")
    func nestedIndex() async throws {
        var registry = FakeRegistry()
        var mine = registry.addImage(note: "mine")
        mine.platform = amd64
        var other = registry.addImage(note: "other")
        other.platform = Platform(os: "linux", architecture: "arm64")
        var inner = registry.addIndex([other, mine])
        inner.platform = amd64
        let outer = registry.addIndex([inner], tag: "v1")
        try await withServer { [registry] in
            registry.answer($0)
        } _: { server, client in
            let resolved = try await client.manifest(for: server.reference(), platform: amd64)
            #expect(resolved.digest == mine.digest)
            #expect(resolved.index?.digest == outer.digest)
            #expect(resolved.manifest.annotations["note"] == "mine")
        }
    }

    @Test("an index three levels deep is refused")
    func tooDeep() async throws {
        var registry = FakeRegistry()
        var child = registry.addImage()
        for level in 0..<3 {
            child.platform = amd64
            child = registry.addIndex([child], tag: level == 2 ? "v1" : nil)
        }
        try await withServer { [registry] in
            registry.answer($0)
        } _: { server, client in
            let error = try await failure { try await client.manifest(for: server.reference(), platform: amd64) }
            #expect(error.kind == .invalidManifest)
            #expect(server.requests.count == 3)
        }
    }

    @Test("a platform that is not there is named together with those that are")
    func missingPlatform() async throws {
        var registry = FakeRegistry()
        var arm = registry.addImage()
        arm.platform = Platform(os: "linux", architecture: "arm64", variant: "v8")
        _ = registry.addIndex([arm], tag: "v1")
        try await withServer { [registry] in
            registry.answer($0)
        } _: { server, client in
            let error = try await failure { try await client.manifest(for: server.reference(), platform: amd64) }
            #expect(error.kind == .unsupported)
            #expect(error.message.contains("linux/amd64") && error.message.contains("linux/arm64/v8"))
        }
    }

    @Test("a manifest that differs from the digest asked for is refused with both digests")
    func wrongDigest() async throws {
        let registry = FakeRegistry.withImage()
        let asked = FakeRegistry.digest([1, 2, 3])
        let served = registry.manifests["v1"]
        let script: ScriptedServer.Script = { _ in
            Reply(headers: ["Content-Type": MediaType.ociManifest], body: served?.bytes ?? [])
        }
        try await withServer(script) { server, client in
            let reference = server.reference(nil, digest: asked)
            let error = try await failure { try await client.manifest(for: reference, platform: amd64) }
            #expect(error.kind == .digestMismatch)
            #expect(error.message.contains(asked.description))
            #expect(error.message.contains(FakeRegistry.digest(served?.bytes ?? []).description))
        }
    }

    @Test("a manifest that differs from Docker-Content-Digest is refused; without that header it is fine")
    func announcedDigest() async throws {
        let registry = FakeRegistry.withImage()
        for header in [FakeRegistry.digest([9]).description, nil] {
            let script: ScriptedServer.Script = { request in
                var reply = registry.answer(request)
                reply.headers.remove(name: "Docker-Content-Digest")
                if let header { reply.headers.add(name: "Docker-Content-Digest", value: header) }
                return reply
            }
            try await withServer(script) { server, client in
                guard header != nil else {
                    let resolved = try await client.manifest(for: server.reference(), platform: amd64)
                    #expect(resolved.digest == FakeRegistry.digest(resolved.bytes))
                    return
                }
                let error = try await failure { try await client.manifest(for: server.reference(), platform: amd64) }
                #expect(error.kind == .digestMismatch)
            }
        }
    }

    @Test("an unknown tag is said with the reference and the registry's own words")
    func unknownTag() async throws {
        let registry = FakeRegistry.withImage()
        try await withServer {
            registry.answer($0)
        } _: { server, client in
            let error = try await failure {
                try await client.manifest(for: server.reference("v9"), platform: amd64)
            }
            #expect(error.kind == .notFound)
            #expect(error.message.contains("v9") && error.message.contains("team/app"))
            #expect(error.message.contains("manifest unknown"))
            #expect(server.requests.count == 1, "a 404 is final")
        }
    }

    @Test("a manifest above the limit is refused, announced or not", arguments: [true, false])
    func huge(announced: Bool) async throws {
        let script: ScriptedServer.Script = { _ in
            let body = [UInt8](repeating: 0x20, count: 5 << 20)
            return Reply(
                headers: ["Content-Type": MediaType.ociManifest], body: body, announcesLength: announced)
        }
        try await withServer(script) { server, client in
            let error = try await failure { try await client.manifest(for: server.reference(), platform: amd64) }
            #expect(error.kind == .invalidManifest)
            #expect(error.message.contains("larger than 4194304 bytes"))
        }
    }

    @Test("a document of the wrong or of contradictory type is refused", arguments: Document.wrong)
    func wrongType(document: Document) async throws {
        let script: ScriptedServer.Script = { _ in
            Reply(headers: ["Content-Type": document.type], body: Array(document.text.utf8))
        }
        try await withServer(script) { server, client in
            let error = try await failure { try await client.manifest(for: server.reference(), platform: amd64) }
            #expect(error.kind == document.kind)
            #expect(error.message.contains(document.words), "\(error.message)")
        }
    }

    @Test("a manifest sent as plain JSON is understood by its own mediaType")
    func genericType() async throws {
        let registry = FakeRegistry.withImage()
        let script: ScriptedServer.Script = { request in
            var reply = registry.answer(request)
            reply.headers.replaceOrAdd(name: "Content-Type", value: "application/json; charset=utf-8")
            return reply
        }
        try await withServer(script) { server, client in
            let resolved = try await client.manifest(for: server.reference(), platform: amd64)
            #expect(resolved.mediaType == MediaType.ociManifest)
        }
    }

    struct Document: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let type: String
        let text: String
        let kind: RegistryError.Kind
        let words: String

        static let wrong = [
            Document(
                testDescription: "a web page", type: "text/html; charset=utf-8", text: "<html>", kind: .invalidManifest,
                words: "Content-Type is \"text/html\""),
            Document(
                testDescription: "header and document differ", type: MediaType.ociManifest,
                text: #"{"schemaVersion":2,"mediaType":"\#(MediaType.ociIndex)","manifests":[]}"#,
                kind: .invalidManifest, words: "but its mediaType is \(MediaType.ociIndex)"),
            Document(
                testDescription: "index and manifest at once", type: MediaType.ociIndex,
                text: #"{"schemaVersion":2,"manifests":[],"layers":[]}"#, kind: .invalidManifest, words: "at once"),
            Document(
                testDescription: "an index called manifest", type: MediaType.ociManifest,
                text: #"{"schemaVersion":2,"manifests":[]}"#, kind: .invalidManifest, words: "but it has manifests"),
            Document(
                testDescription: "schema 1 by type", type: "application/vnd.docker.distribution.manifest.v1+prettyjws",
                text: "{}", kind: .unsupported, words: "schema 1"),
            Document(
                testDescription: "schema 1 by content", type: "application/json",
                text: #"{"schemaVersion":1,"fsLayers":[]}"#, kind: .unsupported, words: "schema 1"),
            Document(
                testDescription: "broken JSON", type: MediaType.ociManifest, text: #"{"schemaVersion":"#,
                kind: .invalidManifest, words: "cannot be used"),
            Document(
                testDescription: "no config", type: MediaType.ociManifest, text: #"{"schemaVersion":2,"layers":[]}"#,
                kind: .invalidManifest, words: "config: is missing"),
        ]
    }
}
