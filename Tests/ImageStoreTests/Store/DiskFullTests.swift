import CLibzstd
import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import ImageStore

/// On real file systems that are really full.
@Suite("a full disk", .enabled(if: canMount, "needs root"))
struct DiskFullTests {
    /// Compresses to little, so that only unpacking it tells what it takes.
    private static func compressibleLayer(_ name: String, mebibytes: Int) -> [UInt8] {
        var tar = TarBuilder()
        tar.file(
            name, Array((0..<64).flatMap { Array("\(name) \($0) of the text that is repeated ".utf8) }.prefix(1024)))
        var content = [UInt8](repeating: 0x2E, count: mebibytes << 20)
        for index in stride(from: 0, to: content.count, by: 512) {
            content[index] = UInt8(truncatingIfNeeded: index >> 9)
        }
        tar.file("large", content)
        return tar.finished()
    }

    /// A layout with one image of layers compressed with zstd.
    static func layout(_ path: String, _ layers: [[UInt8]]) throws -> String {
        let layout = try OCILayout(path)
        var descriptors: [Descriptor] = []
        for layer in layers {
            var compressed = [UInt8](repeating: 0, count: ZSTD_compressBound(layer.count))
            let count = ZSTD_compress(&compressed, compressed.count, layer, layer.count, 1)
            guard ZSTD_isError(count) == 0 else { throw SystemError("compress", .invalidArgument) }
            descriptors.append(try layout.addBlob(Array(compressed[..<count]), MediaType.ociLayerZstd))
        }
        let document = OCILayout.document(diffIDs: layers.map { ContentHash.sha256(of: $0) })
        let manifest = ImageManifest(
            config: try layout.addBlob(document, MediaType.ociConfig), layers: descriptors)
        try layout.publish(try layout.addBlob(manifest.json.bytes(), MediaType.ociManifest), as: "v1")
        return layout.path
    }

    /// What one import on a file system with too little room, or just enough, came to.
    private struct Attempt: Sendable {
        var failures = 0
        var successes = 0
        var problems: [String] = []

        /// - Parameter makeRoom: gives the file system all the room it needs.
        mutating func run(_ source: String, root: String, state: String, makeRoom: () throws -> Void) throws {
            let directories = MLRunDirectories(root: root, state: state)
            do {
                let store = try ImageStore(directories)
                _ = try store.importImage(from: try #require(try ImageSource(parsing: "oci:\(source)"))) { _ in }
                successes += 1
            } catch let error as StoreError {
                failures += 1
                guard case .noSpace(_, let needed, _) = error, needed > 0, error.remedy.contains("mlrun system prune")
                else {
                    problems.append("not told as a full disk: \(error)")
                    return
                }
                let store = try ImageStore(directories)
                if try !store.images().isEmpty { problems.append("an image is listed after \(error)") }
                if try !File.list(directories.ingest).isEmpty { problems.append("unfinished files after \(error)") }
                if try store.audit(repair: false).isDamaged { problems.append("damage after \(error)") }
                try makeRoom()
                _ = try store.importImage(from: try #require(try ImageSource(parsing: "oci:\(source)"))) { _ in }
            }
            let store = try ImageStore(directories)
            if try store.images().count != 1 { problems.append("the image is not there in the end") }
            if try store.audit(repair: false).isDamaged { problems.append("damage in the end") }
        }
    }

    @Test("a tmpfs that fills up at any point leaves nothing half-written, and the import works once there is room")
    func tmpfs() async throws {
        let test = try TestStore()
        let source = try Self.layout(
            "\(test.path)/model",
            [Self.compressibleLayer("a", mebibytes: 1), Self.compressibleLayer("b", mebibytes: 2)])
        let path = test.path
        let attempt = try await inPrivateMounts {
            var attempt = Attempt()
            for kibibytes in stride(from: 24, to: 3700, by: 150) {
                let root = "\(path)/full-\(kibibytes)"
                try File.makeDirectories(root)
                try check(mlr_mount("tmpfs", root, "tmpfs", 0, "size=\(kibibytes)k"), "mount", path: root)
                try attempt.run(source, root: "\(root)/root", state: "\(path)/state") {
                    try check(
                        mlr_mount("tmpfs", root, "tmpfs", UInt(MLR_MS_REMOUNT), "size=16m"), "remount", path: root)
                }
                try check(mlr_umount(root, 0), "unmount", path: root)
            }
            return attempt
        }
        #expect(attempt.problems == [])
        #expect(attempt.failures > 15 && attempt.successes > 0)
    }

    @Test("an ext4 that fills up at any point does no harm either", .enabled(if: Command.has("mkfs.ext4", "mount")))
    func ext4() async throws {
        let test = try TestStore()
        let source = try Self.layout(
            "\(test.path)/model",
            [Self.compressibleLayer("a", mebibytes: 1), Self.compressibleLayer("b", mebibytes: 2)])
        let path = test.path
        let attempt = try await inPrivateMounts {
            var attempt = Attempt()
            let disk = "\(path)/disk"
            try File.replace(disk, with: [UInt8](repeating: 0, count: 16 << 20), durable: false)
            try Command.succeed("mkfs.ext4", "-q", "-b", "4096", "-m", "0", disk)
            let root = "\(path)/full"
            try File.makeDirectories(root)
            try Command.succeed("mount", "-o", "loop", disk, root)
            for kibibytes in stride(from: 64, to: 3700, by: 250) {
                let ballast = "\(root)/ballast"
                var status = statvfs()
                guard statvfs(root, &status) == 0 else {
                    throw SystemError("look at", path: root, Errno(rawValue: errno))
                }
                let file = try File.open(ballast, O_WRONLY | O_CREAT, mode: 0o600)
                let size = Int64(status.f_bavail) * Int64(status.f_frsize) - Int64(kibibytes) << 10
                try check(mlr_fallocate(file.rawValue, 0, 0, size), "fill", path: root)
                try attempt.run(source, root: "\(root)/root", state: "\(path)/state") {
                    try File.removeIfPresent(ballast)
                    try check(ftruncate(file.rawValue, 0), "free", path: root)
                }
                try File.removeIfPresent(ballast)
                _ = ftruncate(file.rawValue, 0)
                try File.removeTree("\(root)/root")
                sync()
            }
            try check(mlr_umount(root, 0), "unmount", path: root)
            return attempt
        }
        #expect(attempt.problems == [])
        #expect(attempt.failures > 8)
    }

    @Test("what cannot fit is refused before anything is fetched, with the bytes needed and free")
    func foreseen() async throws {
        let test = try TestStore()
        let layout = try OCILayout("\(test.path)/model")
        let descriptor = try layout.addImage([largeLayer("a", seed: 51), largeLayer("b", seed: 52)])
        try layout.publish(descriptor, as: "v1")
        let (path, source) = (test.path, layout.path)
        let (error, events) = try await inPrivateMounts {
            let root = "\(path)/small"
            try File.makeDirectories(root)
            try check(mlr_mount("tmpfs", root, "tmpfs", 0, "size=4m"), "mount", path: root)
            let store = try ImageStore(MLRunDirectories(root: "\(root)/root", state: "\(path)/state"))
            var events = 0
            let error = storeError {
                _ = try store.importImage(from: try #require(try ImageSource(parsing: "oci:\(source)"))) { _ in
                    events += 1
                }
            }
            return (error, events)
        }
        guard case .noSpace(_, let needed, let free) = error else {
            Issue.record("\(error.map(\.description) ?? "no error")")
            return
        }
        #expect(needed > 6 << 20 && free < 4 << 20 && events == 0)
        #expect(error?.description.contains("about \(needed) bytes are needed, \(free) are free") == true)
    }

    @Test("layers that no image needs make room for one that is wanted, pinned ones stay")
    func room() async throws {
        let test = try TestStore()
        let source = try Self.layout("\(test.path)/model", [Self.compressibleLayer("a", mebibytes: 2)])
        let path = test.path
        let left = try await inPrivateMounts {
            let root = "\(path)/small"
            try File.makeDirectories(root)
            try check(mlr_mount("tmpfs", root, "tmpfs", 0, "size=4m"), "mount", path: root)
            let store = try ImageStore(MLRunDirectories(root: "\(root)/root", state: "\(path)/state"))
            var planted: [Digest] = []
            for name in ["old", "older", "pinned"] {
                let digest = ContentHash.sha256(of: Array(name.utf8))
                let content = [UInt8](repeating: 7, count: 800 << 10)
                let record = LayerRecord(
                    digest: digest, diffID: digest, mediaType: MediaType.ociLayer, compressedSize: 1,
                    fileSize: Int64(content.count))
                try File.replace(store.layerFile(digest), with: content)
                try File.replace(store.layerRecordFile(digest), with: record.json.bytes())
                planted.append(digest)
            }
            let pins = try store.pinLayers([planted[2]])
            _ = try store.importImage(from: try #require(try ImageSource(parsing: "oci:\(source)"))) { _ in }
            defer { withExtendedLifetime(pins) {} }
            return try planted.map { try store.layer($0) != nil }
        }
        #expect(left == [false, false, true])
    }
}
