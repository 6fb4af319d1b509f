import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import ImageStore

/// What only several processes, or the sudden death of one, can show.
@Suite("several processes at one store")
struct StoreProcessTests {
    private static func importing(_ layout: String, into path: String) throws -> [PullProgress] {
        let store = try ImageStore(MLRunDirectories(root: "\(path)/root", state: "\(path)/state"))
        guard let source = try ImageSource(parsing: "oci:\(layout)") else { return [] }
        var events: [PullProgress] = []
        _ = try store.importImage(from: source) { events.append($0) }
        return events
    }

    @Test("threads that import the same image fetch each layer once")
    func threads() async throws {
        let test = try TestStore()
        let layout = try OCILayout("\(test.path)/model")
        try layout.publish(try layout.addImage([largeLayer("a", seed: 20), largeLayer("b", seed: 21)]), as: "v1")
        let path = test.path
        let location = layout.path
        let done = try await withThrowingTaskGroup { group in
            for _ in 0..<4 {
                group.addTask {
                    try await withCheckedThrowingContinuation { continuation in
                        startThread {
                            continuation.resume(with: Result { try Self.importing(location, into: path) })
                        }
                    }
                }
            }
            var done: [Digest] = []
            for try await events in group { done += events.filter { $0.phase == .done }.map(\.layer) }
            return done
        }
        #expect(done.count == 2 && Set(done).count == 2)
        #expect(try test.store.images().count == 1)
        #expect(try File.list(test.store.directories.ingest) == [])
    }

    @Test("processes that import the same image at the same time all succeed, and the layers are there once")
    func processes() async throws {
        let test = try TestStore()
        let layout = try OCILayout("\(test.path)/model")
        try layout.publish(try layout.addImage([largeLayer("a", seed: 22), smallLayer("b", "B")]), as: "v1")
        let path = test.path
        let location = layout.path
        async let first: Void = importInProcess(location, path)
        async let second: Void = importInProcess(location, path)
        async let third: Void = importInProcess(location, path)
        _ = await (first, second, third)
        let image = try #require(try test.store.image("localhost/model:v1"))
        #expect(try File.list(test.store.directories.layers).count == 4)
        for layer in image.layers { #expect(try test.store.layer(layer.digest) == layer) }
    }

    private func importInProcess(_ layout: String, _ path: String) async {
        await #expect(processExitsWith: .success) { [layout = layout as String, path = path as String] in
            _ = try Self.importing(layout, into: path)
        }
    }

    @Test("a process that is killed in the middle of a layer leaves a store that opens, clean, and takes the image")
    func killedWhileIngesting() async throws {
        let test = try TestStore()
        let layout = try OCILayout("\(test.path)/model")
        let layers = [largeLayer("a", seed: 23), smallLayer("b", "B")]
        try layout.publish(try layout.addImage(layers), as: "v1")
        let path = test.path
        let location = layout.path
        await #expect(processExitsWith: .signal(SIGKILL)) { [location = location as String, path = path as String] in
            let store = try ImageStore(MLRunDirectories(root: "\(path)/root", state: "\(path)/state"))
            guard let source = try ImageSource(parsing: "oci:\(location)") else { return }
            _ = try store.importImage(from: source) { event in
                if event.phase == .pulling, event.received > 2 << 20 { kill(getpid(), SIGKILL) }
            }
        }
        #expect(try !File.list(test.store.directories.ingest).isEmpty, "the process was killed too early or too late")
        let store = try ImageStore(test.store.directories)
        #expect(try File.list(store.directories.ingest) == [])
        #expect(try store.images() == [])
        _ = try Self.importing(location, into: path)
        #expect(try store.image("localhost/model:v1")?.layers.count == 2)
    }

    @Test("killed between the layers and the record, an import finds its layers again")
    func killedBeforeRecord() async throws {
        let test = try TestStore()
        let layout = try OCILayout("\(test.path)/model")
        try layout.publish(try layout.addImage([smallLayer("a", "A"), smallLayer("b", "B")]), as: "v1")
        let path = test.path
        let location = layout.path
        await #expect(processExitsWith: .signal(SIGKILL)) { [location = location as String, path = path as String] in
            let store = try ImageStore(MLRunDirectories(root: "\(path)/root", state: "\(path)/state"))
            guard let source = try ImageSource(parsing: "oci:\(location)") else { return }
            var done = 0
            _ = try store.importImage(from: source) { event in
                if event.phase == .done { done += 1 }
                if done == 2 { kill(getpid(), SIGKILL) }
            }
        }
        let store = try ImageStore(test.store.directories)
        #expect(try store.images() == [])
        #expect(try File.list(store.directories.layers).count == 4)
        #expect(try store.prune(all: true).deletedLayers == [])
        let events = try Self.importing(location, into: path)
        #expect(events.map(\.phase) == [.exists, .exists])
    }

    @Test("the locks of a process that is killed are free")
    func killedWithLocks() async throws {
        let test = try TestStore()
        let layer = try test.plantLayer("base", age: 700)
        let path = test.path
        let hex = layer.digest.hex
        await #expect(processExitsWith: .signal(SIGKILL)) { [hex = hex as String, path = path as String] in
            let store = try ImageStore(MLRunDirectories(root: "\(path)/root", state: "\(path)/state"))
            guard let digest = Digest("sha256:\(hex)") else { return }
            let held = try (store.lockLayer(digest), store.pinLayers([digest]))
            withExtendedLifetime(held) { _ = kill(getpid(), SIGKILL) }
        }
        #expect(try test.store.lockLayerIfFree(layer.digest) != nil)
        #expect(try test.store.prune(all: false).deletedLayers == [layer.digest])
        #expect(try test.residue() == [])
    }
}
