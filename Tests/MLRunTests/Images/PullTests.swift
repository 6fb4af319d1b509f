import LinuxSystem
import MLRun
import Testing

@Suite("Pulls from a registry")
struct PullTests {
    private static let image = TestImage(layers: ["weights", "server", "tokenizer"])

    private func withRegistry(
        _ image: TestImage = image, _ body: (TestRegistry, TestHost) async throws -> Void
    ) async throws {
        let registry = try TestRegistry(image)
        defer { registry.stop() }
        try await body(registry, try TestHost())
    }

    @Test("the reference is resolved first, then layers come, and the image in the store is the last event")
    func order() async throws {
        try await withRegistry { registry, test in
            let recorder = EventRecorder()
            let pulled = try await test.host.bring(registry.reference, report: recorder.hear)
            let events = recorder.events
            guard case .resolved(let resolved) = events.first, case .finished(let last) = events.last else {
                Issue.record("the events are \(events)")
                return
            }
            #expect(resolved.manifestDigest == Self.image.manifest.digest && resolved.layers == Self.image.layers)
            #expect(last.image == pulled.image && !pulled.wasUpToDate)
            #expect(pulled.timing.received == Self.image.layers.reduce(0) { $0 + $1.size })
            for layer in Self.image.layers {
                let heard = events.compactMap { event -> PullProgress? in
                    if case .progress(let progress) = event, progress.layer == layer.digest { progress } else { nil }
                }
                #expect(heard.first?.phase == .waiting && heard.last?.phase == .done)
                #expect(heard.last?.received == layer.size)
            }
        }
    }

    @Test("an image that is there is recognised without fetching a layer again")
    func upToDate() async throws {
        try await withRegistry { registry, test in
            try await test.host.bring(registry.reference)
            let again = try await test.host.bring(registry.reference)
            #expect(again.wasUpToDate && again.timing.received == 0)
            for layer in Self.image.layers { #expect(registry.requests(for: layer) == 1) }
        }
    }

    @Test("an image that its registry does not have is told apart from a registry that fails")
    func missing() async throws {
        try await withRegistry { registry, test in
            let name = "127.0.0.1:\(registry.port)/team/other:v1"
            let error = try #require(await failure { try await test.host.bring(name) })
            #expect(error.code == .imageNotFound && error.message.contains("127.0.0.1:\(registry.port)"), "\(error)")
            #expect(error.remedy != nil)
        }
    }

    @Test("a layer with another content than its digest says stops the pull and leaves nothing behind")
    func damaged() async throws {
        let broken = Self.image.damaged(layer: 0)
        try await withRegistry(broken) { registry, test in
            let error = try #require(await failure { try await test.host.bring(registry.reference) })
            let stated = Self.image.layers[0].digest.description
            let actual = TestImage.digest(try #require(broken.blobs[stated])).description
            #expect(error.message.contains(stated) && error.message.contains(actual), "\(error)")
            #expect(try test.residue() == [])
        }
    }

    @Test("a cancelled pull says so, keeps nothing unfinished, and the next one succeeds")
    func cancelled() async throws {
        try await withRegistry { registry, test in
            registry.hold()
            let pull = Task { try await test.host.bring(registry.reference) }
            #expect(await eventually { registry.held > 0 })
            pull.cancel()
            let error = try #require(await failure { try await pull.value })
            #expect(error.code == .cancelled, "\(error)")
            #expect(try File.list(test.host.directories.ingest) == [])
            #expect(try test.host.store.images().isEmpty)
            registry.resume()
            let pulled = try await test.host.bring(registry.reference)
            #expect(pulled.image.manifestDigest == Self.image.manifest.digest)
        }
    }

    @Test("whoever gives the sequence of events up gives the pull up")
    func abandoned() async throws {
        try await withRegistry { registry, test in
            registry.hold()
            for try await event in test.host.pull(registry.reference) {
                if case .resolved = event { break }
            }
            // Nobody holds the locks of the layers any more, so that a pull in this process gets on.
            registry.resume()
            #expect(try await eventually { try File.list(test.host.directories.ingest).isEmpty })
            let pulled = try await test.host.bring(registry.reference)
            #expect(pulled.image.manifestDigest == Self.image.manifest.digest)
        }
    }

    @Test("many tasks that want the same image fetch each of its layers once")
    func concurrent() async throws {
        try await withRegistry { registry, test in
            registry.hold()
            try await withThrowingTaskGroup(of: PulledImage.self) { group in
                for _ in 0..<8 { group.addTask { try await test.host.bring(registry.reference) } }
                #expect(await eventually { registry.held == Self.image.layers.count })
                registry.resume()
                for try await pulled in group { #expect(pulled.image.manifestDigest == Self.image.manifest.digest) }
            }
            for layer in Self.image.layers { #expect(registry.requests(for: layer) == 1) }
            #expect(try test.host.store.images().count == 1)
        }
    }

    @Test("who waits for a layer goes on itself when the one that fetched it is given up")
    func firstGivenUp() async throws {
        try await withRegistry { registry, test in
            registry.hold()
            let first = Task { try await test.host.bring(registry.reference) }
            #expect(await eventually { registry.held == Self.image.layers.count })
            let second = Task { try await test.host.bring(registry.reference) }
            let third = Task { try await test.host.bring(registry.reference) }
            #expect(await eventually { registry.manifestRequests == 3 })
            first.cancel()
            // One that waits can be given up as well.
            third.cancel()
            #expect(await failure { try await first.value }?.code == .cancelled)
            #expect(await failure { try await third.value }?.code == .cancelled)
            registry.resume()
            let pulled = try await second.value
            #expect(pulled.image.manifestDigest == Self.image.manifest.digest)
            let found = try test.host.store.audit(repair: false).findings
            #expect(found == [])
        }
    }

    @Test("what containers wrote, logs and layers are measured, and what nothing uses can be had back")
    func diskUsage() async throws {
        try await withRegistry { registry, test in
            let pulled = try await test.host.bring(registry.reference)
            try test.plantService("s", manifest: pulled.image.manifestDigest)
            let files = ServiceFiles(test.host.directories, name: "s")
            let scratch = files.replica(ReplicaID("s-1")).scratch
            try File.makeDirectories("\(scratch)/upper/deep")
            try File.replace("\(scratch)/upper/deep/file", with: [UInt8](repeating: 1, count: 100_000))
            try File.replace(files.log, with: [UInt8](repeating: 1, count: 50_000))
            let usage = try test.host.diskUsage()
            #expect(usage.store.images.map(\.users) == [["the service s"]])
            #expect(usage.store.layers.count == Self.image.layers.count && usage.store.reclaimable == 0)
            #expect(usage.containers.map(\.name) == ["s-1"] && usage.containers[0].size >= 100_000)
            #expect(!usage.containers[0].isRunning && usage.containers[0].service == "s" && usage.abandoned == 0)
            #expect(usage.logs.map(\.service) == ["s"] && usage.logs[0].size >= 50_000)
            try File.removeTree(files.directory)
            let free = try test.host.diskUsage()
            #expect(free.store.reclaimable == free.store.layerSize && free.store.layerSize > 0)
            #expect(try test.host.prune(all: true).freedBytes == free.store.reclaimable)
            #expect(try test.host.diskUsage().store == StoreUsage())
        }
    }

    @Test("the policy decides when the registry is asked")
    func policies() async throws {
        try await withRegistry { registry, test in
            let host = test.host
            let never = try #require(await failure { try await host.image(registry.reference, policy: .never) })
            #expect(never.code == .imageNotFound && never.message.contains("team/app"))
            #expect(registry.manifestRequests == 0)

            let first = try await host.image(registry.reference, policy: .missing)
            #expect(!first.wasUpToDate && registry.manifestRequests == 1)
            for policy in [PullPolicy.missing, .never] {
                let known = try await host.image(registry.reference, policy: policy)
                #expect(known.wasUpToDate && known.image == first.image)
            }
            #expect(registry.manifestRequests == 1)

            let again = try await host.image(registry.reference, policy: .always)
            #expect(again.wasUpToDate && registry.manifestRequests == 2)
        }
    }
}
