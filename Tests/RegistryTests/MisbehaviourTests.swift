import NIOCore
import NIOHTTP1
import OCISpec
import Testing

@testable import Registry

/// Everything that a registry, or whatever stands in its place, may do wrong, and the error that each has to lead to.
@Suite("Misbehaving registries") struct MisbehaviourTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let kind: RegistryError.Kind
        let message: String
        let requests: Int
        let reply: @Sendable (Received) -> Reply

        init(
            _ name: String, _ kind: RegistryError.Kind, _ message: String, requests: Int = 1,
            _ reply: @escaping @Sendable (Received) -> Reply
        ) {
            testDescription = name
            self.kind = kind
            self.message = message
            self.requests = requests
            self.reply = reply
        }
    }

    private static let html = "<html><body>Welcome to the hotel's network</body></html>"
    private static let registry = FakeRegistry.withImage()

    private static func changed(_ change: @escaping @Sendable (inout Reply) -> Void) -> @Sendable (Received) -> Reply {
        { request in
            var reply = registry.answer(request)
            change(&reply)
            return reply
        }
    }

    private static func redirect(_ location: String?) -> @Sendable (Received) -> Reply {
        { _ in .status(.temporaryRedirect, location.map { [("Location", $0)] } ?? []) }
    }

    static let manifests: [Case] = [
        Case("401 without a challenge", .unauthorized, "names no way to log in") { _ in .status(.unauthorized) },
        Case("401 with an unknown scheme", .unauthorized, "wants \"negotiate\"") { _ in
            .status(.unauthorized, [("WWW-Authenticate", "Negotiate")])
        },
        Case("401 for ever", .unauthorized, "refuses anonymous access") { _ in
            .status(.unauthorized, [("WWW-Authenticate", "Basic realm=\"x\"")])
        },
        Case("a token server that is no URL", .server, "no usable URL") { _ in
            .status(.unauthorized, [("WWW-Authenticate", "Bearer realm=\"javascript:alert(1)\"")])
        },
        Case("a token server inside the cloud", .unauthorized, "where no login may be sent") { _ in
            .status(.unauthorized, [("WWW-Authenticate", "Bearer realm=\"https://169.254.169.254/token\"")])
        },
        Case("a token server that answers with HTML", .server, "cannot be read", requests: 2) { request in
            if request.path == "/token" { return .status(.ok, [], html) }
            let host = request.headers.first(name: "Host") ?? ""
            return .status(.unauthorized, [("WWW-Authenticate", "Bearer realm=\"http://\(host)/token\"")])
        },
        Case("a token that would break into the header", .server, "no usable token", requests: 2) { request in
            if request.path == "/token" { return .status(.ok, [], #"{"token":"a\r\nX-Evil: 1"}"#) }
            let host = request.headers.first(name: "Host") ?? ""
            return .status(.unauthorized, [("WWW-Authenticate", "Bearer realm=\"http://\(host)/token\"")])
        },
        Case("403 in HTML", .denied, "refuses anonymous access") { _ in .status(.forbidden, [], html) },
        Case("404 in HTML", .notFound, "has no v1 in team/app") { _ in .status(.notFound, [], html) },
        Case("404 with an error of the specification", .notFound, "name_unknown, no such thing") { _ in
            .status(.notFound, [], #"{"errors":[{"code":"NAME_UNKNOWN","message":"no such thing"}]}"#)
        },
        Case("404 with an error that commands the terminal", .notFound, "manifest_unknown, [2Jgone") { _ in
            .status(.notFound, [], "{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\",\"message\":\"\\u001b[2Jgone\"}]}")
        },
        Case("429 without Retry-After", .rateLimited, "3 attempts failed", requests: 3) { _ in .status(.tooManyRequests)
        },
        Case("429 until next year", .rateLimited, "answered 429") { _ in
            .status(.tooManyRequests, [("Retry-After", "Fri, 31 Dec 9999 23:59:59 GMT")])
        },
        Case("500", .server, "answered 500", requests: 3) { _ in .status(.internalServerError) },
        Case("503 with an impossible Retry-After", .server, "answered 503", requests: 3) { _ in
            .status(.serviceUnavailable, [("Retry-After", "99999999999999999999")])
        },
        Case("418", .server, "answered 418") { _ in .status(.imATeapot) },
        Case("204 in place of content", .server, "answered 204") { _ in .status(.noContent) },
        Case("206 that nobody asked for", .server, "answered 206") { _ in .status(.partialContent, [], "{}") },
        Case("304", .server, "answered 304") { _ in .status(.notModified) },
        Case(
            "a truncated manifest", .network, "3 attempts failed", requests: 3,
            changed { $0.fault = .truncated(after: 9) }),
        Case("no answer at all", .network, "closed the connection", requests: 3) { _ in Reply(fault: .hangsUp) },
        Case("another digest than announced", .digestMismatch, "but sha256:", changed { $0.body[20] ^= 1 }),
        Case(
            "a digest that is none", .server, "which is none",
            changed {
                $0.headers.replaceOrAdd(name: "Docker-Content-Digest", value: "sha256:zz")
            }),
        Case("a page of HTML", .invalidManifest, "Content-Type is \"text/html\"") { _ in
            .status(.ok, [("Content-Type", "text/html")], html)
        },
        Case("HTML as a manifest", .invalidManifest, "cannot be used") { _ in
            .status(.ok, [("Content-Type", MediaType.ociManifest)], html)
        },
        Case("an empty manifest", .invalidManifest, "cannot be used") { _ in
            .status(.ok, [("Content-Type", MediaType.ociManifest)])
        },
        Case("a manifest of 1 GB by its length", .invalidManifest, "larger than") { _ in
            var reply = Reply(headers: ["Content-Length": "1000000000"], fault: .stalled(after: 0))
            reply.announcesLength = false
            return reply
        },
        Case("a manifest without end", .invalidManifest, "larger than") { _ in
            Reply(body: [UInt8](repeating: 0x20, count: 16 << 20), announcesLength: false)
        },
        Case("a redirect to itself", .server, "redirects more than 5 times", requests: 6) { request in
            .status(.found, [("Location", request.uri)])
        },
        Case("redirects that go on and on", .server, "redirects more than 5 times", requests: 6) { request in
            .status(.found, [("Location", "\(request.uri)x")])
        },
        Case("a redirect without a place", .server, "no usable URL", redirect(nil)),
        Case("a redirect to another protocol", .server, "no usable URL", redirect("file:///etc/passwd")),
        Case("a redirect with a login", .server, "no usable URL", redirect("http://ann:secret@127.0.0.1/")),
        Case(
            "a redirect to the metadata service", .server, "inside this machine or its cloud",
            redirect("http://169.254.169.254/latest/meta-data")),
        Case(
            "a redirect to the metadata service, disguised", .server, "inside this machine or its cloud",
            redirect("http://[::ffff:169.254.169.254]/")),
        Case(
            "a redirect to the metadata service as a number", .server, "inside this machine or its cloud",
            redirect("http://2852039166/")),
    ]

    @Test("a manifest", arguments: manifests)
    func manifest(_ misdeed: Case) async throws {
        try await withServer(misdeed.reply) { server, client in
            let error = try await failure { try await client.manifest(for: server.reference()) }
            #expect(error.kind == misdeed.kind, "\(error)")
            #expect(error.message.contains(misdeed.message), "\(error)")
            #expect(error.message.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F }, "\(error)")
            #expect(server.requests.count == misdeed.requests)
            #expect(server.written < 12 << 20, "\(server.written) bytes were read")
        }
    }

    @Test("addresses inside this machine and its cloud are known in every notation")
    func internalAddresses() {
        let inside = [
            "127.0.0.1", "127.1", "0x7f.1", "017700000001", "2130706433", "0.0.0.0", "0", "localhost", "a.localhost",
            "localhost.", "169.254.169.254", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[fe80::1]", "[::ffff:a9fe:a9fe]",
            "metadata.google.internal",
        ]
        for host in inside {
            #expect(WebAddress(parsing: "https://\(host)/")?.isInternal == true, "\(host)")
        }
        for host in ["registry.example", "10.0.0.1", "192.168.1.1", "[fd00::1]", "localhost.example", "169.255.0.1"] {
            #expect(WebAddress(parsing: "https://\(host)/")?.isInternal == false, "\(host)")
        }
    }

    @Test("bytes that come one now and then are no answer")
    func drip() async throws {
        let script = Self.changed { $0.fault = .throttled(bytes: 4, pause: .milliseconds(50)) }
        try await withServer(client: makeClient(attempts: 1, stall: .milliseconds(400)), script) { server, client in
            let error = try await failure { try await client.manifest(for: server.reference()) }
            #expect(error.kind == .timeout)
            #expect(error.message.contains("sent only"), "\(error)")
        }
    }

    @Test("a Content-Encoding on a blob changes nothing about its bytes")
    func contentEncoding() async throws {
        let script = Self.changed { $0.headers.replaceOrAdd(name: "Content-Encoding", value: "gzip") }
        try await withServer(script) { server, client in
            let resolved = try await client.manifest(for: server.reference())
            let config = try await client.smallBlob(resolved.manifest.config, of: server.reference())
            #expect(config == FakeRegistry.configuration)
            #expect(server.requests.allSatisfy { $0.headers["Accept-Encoding"] == ["identity"] })
        }
    }

    @Test("storage whose signed address has expired is asked for by a new one")
    func expiredRedirect() async throws {
        let blob = FakeRegistry.layer
        let descriptor = Descriptor(
            mediaType: MediaType.ociLayer, digest: FakeRegistry.digest(blob), size: Int64(blob.count))
        let signatures = Counter()
        let storage = try await ScriptedServer.start(host: "127.0.0.2") { request in
            // The first signature is good for the first half only, the second for nothing.
            switch request.uri.split(separator: "=").last {
            case "1":
                var reply = FakeRegistry.part(of: blob, request)
                reply.fault = .truncated(after: blob.count / 2)
                return reply
            case "2": return .status(.forbidden, [], "<Error>Request has expired</Error>")
            default: return FakeRegistry.part(of: blob, request)
            }
        }
        let url = storage.url
        let script: ScriptedServer.Script = { _ in
            .status(.temporaryRedirect, [("Location", "\(url)/blob?signature=\(signatures.next())")])
        }
        try await withServer(script) { server, client in
            let stream = try await client.blob(descriptor, of: server.reference())
            #expect(try await stream.readAll() == blob)
            #expect(storage.requests.count == 3 && server.requests.count == 3)
        }
        await storage.stop()
    }

    // MARK: Below HTTP

    struct RawCase: Sendable, CustomTestStringConvertible {
        let testDescription: String
        /// Nil where the answer is good after all.
        let kinds: Set<RegistryError.Kind>?
        let answer: @Sendable () -> [String]

        init(_ name: String, _ kinds: Set<RegistryError.Kind>?, _ answer: @escaping @Sendable () -> [String]) {
            testDescription = name
            self.kinds = kinds
            self.answer = answer
        }
    }

    private static let document: String = {
        let request = Received(method: .GET, uri: "/v2/team/app/manifests/v1", headers: [:], body: "")
        return String(decoding: registry.answer(request).body, as: UTF8.self)
    }()
    private static let type = "Content-Type: \(MediaType.ociManifest)\r\n"
    private static let length = "Content-Length: \(document.utf8.count)\r\n"
    private static let broken: Set<RegistryError.Kind> = [.server, .network]

    static let raw: [RawCase] = [
        RawCase("HTTP/1.0 without a length", nil) { ["HTTP/1.0 200 OK\r\n\(type)\r\n\(document)"] },
        RawCase("no reason phrase", nil) { ["HTTP/1.1 200\r\n\(type)\(length)\r\n\(document)"] },
        RawCase("chunks with extensions and a trailer", nil) {
            let size = String(document.utf8.count, radix: 16)
            return [
                "HTTP/1.1 200 OK\r\n\(type)Transfer-Encoding: chunked\r\n\r\n",
                "\(size);x=y\r\n\(document)\r\n0\r\nX-Trailer: 1\r\n\r\n",
            ]
        },
        RawCase("an informational answer first", nil) {
            ["HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 200 OK\r\n\(type)\(length)\r\n\(document)"]
        },
        RawCase("nothing", broken) { [] },
        RawCase("another protocol", broken) { ["SSH-2.0-OpenSSH_9.2\r\n"] },
        RawCase("a status that is no number", broken) { ["HTTP/1.1 okay\r\n\r\n"] },
        RawCase("HTTP/9.9", broken) { ["HTTP/9.9 200 OK\r\n\(type)\(length)\r\n\(document)"] },
        RawCase("a head that ends early", broken) { ["HTTP/1.1 200 OK\r\nContent-Ty"] },
        RawCase("two lengths", broken) { ["HTTP/1.1 200 OK\r\n\(type)Content-Length: 5\r\n\(length)\r\n\(document)"] },
        RawCase("a negative length", broken) { ["HTTP/1.1 200 OK\r\n\(type)Content-Length: -1\r\n\r\n\(document)"] },
        RawCase("a length beyond 64 bits", broken) {
            ["HTTP/1.1 200 OK\r\n\(type)Content-Length: 99999999999999999999\r\n\r\n\(document)"]
        },
        RawCase("a chunk size that is none", broken) {
            ["HTTP/1.1 200 OK\r\n\(type)Transfer-Encoding: chunked\r\n\r\nzz\r\n\(document)\r\n0\r\n\r\n"]
        },
        RawCase("a chunk that ends early", broken) {
            ["HTTP/1.1 200 OK\r\n\(type)Transfer-Encoding: chunked\r\n\r\nfff\r\n\(document)"]
        },
        RawCase("chunks without an end", broken) {
            let size = String(document.utf8.count, radix: 16)
            return ["HTTP/1.1 200 OK\r\n\(type)Transfer-Encoding: chunked\r\n\r\n\(size)\r\n\(document)\r\n"]
        },
        RawCase("a chunk size beyond 64 bits", broken) {
            ["HTTP/1.1 200 OK\r\n\(type)Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff1\r\n\(document)"]
        },
        RawCase("a header with a zero byte", broken) {
            ["HTTP/1.1 200 OK\r\n\(type)X: a\0b\r\n\(length)\r\n\(document)"]
        },
        RawCase("a flood of headers", broken) {
            ["HTTP/1.1 200 OK\r\n", String(repeating: "X-Flood: 0123456789\r\n", count: 1 << 16), "\r\n"]
        },
        RawCase("a header without end", broken) {
            ["HTTP/1.1 200 OK\r\nX-Flood: ", String(repeating: "a", count: 4 << 20)]
        },
    ]

    @Test("an answer that is no proper HTTP", arguments: raw)
    func rawAnswer(_ misdeed: RawCase) async throws {
        let server = try await RawServer.start { _ in misdeed.answer() }
        let directory = try TemporaryDirectory()
        try Command.run("mkdir", "-p", "\(directory.path)/\(server.address)")
        _ = try directory.write("\(server.address)/hosts.toml", "server = \"http://\(server.address)\"")
        let client = makeClient(attempts: 2, hosts: directory.path)
        let reference = ImageReference(registry: server.address, repository: "team/app", tag: "v1")
        var found: RegistryError?
        do throws(RegistryError) { _ = try await client.manifest(for: reference) } catch { found = error }
        await client.shutdown()
        await server.stop()
        if let kinds = misdeed.kinds {
            #expect(found.map { kinds.contains($0.kind) } == true, "\(String(describing: found))")
            #expect(found?.message.contains(server.address) == true)
            #expect(server.requests.count <= 2)
        } else {
            #expect(found == nil, "\(String(describing: found))")
        }
    }
}
