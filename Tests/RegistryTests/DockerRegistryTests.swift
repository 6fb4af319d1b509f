import Glibc
import Logging
import NIOCore
import NIOPosix
import OCISpec
import Testing

@testable import Registry

@Suite(
    .enabled(
        if: Command.exists("docker-registry", "skopeo", "umoci"), "needs Debian's docker-registry, skopeo and umoci"))
struct DockerRegistryTests {
    @Test("an image made by umoci and pushed by skopeo is read back from Debian's docker-registry")
    func roundTrip() async throws {
        let directory = try TemporaryDirectory()
        let layout = "\(directory.path)/layout"
        let content = String(decoding: FakeRegistry.pseudoRandom(count: 300_000).map { $0 % 64 + 32 }, as: UTF8.self)
        let file = try directory.write("weights", content)
        try Command.run("umoci", "init", "--layout", layout)
        try Command.run("umoci", "new", "--image", "\(layout):v1")
        try Command.run("umoci", "insert", "--rootless", "--image", "\(layout):v1", file, "/weights")

        // Held until the registry has bound it too, so that no other test gets it.
        let reserved = try ReservedPort()
        let port = reserved.number
        let configuration = try directory.write(
            "config.yml",
            """
            version: 0.1
            log: {level: error}
            storage: {filesystem: {rootdirectory: "\(directory.path)/registry"}}
            http: {addr: "127.0.0.1:\(port)"}

            """)
        let registry = try Command.start(["docker-registry", "serve", configuration])
        defer { Command.stop(registry) }
        try await Self.waitForServer(port)
        reserved.release()
        let name = "127.0.0.1:\(port)/team/app"
        try Command.run(
            "skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", "oci:\(layout):v1",
            "docker://\(name):v1")

        let client = makeClient()
        let byTag = try await client.manifest(for: try ImageReference(parsing: "\(name):v1"))
        let pinned = try ImageReference(parsing: "\(name)@\(byTag.digest)")
        let byDigest = try await client.manifest(for: pinned)
        #expect(byDigest.bytes == byTag.bytes)
        let config = try await client.smallBlob(byTag.manifest.config, of: pinned)
        let parsed = try ImageConfiguration(JSONCursor(JSON(parsing: config)))
        #expect(parsed.diffIDs.count == byTag.manifest.layers.count)
        let layer = try #require(byTag.manifest.layers.last)
        let stream = try await client.blob(layer, of: pinned)
        #expect(FakeRegistry.digest(try await stream.readAll()) == layer.digest)

        let source = BlobSource(
            descriptor: layer, repository: RegistryRepository(pinned),
            requester: RegistryRequester(
                transport: HTTPTransport(configuration: .init(credentials: .none), logger: .init(label: "test")),
                configuration: .init(credentials: .none), logger: .init(label: "test")))
        let rest = try await source.open(at: 100)
        #expect(rest.surplus == 0, "this registry answers ranges")
        let unknown = try await failure {
            try await client.manifest(for: try ImageReference(parsing: "\(name):v2"))
        }
        #expect(unknown.kind == .notFound)
        #expect(unknown.message.contains("manifest unknown"))
        await client.shutdown()
    }

    @Test(
        "a registry of Debian's with TLS of a private authority and htpasswd is logged in to and read",
        .enabled(if: TestAuthority.isPossible, "openssl makes the certificates"))
    func secured() async throws {
        let authority = try TestAuthority()
        let files = try authority.issue("registry")
        let directory = try TemporaryDirectory()
        // "secret" by bcrypt.
        let htpasswd = try directory.write(
            "htpasswd", "ann:$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n")
        let reserved = try ReservedPort()
        let port = reserved.number
        let configuration = try directory.write(
            "config.yml",
            """
            version: 0.1
            log: {level: error}
            storage: {filesystem: {rootdirectory: "\(directory.path)/registry"}}
            auth: {htpasswd: {realm: "test", path: "\(htpasswd)"}}
            http:
              addr: "127.0.0.1:\(port)"
              tls: {certificate: "\(files.certificate)", key: "\(files.key)"}

            """)
        let registry = try Command.start(["docker-registry", "serve", configuration])
        defer { Command.stop(registry) }
        try await Self.waitForServer(port)
        reserved.release()
        let address = "127.0.0.1:\(port)"
        try Command.run("mkdir", "-p", "\(directory.path)/certs.d/\(address)")
        try Command.run("cp", authority.certificate, "\(directory.path)/certs.d/\(address)/ca.crt")
        let login = CredentialSource(files: ["\(directory.path)/docker/config.json"])
        let client = makeClient(credentials: login, hosts: "\(directory.path)/certs.d")
        let reference = try ImageReference(parsing: "\(address)/team/app:v1")

        let anonymous = try await failure { try await client.manifest(for: reference) }
        #expect(anonymous.kind == .unauthorized)
        #expect(anonymous.remedy?.contains("mlrun login \(address)") == true)
        let host = try LoginHost(address)
        let wrong = try await failure { try await client.verify(Login(host: host, user: "ann", password: "wrong")) }
        #expect(wrong.kind == .unauthorized)
        #expect(wrong.message.contains("\(address) refuses the user name or password"))
        let verified = try await client.verify(Login(host: host, user: "ann", password: "secret"))
        let place = try await LoginStore(login).store(verified)
        #expect(place == .file(login.files[0]))

        let layout = "\(directory.path)/layout"
        try Command.run("umoci", "init", "--layout", layout)
        try Command.run("umoci", "new", "--image", "\(layout):v1")
        try Command.run(
            "skopeo", "--insecure-policy", "copy", "--authfile", login.files[0], "--dest-cert-dir",
            "\(directory.path)/certs.d/\(address)", "oci:\(layout):v1", "docker://\(address)/team/app:v1")
        let resolved = try await client.manifest(for: reference)
        _ = try await client.smallBlob(resolved.manifest.config, of: reference)
        #expect(try await LoginStore(login).remove(address) == [.file(login.files[0])])
        await client.shutdown()
    }

    private static func waitForServer(_ port: Int) async throws {
        // Tries rather than time: on a busy machine a single one may take long.
        var triesLeft = 1000
        while true {
            do {
                let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                    .connect(host: "127.0.0.1", port: port).get()
                return try await channel.close()
            } catch {
                triesLeft -= 1
                if triesLeft == 0 { throw error }
                try await Task.sleep(for: .milliseconds(20))
            }
        }
    }
}
