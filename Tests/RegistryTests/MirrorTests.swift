import NIOHTTP1
import OCISpec
import Testing

@testable import Registry

@Suite("Mirrors") struct MirrorTests {
    private let registry = FakeRegistry.withImage()

    /// Starts a mirror and the registry itself, and runs `body` with a client that knows both.
    private func withMirror(
        _ mirror: @escaping ScriptedServer.Script, server: ScriptedServer.Script? = nil, settings: String = "",
        top: String = "",
        credentials: @escaping (ScriptedServer, ScriptedServer) throws -> CredentialSource = { _, _ in .none },
        _ body: (ScriptedServer, ScriptedServer, RegistryClient) async throws -> Void
    ) async throws {
        let registry = self.registry
        let mirror = try await ScriptedServer.start(host: "127.0.0.2", mirror)
        let server = try await ScriptedServer.start(server ?? { registry.answer($0) })
        let directory = try TemporaryDirectory()
        try Command.run("mkdir", "-p", "\(directory.path)/\(server.address)")
        _ = try directory.write(
            "\(server.address)/hosts.toml",
            """
            server = "\(server.url)"
            \(top)
            [host."\(mirror.url)"]
            \(settings)
            """)
        let client = makeClient(credentials: try credentials(mirror, server), hosts: directory.path)
        do {
            try await body(mirror, server, client)
        } catch {
            await client.shutdown()
            throw error
        }
        await client.shutdown()
        await mirror.stop()
        await server.stop()
    }

    @Test("a mirror is asked first, with the registry that it stands for, and the registry not at all")
    func first() async throws {
        let registry = self.registry
        try await withMirror({ registry.answer($0) }) { mirror, server, client in
            let resolved = try await client.manifest(for: server.reference())
            let layer = try #require(resolved.manifest.layers.first)
            let stream = try await client.blob(layer, of: server.reference())
            #expect(try await stream.readAll() == FakeRegistry.layer)
            #expect(mirror.requests.count == 2 && server.requests.isEmpty)
            let name = WebAddress.encode(server.address)
            #expect(mirror.requests.allSatisfy { $0.uri.hasSuffix("?ns=\(name)") })
        }
    }

    @Test(
        "a mirror that fails in whatever way is passed over",
        arguments: [HTTPResponseStatus.notFound, .unauthorized, .forbidden, .internalServerError, .tooManyRequests])
    func fails(status: HTTPResponseStatus) async throws {
        try await withMirror({ _ in .status(status) }) { mirror, server, client in
            let resolved = try await client.manifest(for: server.reference())
            _ = try await client.smallBlob(resolved.manifest.config, of: server.reference())
            #expect(mirror.requests.count == 2 && server.requests.count == 2)
        }
    }

    @Test("a mirror that cannot be reached is waited for once")
    func unreachable() async throws {
        try await withMirror({ _ in Reply(fault: .hangsUp) }) { mirror, server, client in
            let resolved = try await client.manifest(for: server.reference())
            _ = try await client.smallBlob(resolved.manifest.config, of: server.reference())
            #expect(mirror.requests.count == 1 && server.requests.count == 2)
        }
    }

    @Test("where the registry fails too, its error is told with what the mirror had said")
    func both() async throws {
        try await withMirror(
            { _ in .status(.forbidden, [], #"{"errors":[{"code":"DENIED","message":"no such project"}]}"#) },
            server: { _ in .status(.notFound) }
        ) { mirror, server, client in
            let error = try await failure { try await client.manifest(for: server.reference()) }
            #expect(error.kind == .notFound)
            #expect(error.message.contains("\(server.address) has no v1 in team/app"), "\(error.message)")
            #expect(error.message.contains(mirror.address) && error.message.contains("no such project"))
        }
    }

    @Test("tags are resolved only where that is allowed; what a digest names is fetched from the mirror")
    func capabilities() async throws {
        let registry = self.registry
        try await withMirror({ registry.answer($0) }, settings: #"capabilities = ["pull"]"#) { mirror, server, client in
            let resolved = try await client.manifest(for: server.reference())
            #expect(mirror.requests.isEmpty && server.requests.count == 1)
            let pinned = server.reference(nil, digest: resolved.digest)
            _ = try await client.manifest(for: pinned)
            _ = try await client.smallBlob(resolved.manifest.config, of: pinned)
            #expect(mirror.requests.count == 2 && server.requests.count == 1)
        }
    }

    @Test("what a mirror sends in place of a digest's content is not taken; the registry is asked")
    func damaged() async throws {
        let registry = self.registry
        let script: ScriptedServer.Script = { request in
            var reply = registry.answer(request)
            if reply.status == .ok, !reply.body.isEmpty { reply.body[reply.body.count / 2] ^= 1 }
            return reply
        }
        try await withMirror(script, settings: #"capabilities = ["pull"]"#) { mirror, server, client in
            let resolved = try await client.manifest(for: server.reference())
            let pinned = server.reference(nil, digest: resolved.digest)
            #expect(try await client.manifest(for: pinned).bytes == resolved.bytes)
            let config = try await client.smallBlob(resolved.manifest.config, of: pinned)
            #expect(config == FakeRegistry.configuration)
            #expect(mirror.requests.count == 2 && server.requests.count == 3)

            // Of a stream it is the reader who finds out.
            let layer = try #require(resolved.manifest.layers.first)
            let first = try await client.blob(layer, of: pinned)
            #expect(FakeRegistry.digest(try await first.readAll()) != layer.digest)
            #expect(client.reject(first))
            let second = try await client.blob(layer, of: pinned)
            #expect(try await second.readAll() == FakeRegistry.layer)
            #expect(!client.reject(second), "the registry itself has no other to be replaced by")
        }
    }

    @Test("logins, tokens and headers go to the host they belong to and to no other")
    func secrets() async throws {
        let registry = self.registry
        func bearer(_ token: String, _ login: String) -> ScriptedServer.Script {
            { request in
                let host = request.headers.first(name: "Host") ?? ""
                if request.path == "/token" {
                    return request.authorization == "Basic \(login)"
                        ? .status(.ok, [], #"{"token":"\#(token)"}"#) : .status(.unauthorized)
                }
                if request.authorization == "Bearer \(token)" { return registry.answer(request) }
                return .status(
                    .unauthorized, [("WWW-Authenticate", #"Bearer realm="http://\#(host)/token",service="same""#)])
            }
        }
        let (ann, bob) = (Base64.encode(Array("ann:one".utf8)), Base64.encode(Array("bob:two".utf8)))
        let directory = try TemporaryDirectory()
        try await withMirror(
            bearer("mirror-token", ann), server: bearer("server-token", bob),
            settings: "capabilities = [\"pull\"]\nheader.x-mirror = \"m\"", top: "header.x-server = \"s\"",
            credentials: { mirror, server in
                let text =
                    #"{"auths":{"\#(mirror.address)":{"auth":"\#(ann)"},"\#(server.address)":{"auth":"\#(bob)"}}}"#
                return CredentialSource(files: [try directory.write("config.json", text)])
            }
        ) { mirror, server, client in
            let resolved = try await client.manifest(for: server.reference())
            let pinned = server.reference(nil, digest: resolved.digest)
            _ = try await client.smallBlob(resolved.manifest.config, of: pinned)
            #expect(server.requests.last?.authorization == "Bearer server-token")
            #expect(mirror.requests.last?.authorization == "Bearer mirror-token")
            let toMirror = mirror.requests.compactMap(\.authorization)
            #expect(toMirror.allSatisfy { !$0.contains(bob) && !$0.contains("server-token") })
            let toServer = server.requests.compactMap(\.authorization)
            #expect(toServer.allSatisfy { !$0.contains(ann) && !$0.contains("mirror-token") })
            #expect(
                mirror.requests(to: "/token").allSatisfy { $0.headers["x-mirror"].isEmpty }, "a token server is another"
            )
            #expect(
                mirror.requests.last?.headers["x-mirror"] == ["m"] && mirror.requests.last?.headers["x-server"] == [])
            #expect(
                server.requests.last?.headers["x-server"] == ["s"] && server.requests.last?.headers["x-mirror"] == [])
        }
    }

    @Test("another registry that names the same token server does not get its tokens")
    func sharedTokenServer() async throws {
        let registry = self.registry
        let tokens = try await ScriptedServer.start { request in
            .status(.ok, [], #"{"token":"for-\#(request.authorization == nil ? "nobody" : "ann")"}"#)
        }
        let realm = "\(tokens.url)/token"
        let script: ScriptedServer.Script = { request in
            request.authorization == nil
                ? .status(.unauthorized, [("WWW-Authenticate", #"Bearer realm="\#(realm)",service="s""#)])
                : registry.answer(request)
        }
        let (good, evil) = (try await ScriptedServer.start(script), try await ScriptedServer.start(script))
        let directory = try TemporaryDirectory()
        let text = #"{"auths":{"\#(good.address)":{"username":"ann","password":"one"}}}"#
        let client = makeClient(credentials: CredentialSource(files: [try directory.write("config.json", text)]))
        _ = try await client.manifest(for: good.reference())
        _ = try await client.manifest(for: evil.reference())
        #expect(good.requests.last?.authorization == "Bearer for-ann")
        #expect(evil.requests.last?.authorization == "Bearer for-nobody")
        await client.shutdown()
        for server in [tokens, good, evil] { await server.stop() }
    }

    @Test("a broken hosts.toml stops the pull and says which file")
    func broken() async throws {
        let directory = try TemporaryDirectory()
        try Command.run("mkdir", "-p", "\(directory.path)/registry.example")
        let file = try directory.write("registry.example/hosts.toml", "skipverify = true")
        let client = makeClient(hosts: directory.path)
        let reference = ImageReference(registry: "registry.example", repository: "team/app", tag: "v1")
        let error = try await failure { try await client.manifest(for: reference) }
        #expect(error.kind == .configuration)
        #expect(error.message.contains("\(file): skipverify: "), "\(error)")
        await client.shutdown()
    }
}
