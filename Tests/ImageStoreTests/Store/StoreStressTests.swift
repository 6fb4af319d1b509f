import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import ImageStore

/// Many processes at one store, some of which die at any instant.
@Suite("a store under stress")
struct StoreStressTests {
    /// Images that share layers, in different orders.
    private static func layouts(_ path: String) throws -> [String] {
        let layers = [
            largeLayer("a", seed: 61), largeLayer("b", seed: 62), smallLayer("c", "C"), smallLayer("d", "D"),
        ]
        return try [[0, 1, 2], [1, 0, 3], [2, 3, 0], [3, 2, 1, 0]].enumerated().map { number, order in
            let layout = try OCILayout("\(path)/image\(number)")
            try layout.publish(
                try layout.addImage(order.map { layers[$0] }, command: "/bin/\(number)"), as: "v1")
            return layout.path
        }
    }

    private static func open(_ path: String) throws -> ImageStore {
        try ImageStore(MLRunDirectories(root: "\(path)/root", state: "\(path)/state"))
    }

    private struct Half: Error {
        let what: String
    }

    /// Whatever is listed can be used.
    private static func read(_ store: ImageStore) throws {
        for image in try store.images() {
            for layer in image.layers where try store.layer(layer.digest) == nil {
                // Removed since it was listed, or half an image.
                if try store.image(image.reference)?.manifestDigest == image.manifestDigest,
                    try store.layer(layer.digest) == nil
                {
                    throw Half(what: "\(image.reference) is listed without its layer \(layer.digest)")
                }
            }
        }
    }

    /// Brings in, removes, prunes and lists images at random.
    private static func work(_ path: String, seed: UInt64, steps: Int) throws {
        var numbers = SeededNumbers(seed: seed)
        let store = try open(path)
        for _ in 0..<steps {
            let number = Int.random(in: 0..<4, using: &numbers)
            do throws(StoreError) {
                switch Int.random(in: 0..<8, using: &numbers) {
                case 0...3:
                    guard let source = try ImageSource(parsing: "oci:\(path)/image\(number)") else { return }
                    let image = try store.importImage(from: source) { _ in }
                    // Another process may remove it at once, but not a part of it.
                    _ = image
                case 4, 5: _ = try store.remove("localhost/image\(number):v1")
                case 6: _ = try store.prune(all: Bool.random(using: &numbers), grace: 0)
                default: _ = try store.collectUnreferenced(grace: 0)
                }
            } catch {
                guard case .image(.noSuchImage) = error else { throw error }
            }
            try read(store)
        }
    }

    @Test(
        "processes that import, remove and prune the same layers at once, and are killed at it, leave only whole images"
    )
    func manyProcesses() async throws {
        let test = try TestStore()
        _ = try Self.layouts(test.path)
        let path = test.path
        await withTaskGroup { group in
            for seed in 0..<6 as Range<UInt64> {
                group.addTask {
                    if seed.isMultiple(of: 2) {
                        await #expect(processExitsWith: .success) { [path = path as String, seed = seed as UInt64] in
                            try Self.work(path, seed: seed, steps: 25)
                        }
                    } else {
                        // Three lives, each ended from outside.
                        for life in 0..<3 as Range<UInt64> {
                            let seed = seed * 1000 + life
                            await #expect(processExitsWith: .signal(SIGKILL)) {
                                [path = path as String, seed = seed as UInt64] in
                                killThisProcess(within: 900_000, seed: seed)
                                try Self.work(path, seed: seed, steps: .max)
                            }
                        }
                    }
                }
            }
        }
        let store = try Self.open(path)
        let found = try store.audit(repair: false)
        #expect(!found.isDamaged, "\(found.findings)")
        try Self.read(store)
        // None of the dead holds anything: everything can be had, and be removed without a trace.
        for number in 0..<4 {
            let source = try #require(try ImageSource(parsing: "oci:\(path)/image\(number)"))
            _ = try store.importImage(from: source) { _ in }
        }
        #expect(try store.images().filter { $0.reference != ImageRecord.untagged }.count == 4)
        #expect(try !store.audit(repair: false).isDamaged)
        _ = try store.prune(all: true, grace: 0)
        #expect(try store.images() == [])
        for name in try File.list(store.diffIDs) { try File.removeIfPresent("\(store.diffIDs)/\(name)") }
        #expect(try test.residue().filter { !$0.hasSuffix(".tmp") } == [])
    }

    @Test(
        "killed at any instant, an import leaves a store that opens, lists only what is whole, and finishes the next time"
    )
    func killedAnywhere() async throws {
        let test = try TestStore()
        _ = try Self.layouts(test.path)
        let path = test.path
        for round in 0..<8 as Range<UInt64> {
            await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String, round = round as UInt64] in
                let store = try Self.open(path)
                killThisProcess(within: 400_000, seed: round)
                while true {
                    for number in 0..<4 {
                        guard let source = try ImageSource(parsing: "oci:\(path)/image\(number)") else { return }
                        _ = try store.importImage(from: source) { _ in }
                    }
                    for number in 0..<4 { _ = try store.remove("localhost/image\(number):v1") }
                }
            }
            let store = try Self.open(path)
            #expect(try File.list(store.directories.ingest) == [])
            let found = try store.audit(repair: false)
            #expect(!found.isDamaged, "\(found.findings)")
            try Self.read(store)
            let source = try #require(try ImageSource(parsing: "oci:\(path)/image3"))
            let image = try store.importImage(from: source) { _ in }
            for layer in image.layers { #expect(store.fault(of: layer, content: true) == nil) }
        }
    }

    @Test("whoever waits for a layer that another fails to bring goes on itself")
    func firstFails() async throws {
        let test = try TestStore()
        let layers = [largeLayer("a", seed: 71)]
        let good = try OCILayout("\(test.path)/good")
        try good.publish(try good.addImage(layers), as: "v1")
        let (path, digest) = (test.path, ContentHash.sha256(of: layers[0]))
        let store = test.store
        let lock = try store.lockLayer(digest)
        let second = Task {
            try await withCheckedThrowingContinuation { continuation in
                startThread {
                    continuation.resume(
                        with: Result {
                            guard let source = try ImageSource(parsing: "oci:\(path)/good") else { return [] }
                            var phases: [PullProgress.Phase] = []
                            _ = try store.importImage(from: source) { event in
                                if phases.last != event.phase { phases.append(event.phase) }
                            }
                            return phases
                        })
                }
            } as [PullProgress.Phase]
        }
        let ingest = try store.ingestLayer(
            Descriptor(mediaType: MediaType.ociLayer, digest: digest, size: Int64(layers[0].count)),
            expectedDiffID: digest)
        try pass(Array(layers[0].prefix(2 << 20))) { bytes throws(StoreError) in try ingest.receive(bytes) }
        usleep(50_000)
        ingest.abandon()
        withExtendedLifetime(lock) {}
        _ = consume lock
        #expect(try await second.value == [.waiting, .pulling, .verifying, .done])
    }

    @Test("a layer that is there is not accepted under a wrong size or with other content")
    func wrongDescriptors() throws {
        let test = try TestStore()
        let layer = smallLayer("a", "A")
        let layout = try OCILayout("\(test.path)/model")
        try layout.publish(try layout.addImage([layer]), as: "v1")
        let image = try test.store.importImage(
            from: try #require(try ImageSource(parsing: "oci:\(layout.path)"))
        ) { _ in }
        let record = image.layers[0]
        let (size, other) = (Int64(layer.count), ContentHash.sha256(of: [9]))
        func descriptor(_ size: Int64) -> Descriptor {
            Descriptor(mediaType: MediaType.ociLayer, digest: record.digest, size: size)
        }
        #expect(try test.store.layer(descriptor(size), diffID: record.diffID) == record)
        for wrong in [0, size - 1, size + 1, .max] {
            let error = StoreError.wrongSize(blob: record.digest, expected: wrong, received: size)
            #expect(storeError { _ = try test.store.layer(descriptor(wrong), diffID: nil) } == error)
            let contents = try test.contents([(descriptor(wrong), record.diffID)])
            #expect(
                storeError {
                    _ = try test.store.commit(contents, layers: [record], reference: "x:y", source: "test")
                } == error)
        }
        let error = StoreError.wrongDiffID(layer: record.digest, expected: other, computed: record.diffID)
        #expect(storeError { _ = try test.store.layer(descriptor(size), diffID: other) } == error)
        #expect(try test.store.layer(diffID: other) == nil)
        // The index of diff IDs is only a hint: what it leads to must say so itself.
        #expect(symlink(record.digest.hex, "\(test.store.diffIDs)/\(other.hex)") == 0)
        #expect(try test.store.layer(diffID: other) == nil)
        #expect(try test.store.images() == [image])
    }
}
