import NIOSSL
import OCISpec
import Testing

@testable import Registry

@Suite("TLS", .enabled(if: TestAuthority.isPossible, "openssl makes the certificates")) struct TLSTests {
    private let registry = FakeRegistry.withImage()

    /// Asks a registry with this certificate, by the settings that `settings` writes into a directory for it.
    private func ask(
        _ authority: TestAuthority, _ files: (certificate: String, key: String), clients: Bool = false,
        settings: (String) throws -> Void = { _ in }
    ) async throws -> RegistryError? {
        let context = try authority.context(files, clients: clients)
        let server = try await ScriptedServer.start(tls: context) { [registry] in registry.answer($0) }
        let directory = try TemporaryDirectory()
        let own = "\(directory.path)/\(server.address)"
        try Command.run("mkdir", "-p", own)
        try settings(own)
        let client = makeClient(attempts: 1, hosts: directory.path)
        var found: RegistryError?
        do throws(RegistryError) { _ = try await client.manifest(for: server.reference()) } catch { found = error }
        await client.shutdown()
        await server.stop()
        return found
    }

    @Test("an authority of a registry's own directory is trusted, in Docker's layout and in containerd's")
    func authority() async throws {
        let authority = try TestAuthority()
        let files = try authority.issue("registry")
        let docker = try await ask(authority, files) { try Command.run("cp", authority.certificate, "\($0)/ca.crt") }
        #expect(docker == nil)
        let containerd = try await ask(authority, files) {
            try Command.run("sh", "-c", "echo 'ca = \"\(authority.certificate)\"' > '\($0)/hosts.toml'")
        }
        #expect(containerd == nil)
        let unverified = try await ask(authority, files) {
            try Command.run("sh", "-c", "echo 'skip_verify = true' > '\($0)/hosts.toml'")
        }
        #expect(unverified == nil)
    }

    @Test("a certificate that is refused is named with its names, its issuer, the cause and a way out")
    func refused() async throws {
        let authority = try TestAuthority()
        func trust(_ directory: String) throws { try Command.run("cp", authority.certificate, "\(directory)/ca.crt") }
        let untrusted = try #require(try await ask(authority, try authority.issue("registry")))
        #expect(untrusted.kind == .tls)
        #expect(untrusted.message.contains("CN=registry, issued by CN=mlrun test authority"), "\(untrusted)")
        #expect(untrusted.message.contains("authority that this machine does not trust"))
        #expect(untrusted.remedy?.contains("/etc/mlrun/certs.d/127.0.0.1:") == true)
        let expired = try #require(try await ask(authority, try authority.issue("old", days: -1), settings: trust))
        #expect(expired.message.contains("(CN=old, issued by CN=mlrun test authority) expired on"), "\(expired)")
        let foreign = try authority.issue("foreign", for: "DNS:other.example,IP:10.0.0.1")
        let misnamed = try #require(try await ask(authority, foreign, settings: trust))
        #expect(misnamed.message.contains("is for other.example, 10.0.0.1, not for 127.0.0.1"), "\(misnamed)")
    }

    @Test("a registry that wants a client certificate gets it, the next one where it refuses one")
    func clientCertificates() async throws {
        let (authority, stranger) = (try TestAuthority(), try TestAuthority())
        let files = try authority.issue("registry")
        let own = try authority.issue("client", for: "DNS:client")
        let foreign = try stranger.issue("client", for: "DNS:client")
        let missing = try #require(
            try await ask(authority, files, clients: true) {
                try Command.run("cp", authority.certificate, "\($0)/ca.crt")
            })
        #expect(missing.message.contains("wants a client certificate, and none is set for it"), "\(missing)")
        let wrong = try #require(
            try await ask(authority, files, clients: true) {
                try Command.run("cp", authority.certificate, "\($0)/ca.crt")
                try Command.run("cp", foreign.certificate, "\($0)/client.cert")
                try Command.run("cp", foreign.key, "\($0)/client.key")
            })
        #expect(wrong.message.contains("refuses the client certificate"), "\(wrong)")
        let second = try await ask(authority, files, clients: true) {
            let text = """
                ca = "\(authority.certificate)"
                client = [["\(foreign.certificate)", "\(foreign.key)"], ["\(own.certificate)", "\(own.key)"]]
                """
            try Command.run("sh", "-c", "cat > '\($0)/hosts.toml' <<'END'\n\(text)\nEND")
        }
        #expect(second == nil)
    }

    @Test("files of settings that cannot be read are named")
    func unreadable() async throws {
        let authority = try TestAuthority()
        let files = try authority.issue("registry")
        let missing = try #require(
            try await ask(authority, files) {
                try Command.run("sh", "-c", "echo 'ca = \"nowhere.pem\"' > '\($0)/hosts.toml'")
            })
        #expect(missing.message.contains("/nowhere.pem"), "\(missing)")
        let key = try #require(
            try await ask(authority, files) {
                let text = "client = [[\"\(files.certificate)\", \"\(files.certificate)\"]]"
                try Command.run("sh", "-c", "echo '\(text)' > '\($0)/hosts.toml'")
            })
        #expect(key.message.contains("cannot read the key \(files.certificate)"), "\(key)")
    }

    @Test("names of a certificate are read from any DER, and nothing from what is none")
    func names() throws {
        let authority = try TestAuthority()
        let certificate = try #require(NIOSSLCertificate.fromPEMFile(try authority.issue("who").certificate).first)
        let bytes = try certificate.toDERBytes()
        #expect(CertificateNames(der: bytes)?.subject == "CN=who")
        for length in 0..<80 { #expect(CertificateNames(der: Array(bytes.prefix(length))) == nil) }
    }
}
