import Glibc
import LinuxSystem
import Testing

@testable import MLRun

@Suite("Services without a supervisor")
struct ServiceTests {
    @Test("the supervisor is the one beside the program, else the first on the path")
    func lookup() throws {
        let test = try TestHost()
        let beside = "\(test.path)/bin"
        let onPath = "\(test.path)/sbin"
        for folder in [beside, onPath] { try File.makeDirectories(folder) }
        let path = "/nowhere:\(onPath)"
        func found() -> String { ModelHost.supervisor(beside: "\(beside)/program", path: path) }
        // Where there is none, the error of starting it names where it should be.
        #expect(found() == "\(beside)/mlrund")
        try File.replace("\(onPath)/mlrund", with: [], mode: 0o755)
        #expect(found() == "\(onPath)/mlrund")
        try File.replace("\(beside)/mlrund", with: [], mode: 0o644)
        #expect(found() == "\(onPath)/mlrund", "what cannot be executed is passed over")
        try File.replace("\(beside)/mlrund", with: [], mode: 0o755)
        #expect(found() == "\(beside)/mlrund")
    }

    @Test("a path that was given is used as it is")
    func explicit() throws {
        #expect(try TestHost(supervisor: "/opt/mlrund").host.supervisor == "/opt/mlrund")
    }

    @Test("a supervisor that cannot be started or reached is an error of its own")
    func unavailable() async throws {
        let test = try TestHost(supervisor: "/nowhere/mlrund")
        let image = ServiceSettings.ImageIdentity(reference: "docker.io/library/x:latest")
        let starting = try #require(
            await failure { try await test.host.start(ServiceSettings(name: "s", image: image)) })
        let asking = try #require(await failure { try await test.host.stop("s") })
        for error in [starting, asking] {
            #expect(error.code == .supervisorUnavailable && error.remedy != nil, "\(error)")
        }
        var events: [JSON] = []
        let watching = await failure { for try await event in test.host.events() { events.append(event) } }
        #expect(watching?.code == .supervisorUnavailable && events.isEmpty)
    }

    @Test("where there are no services none are listed, with or without a supervisor")
    func none() async throws {
        let test = try TestHost()
        #expect(try await test.host.services().isEmpty)
        #expect(try await test.host.service("s") == nil)
        #expect(try test.host.runningReplicas().isEmpty)
        #expect(try test.host.imageUses().isEmpty)
    }

    @Test("services that nobody can speak for are not taken for none")
    func unknown() async throws {
        let test = try TestHost(supervisor: "/nowhere/mlrund")
        try test.plantService("s", manifest: TestImage(layers: []).manifest.digest)
        #expect(await failure { try await test.host.services() }?.code == .supervisorUnavailable)
        #expect(await failure { try await test.host.service("s") }?.code == .supervisorUnavailable)
        #expect(await failure { try test.host.runningReplicas(of: ["other"]) }?.code == .invalidArgument)
        #expect(try test.host.runningReplicas(of: ["s"]).isEmpty)
    }

    @Test("the image and the layers of a service are in use, those of others are not")
    func inUse() async throws {
        let test = try TestHost()
        let (used, unused) = (TestImage(layers: ["weights", "server"]), TestImage(layers: ["weights", "other"]))
        for (name, image) in [("used", used), ("unused", unused)] {
            try image.write(to: "\(test.path)/\(name)")
            try await test.host.bring("oci:\(test.path)/\(name):v1")
        }
        try test.plantService("s", manifest: used.manifest.digest)
        let uses = try test.host.imageUses()
        let images = try test.host.store.images()
        let usedImage = try #require(images.first { $0.manifestDigest == used.manifest.digest })
        let unusedImage = try #require(images.first { $0.manifestDigest == unused.manifest.digest })
        #expect(uses.users(of: usedImage) == ["the service s"])
        #expect(uses.users(of: unusedImage).isEmpty)
        #expect(throws: StoreError.image(.inUse(usedImage.reference, by: ["the service s"]))) {
            try test.host.store.remove(usedImage.reference, uses: uses)
        }
        #expect(try test.host.prune(all: true).deletedLayers == [unused.layers[1].digest])
    }
}
