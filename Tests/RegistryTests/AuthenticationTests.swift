import Logging
import NIOHTTP1
import OCISpec
import Testing

@testable import Registry

@Suite struct AuthenticationTests {
    private static let registry = FakeRegistry.withImage()
    private static let login = Base64.encode(Array("ann:secret".utf8))

    /// A registry and its token server in one: every token it gives out is numbered, and `isValid` decides.
    private static func bearer(
        wantsLogin: Bool = false, isValid: @escaping @Sendable (String) -> Bool = { _ in true }
    ) -> ScriptedServer.Script {
        let tokens = Counter()
        return { request in
            let host = request.headers.first(name: "Host") ?? ""
            if request.path == "/token" {
                if wantsLogin, request.authorization != "Basic \(login)" { return .status(.unauthorized) }
                return .status(.ok, [], #"{"token":"t\#(tokens.next())","expires_in":300}"#)
            }
            if let value = request.authorization, value.hasPrefix("Bearer "), isValid(String(value.dropFirst(7))) {
                return registry.answer(request)
            }
            let challenge =
                #"Bearer realm="http://\#(host)/token",service="\#(host)",scope="repository:team/app:pull""#
            return .status(.unauthorized, [("WWW-Authenticate", challenge)])
        }
    }

    private func source(_ directory: TemporaryDirectory, _ server: String, _ entry: String) throws -> CredentialSource {
        CredentialSource(files: [try directory.write("config.json", #"{"auths":{"\#(server)":\#(entry)}}"#)])
    }

    @Test("a bearer token is fetched once and serves a manifest and many blobs")
    func tokenIsShared() async throws {
        try await withServer(Self.bearer()) { server, client in
            let reference = server.reference()
            let resolved = try await client.manifest(for: reference)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<6 {
                    group.addTask { _ = try await client.smallBlob(resolved.manifest.config, of: reference) }
                }
                try await group.waitForAll()
            }
            let asked = server.requests(to: "/token")
            #expect(asked.count == 1)
            #expect(asked.first?.uri.contains("scope=repository%3Ateam%2Fapp%3Apull") == true)
            #expect(asked.first?.uri.contains("service=127.0.0.1%3A\(server.port)") == true)
            #expect(asked.first?.authorization == nil, "nobody has logged in")
        }
    }

    @Test("blobs that start together wait for one token")
    func tokenIsFetchedOnce() async throws {
        try await withServer(Self.bearer()) { server, client in
            let reference = server.reference()
            let config = FakeRegistry.configuration
            let descriptor = Descriptor(
                mediaType: MediaType.ociConfig, digest: FakeRegistry.digest(config), size: Int64(config.count))
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<8 { group.addTask { _ = try await client.smallBlob(descriptor, of: reference) } }
                try await group.waitForAll()
            }
            #expect(server.requests(to: "/token").count == 1)
        }
    }

    @Test("a login from config.json goes to the token server as Basic, and the token to the registry")
    func bearerWithLogin() async throws {
        let directory = try TemporaryDirectory()
        let server = try await ScriptedServer.start(Self.bearer(wantsLogin: true))
        let client = makeClient(credentials: try source(directory, server.address, #"{"auth":"\#(Self.login)"}"#))
        _ = try await client.manifest(for: server.reference())
        #expect(server.requests(to: "/token").map(\.authorization) == ["Basic \(Self.login)"])
        #expect(server.requests.last?.authorization == "Bearer t1")
        await client.shutdown()
        await server.stop()
    }

    @Test("a token that the registry no longer accepts is replaced")
    func tokenIsReplaced() async throws {
        let uses = Counter()
        let script = Self.bearer { token in token == "t1" ? uses.next() == 1 : token == "t2" }
        try await withServer(script) { server, client in
            let resolved = try await client.manifest(for: server.reference())
            _ = try await client.smallBlob(resolved.manifest.config, of: server.reference())
            #expect(server.requests(to: "/token").count == 2)
            #expect(server.requests.last?.authorization == "Bearer t2")
        }
    }

    @Test("a registry that accepts no token is refused after one new one")
    func tokenIsNeverAccepted() async throws {
        try await withServer(Self.bearer { _ in false }) { server, client in
            let error = try await failure { try await client.manifest(for: server.reference()) }
            #expect(error.kind == .unauthorized)
            #expect(error.message.contains("refuses anonymous access to team/app"))
            #expect(server.requests(to: "/token").count == 1)
        }
    }

    @Test("an identity token is exchanged with the OAuth 2 form")
    func identityToken() async throws {
        let directory = try TemporaryDirectory()
        let script: ScriptedServer.Script = { request in
            let host = request.headers.first(name: "Host") ?? ""
            if request.path == "/token" {
                return request.method == .POST && request.body.contains("refresh_token=r%2Fx%3D")
                    ? .status(.ok, [], #"{"access_token":"exchanged"}"#) : .status(.unauthorized)
            }
            return request.authorization == "Bearer exchanged"
                ? Self.registry.answer(request)
                : .status(.unauthorized, [("www-authenticate", #"bearer REALM="http://\#(host)/token""#)])
        }
        let server = try await ScriptedServer.start(script)
        let client = makeClient(
            credentials: try source(directory, server.address, #"{"auth":"eDp5","identitytoken":"r/x="}"#))
        _ = try await client.manifest(for: server.reference())
        let form = server.requests(to: "/token").first?.body ?? ""
        #expect(form.contains("grant_type=refresh_token"))
        #expect(form.contains("scope=repository%3Ateam%2Fapp%3Apull"), "the default where the challenge names none")
        await client.shutdown()
        await server.stop()
    }

    private static let basic: ScriptedServer.Script = { request in
        request.authorization == "Basic \(login)"
            ? registry.answer(request) : .status(.unauthorized, [("WWW-Authenticate", #"Basic realm="files""#)])
    }

    @Test("Basic is answered with user name and password, and from then on sent unasked")
    func basic() async throws {
        let directory = try TemporaryDirectory()
        let server = try await ScriptedServer.start(Self.basic)
        let client = makeClient(
            credentials: try source(
                directory, "http://\(server.address)/v2/", #"{"username":"ann","password":"secret"}"#))
        let resolved = try await client.manifest(for: server.reference())
        _ = try await client.smallBlob(resolved.manifest.config, of: server.reference())
        let expected = [nil, "Basic \(Self.login)", "Basic \(Self.login)"]
        #expect(server.requests.map(\.authorization) == expected)
        await client.shutdown()
        await server.stop()
    }

    @Test("a refused login names the user and where it came from, and is sent once")
    func refused() async throws {
        let directory = try TemporaryDirectory()
        let server = try await ScriptedServer.start(Self.basic)
        let credentials = try source(directory, server.address, #"{"username":"bob","password":"wrong"}"#)
        let client = makeClient(credentials: credentials)
        let error = try await failure { try await client.manifest(for: server.reference()) }
        #expect(error.kind == .unauthorized)
        #expect(error.message.contains("user \"bob\" from \(credentials.files[0])"))
        #expect(error.remedy?.contains("mlrun login \(server.address)") == true)
        #expect(!error.description.contains("wrong"), "the password")
        #expect(server.requests.count == 2)
        await client.shutdown()
        await server.stop()
    }

    @Test("a broken helper does not stop an anonymous pull, and is named where one is refused")
    func brokenHelper() async throws {
        let directory = try TemporaryDirectory()
        let file = try directory.write("config.json", #"{"credsStore":"mlrun-nowhere"}"#)
        for (script, isOpen) in [(Self.bearer(), true), (Self.basic, false)] {
            let client = makeClient(credentials: CredentialSource(files: [file]))
            try await withServer(client: client, script) { server, client in
                guard !isOpen else {
                    _ = try await client.manifest(for: server.reference())
                    return
                }
                let error = try await failure { try await client.manifest(for: server.reference()) }
                #expect(error.kind == .unauthorized)
                #expect(error.message.contains("cannot run docker-credential-mlrun-nowhere"))
                #expect(error.message.contains(file))
            }
        }
    }

    @Test("a request that waits for a token can be cancelled")
    func cancelledWhileWaiting() async throws {
        let bearer = Self.bearer()
        let script: ScriptedServer.Script = { $0.path == "/token" ? Reply(fault: .silent) : bearer($0) }
        try await withServer(client: makeClient(response: .seconds(60)), script) { server, client in
            let reference = server.reference()
            let request = Task { try await failure { try await client.manifest(for: reference) } }
            while server.requests(to: "/token").isEmpty { try await Task.sleep(for: .milliseconds(5)) }
            request.cancel()
            #expect(try await request.value.kind == .cancelled)
        }
    }

    @Test("403 is said to be a refusal, with the registry's words")
    func denied() async throws {
        let body = #"{"errors":[{"code":"DENIED","message":"your plan has ended"}]}"#
        try await withServer { _ in
            .status(.forbidden, [], body)
        } _: { server, client in
            let error = try await failure { try await client.manifest(for: server.reference()) }
            #expect(error.kind == .denied)
            #expect(error.message.contains("denied, your plan has ended"))
        }
    }

    @Test("a redirect to another host is followed without the login")
    func redirectElsewhere() async throws {
        let storage = try await ScriptedServer.start(host: "127.0.0.2") { request in
            var plain = request.uri
            plain.removeFirst("/storage".count)
            return Self.registry.answer(
                Received(method: .GET, uri: plain, headers: request.headers, body: ""))
        }
        let target = storage.url
        let bearer = Self.bearer()
        let script: ScriptedServer.Script = { request in
            let reply = bearer(request)
            guard request.path.contains("/blobs/"), reply.status == .ok else { return reply }
            return .status(.temporaryRedirect, [("Location", "\(target)/storage\(request.path)?X-Signature=abc")])
        }
        try await withServer(script) { server, client in
            let resolved = try await client.manifest(for: server.reference())
            let config = try await client.smallBlob(resolved.manifest.config, of: server.reference())
            #expect(config == FakeRegistry.configuration)
            #expect(storage.requests.count == 1)
            #expect(storage.requests.first?.uri.hasSuffix("?X-Signature=abc") == true)
            #expect(storage.requests.first?.authorization == nil, "the token was leaked")
        }
        await storage.stop()
    }

    @Test("a relative redirect on the same host keeps the login")
    func redirectHere() async throws {
        let directory = try TemporaryDirectory()
        let script: ScriptedServer.Script = { request in
            guard request.path.hasPrefix("/moved") else {
                let reply = Self.basic(request)
                return reply.status == .ok ? .status(.found, [("Location", "/moved\(request.path)")]) : reply
            }
            let plain = String(request.uri.dropFirst("/moved".count))
            return Self.basic(Received(method: .GET, uri: plain, headers: request.headers, body: ""))
        }
        let server = try await ScriptedServer.start(script)
        let client = makeClient(credentials: try source(directory, server.address, #"{"auth":"\#(Self.login)"}"#))
        _ = try await client.manifest(for: server.reference())
        #expect(server.requests.last?.authorization == "Basic \(Self.login)")
        await client.shutdown()
        await server.stop()
    }

    @Test("a circle of redirects ends after five")
    func redirectCircle() async throws {
        try await withServer {
            .status(.found, [("Location", $0.uri)])
        } _: { server, client in
            let error = try await failure { try await client.manifest(for: server.reference()) }
            #expect(error.message.contains("redirects more than 5 times"))
            #expect(server.requests.count == 6)
        }
    }

    @Test("a redirect from HTTPS to plain HTTP is refused, but for loopback")
    func downgrade() throws {
        let configuration = RegistryConfiguration(credentials: .none)
        let transport = HTTPTransport(configuration: configuration, logger: .init(label: "test"))
        let requester = RegistryRequester(
            transport: transport, configuration: configuration, logger: .init(label: "test"))
        let remote = try #require(WebAddress(parsing: "https://registry.example/v2/a"))
        let local = try #require(WebAddress(parsing: "https://127.0.0.1:5000/v2/a"))
        #expect(throws: RegistryError.self) { try requester.follow("http://cdn.example/x", from: remote, after: 1) }
        #expect(throws: RegistryError.self) { try requester.follow("http://127.0.0.1/x", from: remote, after: 1) }
        #expect(throws: RegistryError.self) { try requester.follow("ftp://cdn.example/x", from: remote, after: 1) }
        #expect(throws: RegistryError.self) { try requester.follow(nil, from: remote, after: 1) }
        #expect(try requester.follow("http://127.0.0.1/x", from: local, after: 1).scheme == .http)
        #expect(try requester.follow("https://cdn.example/x", from: remote, after: 1).host == "cdn.example")
    }

    @Test("no login is sent to a token server in the clear, nor to loopback on behalf of a remote registry")
    func tokenServers() throws {
        let repository = RegistryRepository(registry: "registry.example", name: "team/app")
        let remote = try #require(WebAddress(parsing: "https://registry.example/v2/"))
        func request(_ realm: String) throws -> TokenRequest {
            let challenge = AuthenticationChallenge(scheme: "bearer", parameters: ["realm": realm])
            return try TokenRequest(challenge, from: remote, repository: repository)
        }
        #expect(throws: RegistryError.self) { try request("http://auth.example/token") }
        #expect(throws: RegistryError.self) { try request("https://127.0.0.1/token") }
        #expect(throws: RegistryError.self) { try request("https://ann:secret@auth.example/token") }
        #expect(throws: RegistryError.self) { try request("auth.example") }
        let wanted = try request("https://auth.example/token").adding(.pull("team/app"))
        #expect(wanted.scopes.texts == ["repository:team/app:pull"])
    }

    @Test("a registry that asks for a login over plain HTTP gets none")
    func plainHTTP() async throws {
        let configuration = RegistryConfiguration(credentials: .none)
        let transport = HTTPTransport(configuration: configuration, logger: .init(label: "test"))
        let authorizer = Authorizer(
            tokens: TokenClient(transport: transport, hosts: RegistryHosts(configuration: configuration)),
            credentials: CredentialStore(source: .none), logger: .init(label: "test"))
        let address = try #require(WebAddress(parsing: "http://registry.example/v2/"))
        let repository = RegistryRepository(registry: "registry.example", name: "team/app")
        let challenge = AuthenticationChallenge(scheme: "basic", parameters: [:])
        let error = try await failure {
            try await authorizer.answer([challenge], from: address, for: repository, scopes: .none, rejected: nil)
        }
        #expect(error.kind == .unauthorized)
        #expect(error.message.contains("plain HTTP"))
    }
}
