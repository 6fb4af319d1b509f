import Logging
import NIOHTTP1
import NIOSSL
import OCISpec
import Testing

@testable import Registry

@Suite struct FaultTests {
    private let registry = FakeRegistry.withImage()

    /// Serves the first `count` requests with `reply` and the later ones well.
    private func failing(_ count: Int, _ reply: Reply) -> ScriptedServer.Script {
        let counter = Counter()
        return { [registry] request in counter.next() <= count ? reply : registry.answer(request) }
    }

    @Test(
        "an error of the server is tried again",
        arguments: [HTTPResponseStatus.internalServerError, .badGateway, .serviceUnavailable, .gatewayTimeout])
    func transient(status: HTTPResponseStatus) async throws {
        try await withServer(failing(2, .status(status))) { server, client in
            _ = try await client.manifest(for: server.reference())
            #expect(server.requests.count == 3)
        }
    }

    @Test("an error that stays is reported with every attempt")
    func permanent() async throws {
        try await withServer(failing(99, .status(.serviceUnavailable))) { server, client in
            let error = try await failure { try await client.manifest(for: server.reference()) }
            #expect(error.kind == .server)
            #expect(error.message.contains("3 attempts failed: (1) \(server.address) answered 503"))
            #expect(error.message.contains("(3) "))
            #expect(error.remedy != nil)
            #expect(server.requests.count == 3)
        }
    }

    @Test("429 is waited for as long as the registry asks")
    func rateLimited() async throws {
        let start = ContinuousClock.now
        try await withServer(failing(1, .status(.tooManyRequests, [("Retry-After", "1")]))) { server, client in
            _ = try await client.manifest(for: server.reference())
            #expect(ContinuousClock.now - start >= .seconds(1))
        }
    }

    @Test("a Retry-After that is too long is reported, not waited for")
    func longLimit() async throws {
        try await withServer(failing(1, .status(.tooManyRequests, [("Retry-After", "3600")]))) { server, client in
            let error = try await failure { try await client.manifest(for: server.reference()) }
            #expect(error.kind == .rateLimited)
            #expect(error.retryAfter == .seconds(3600))
            #expect(server.requests.count == 1)
        }
    }

    @Test("a truncated manifest is fetched again")
    func truncatedManifest() async throws {
        var reply = registry.answer(
            Received(method: .GET, uri: "/v2/team/app/manifests/v1", headers: [:], body: ""))
        reply.fault = .truncated(after: 20)
        try await withServer(failing(1, reply)) { server, client in
            _ = try await client.manifest(for: server.reference())
            #expect(server.requests.count == 2)
        }
    }

    @Test("a server that never answers is given up")
    func silent() async throws {
        let client = makeClient(attempts: 1, response: .milliseconds(200))
        try await withServer(client: client, failing(9, Reply(fault: .silent))) { server, client in
            let error = try await failure { try await client.manifest(for: server.reference()) }
            #expect(error.kind == .timeout)
            #expect(error.message.contains("did not answer for 0.2 s"))
        }
    }

    @Test("a refused connection says which host and port, and is not tried again")
    func refused() async throws {
        let port = try ReservedPort()
        let client = makeClient()
        let reference = ImageReference(registry: "127.0.0.1:\(port.number)", repository: "team/app", tag: "v1")
        let error = try await failure { try await client.manifest(for: reference) }
        await client.shutdown()
        #expect(error.kind == .network)
        #expect(error.message.contains("cannot connect to 127.0.0.1:\(port.number): connection refused"))
        #expect(error.remedy?.contains("port \(port.number)") == true)
        #expect(!error.message.contains("attempts"))
    }

    @Test("an unknown host name is said as such")
    func unknownHost() async throws {
        let client = makeClient(attempts: 1)
        let reference = ImageReference(registry: "registry.invalid", repository: "team/app", tag: "v1")
        let error = try await failure { try await client.manifest(for: reference) }
        await client.shutdown()
        #expect(error.kind == .network)
        #expect(error.message.contains("cannot resolve the host name registry.invalid"))
        #expect(error.remedy?.contains("/etc/resolv.conf") == true)
    }

    @Test("a plain HTTP server asked for TLS is recognised")
    func plainInsteadOfTLS() async throws {
        let server = try await ScriptedServer.start { _ in Reply() }
        let transport = HTTPTransport(
            configuration: RegistryConfiguration(), logger: .init(label: "test"))
        let address = WebAddress(scheme: .https, host: "127.0.0.1", port: server.port, target: "/")
        let error = try await failure { try await transport.open(TransportRequest(address: address)) }
        #expect(error.kind == .tls)
        #expect(error.message.contains("most likely plain HTTP"), "\(error.message)")
        #expect(error.suggestsOtherScheme)
        await transport.shutdown()
        await server.stop()
    }

    @Test(
        "a registry with TLS on loopback is found, and its certificate checked",
        .enabled(if: Command.exists("openssl"), "openssl makes the certificate"))
    func tlsOnLoopback() async throws {
        let directory = try TemporaryDirectory()
        let (certificate, key) = ("\(directory.path)/cert.pem", "\(directory.path)/key.pem")
        try Command.run(
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate)
        let context = try NIOSSLContext(
            configuration: .makeServerConfiguration(
                certificateChain: try NIOSSLCertificate.fromPEMFile(certificate).map { .certificate($0) },
                privateKey: .privateKey(try NIOSSLPrivateKey(file: key, format: .pem))))
        let server = try await ScriptedServer.start(tls: context) { [registry] in registry.answer($0) }

        let trusting = makeClient(authorities: [certificate])
        _ = try await trusting.manifest(for: server.reference())
        await trusting.shutdown()

        let strict = makeClient()
        let error = try await failure { try await strict.manifest(for: server.reference()) }
        await strict.shutdown()
        #expect(error.kind == .tls)
        #expect(error.message.contains("the certificate of \(server.address) is not trusted"), "\(error.message)")

        let configuration = RegistryConfiguration(insecureRegistries: [server.address], credentials: .none)
        let lenient = RegistryClient(configuration: configuration)
        _ = try await lenient.manifest(for: server.reference())
        await lenient.shutdown()
        await server.stop()
    }

    @Test(
        "an IPv6 loopback address works like the others",
        .enabled(if: ReservedPort.isIPv6Loopback, "this machine has no ::1"))
    func ipv6() async throws {
        try await withServer(host: "::1") { [registry] in
            registry.answer($0)
        } _: { server, client in
            let reference = try ImageReference(parsing: "[::1]:\(server.port)/team/app:v1")
            _ = try await client.manifest(for: reference)
            #expect(server.requests.first?.headers.first(name: "Host") == "[::1]:\(server.port)")
        }
    }

    @Test("a client that was shut down refuses requests")
    func afterShutdown() async throws {
        let client = makeClient()
        await client.shutdown()
        let reference = ImageReference(registry: "127.0.0.1:1", repository: "team/app", tag: "v1")
        #expect(try await failure { try await client.manifest(for: reference) }.kind == .cancelled)
    }

    @Test("a cancelled request says so and stops trying")
    func cancelled() async throws {
        try await withServer(failing(9, Reply(fault: .silent))) { server, client in
            let reference = server.reference()
            let request = Task { try await failure { try await client.manifest(for: reference) } }
            while server.requests.isEmpty { try await Task.sleep(for: .milliseconds(5)) }
            request.cancel()
            #expect(try await request.value.kind == .cancelled)
            #expect(server.requests.count == 1)
        }
    }

    @Test("Retry-After is read as seconds or as a date")
    func retryAfter() {
        #expect(AnswerFailure.retryAfter("120", now: 0) == .seconds(120))
        #expect(AnswerFailure.retryAfter("Sun, 06 Nov 1994 08:49:37 GMT", now: 784_111_700) == .seconds(77))
        #expect(AnswerFailure.retryAfter("Thu, 29 Feb 2024 00:00:00 GMT", now: 1_709_164_790) == .seconds(10))
        #expect(AnswerFailure.retryAfter("Sun, 06 Nov 1994 08:49:37 GMT", now: 1_700_000_000) == .zero)
        #expect(AnswerFailure.retryAfter("soon", now: 0) == nil)
        #expect(AnswerFailure.retryAfter("-5", now: 0) == nil)
    }

    @Test("pauses double up to a bound, and what the server asks for is kept")
    func pauses() {
        let policy = RetryPolicy(attempts: 9, firstPause: .milliseconds(100), longestPause: .seconds(1))
        for failures in 1...20 {
            let full = min(Duration.milliseconds(100) * (1 << min(failures - 1, 10)), .seconds(1))
            let pause = policy.pause(after: failures, asked: nil)
            #expect(pause <= full && pause >= full / 2)
        }
        #expect(policy.pause(after: 1, asked: .seconds(7)) == .seconds(7))
    }
}
