import CLibzstd
import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import ImageStore

@Suite("layers on their way into the store")
struct LayerIngestTests {
    private let test: TestStore
    private let archive = CraftedTar.archive { tar in
        tar.add(directory: "d/")
        tar.add(file: "d/f", String(repeating: "content ", count: 40000))
    }

    init() throws { test = try TestStore() }

    private func descriptor(
        _ blob: [UInt8], mediaType: String = MediaType.ociLayer, size: Int? = nil
    ) -> Descriptor {
        Descriptor(
            mediaType: mediaType, digest: ContentHash.sha256(of: blob), size: Int64(size ?? blob.count))
    }

    private func zstd(_ content: [UInt8]) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: ZSTD_compressBound(content.count))
        let size = ZSTD_compress(&result, result.count, content, content.count, 3)
        return Array(result[..<size])
    }

    private func feed(
        _ blob: [UInt8], as descriptor: Descriptor, diffID: Digest? = nil, pieces: Int = 10_000
    ) throws(StoreError) -> LayerRecord {
        let ingest = try test.store.ingestLayer(descriptor, expectedDiffID: diffID)
        var start = 0
        while start < blob.count {
            let end = start + min(pieces, blob.count - start)
            try Array(blob[start..<end]).withBytes { bytes throws(StoreError) in try ingest.receive(bytes) }
            start = end
        }
        return try ingest.finish()
    }

    private func expectNothingLeft() throws {
        let residue = try test.residue()
        #expect(residue == [])
    }

    @Test("a layer is published with its record once it is verified", arguments: [1 << 20, 100, 1])
    func published(pieces: Int) throws {
        let blob = pieces == 1 ? zstd(Array(archive.prefix(2000) + [UInt8](repeating: 0, count: 1024))) : zstd(archive)
        let content = pieces == 1 ? nil : archive
        let described = descriptor(blob, mediaType: MediaType.ociLayerZstd)
        if let content {
            let record = try feed(
                blob, as: described, diffID: ContentHash.sha256(of: content), pieces: pieces)
            #expect(record.diffID == ContentHash.sha256(of: content))
            #expect(try test.store.layer(described.digest) == record)
            #expect(try File.list(test.store.directories.ingest) == [])
            let file = test.store.layerFile(described.digest)
            #expect(try Int64(File.status(file).size) == record.fileSize)
        } else {
            // One byte at a time, and cut in the middle of the file: refused, not hung.
            #expect(throws: StoreError.self) { try feed(blob, as: described, pieces: 1) }
            try expectNothingLeft()
        }
    }

    @Test("a wrong digest stops the layer, names both digests and leaves nothing behind")
    func wrongDigest() throws {
        let expected = ContentHash.sha256(of: [1])
        let described = Descriptor(mediaType: MediaType.ociLayer, digest: expected, size: Int64(archive.count))
        let error = StoreError.wrongDigest(expected: expected, computed: ContentHash.sha256(of: archive))
        #expect(throws: error) { try feed(archive, as: described) }
        #expect("\(error)".contains(expected.hex) && "\(error)".contains(ContentHash.sha256(of: archive).hex))
        try expectNothingLeft()
    }

    @Test("a wrong diff ID stops the layer, names both digests and leaves nothing behind")
    func wrongDiffID() throws {
        let blob = zstd(archive)
        let described = descriptor(blob, mediaType: MediaType.ociLayerZstd)
        let expected = ContentHash.sha256(of: blob)
        let error = StoreError.wrongDiffID(
            layer: described.digest, expected: expected, computed: ContentHash.sha256(of: archive))
        #expect(throws: error) { try feed(blob, as: described, diffID: expected) }
        try expectNothingLeft()
    }

    @Test("a sha512 digest and diff ID are verified too")
    func sha512() throws {
        let digest = ContentHash.digest(
            of: archive, like: try #require(Digest("sha512:" + String(repeating: "0", count: 128))))
        let described = Descriptor(mediaType: MediaType.ociLayer, digest: digest, size: Int64(archive.count))
        #expect(try feed(archive, as: described, diffID: digest).diffID == digest)
    }

    @Test("a blob that is shorter or longer than its descriptor says is refused")
    func wrongSize() throws {
        for difference in [-1, 1] {
            let described = descriptor(archive, size: archive.count + difference)
            do throws(StoreError) {
                _ = try feed(archive, as: described)
                Issue.record("taken in spite of its size")
            } catch {
                guard case .wrongSize(blob: described.digest, expected: described.size, received: _) = error else {
                    Issue.record("met with \(error)")
                    continue
                }
            }
            try expectNothingLeft()
        }
    }

    @Test("damaged compression, hostile archives and archives that are cut leave nothing behind")
    func damaged() throws {
        var blobs = [
            Array(zstd(archive).dropLast(3)), Array(archive.dropLast(5000)),
            CraftedTar.archive { $0.add(file: "../x") },
        ]
        var flipped = zstd(archive)
        flipped[40] ^= 0xFF
        blobs.append(flipped)
        for blob in blobs {
            #expect(throws: StoreError.self) { try feed(blob, as: descriptor(blob)) }
            try expectNothingLeft()
        }
    }

    @Test("a layer that inflates beyond its limit is stopped while it does")
    func bomb() throws {
        let blob = zstd([UInt8](repeating: 0, count: 64 << 20))
        let described = descriptor(blob, mediaType: MediaType.ociLayerZstd)
        let ingest = try LayerIngest(
            described, expectedDiffID: nil, directories: test.store.directories, contentLimit: 1 << 20)
        let error = StoreError.damagedCompression(
            source: "layer \(described.digest)", .expandsTooMuch(limit: 1 << 20))
        #expect(throws: error) { try blob.withBytes { bytes throws(StoreError) in try ingest.receive(bytes) } }
        #expect(throws: error) { try ingest.finish() }
        try expectNothingLeft()
    }

    @Test("a media type that is no layer is refused before anything is written")
    func mediaType() throws {
        let described = descriptor(archive, mediaType: "application/vnd.example.model")
        #expect(throws: StoreError.unsupportedLayer(described.digest, mediaType: described.mediaType)) {
            try feed(archive, as: described)
        }
        try expectNothingLeft()
    }

    @Test("a layer that is abandoned, or just forgotten, leaves nothing behind", arguments: [true, false])
    func abandoned(explicitly: Bool) throws {
        do {
            let ingest = try LayerIngest(
                descriptor(archive), expectedDiffID: nil, directories: test.store.directories)
            try Array(archive.prefix(100_000)).withBytes { bytes throws(StoreError) in try ingest.receive(bytes) }
            #expect(try File.list(test.store.directories.ingest).count == 1)
            if explicitly {
                ingest.abandon()
                ingest.abandon()
                #expect(throws: StoreError.self) { try ingest.finish() }
            }
        }
        try expectNothingLeft()
    }

    @Test("an uncompressed layer gives back what was reserved for it, and keeps its holes")
    func reserved() throws {
        let archive = CraftedTar.archive { tar in
            tar.add(file: "small", "x")
            tar.add(CraftedTar.Header("zeros"), content: [UInt8](repeating: 0, count: 12 << 20))
            tar.add(CraftedTar.Header("large"), content: [UInt8](repeating: 1, count: 3 << 20))
        }
        let described = descriptor(archive)
        let record = try feed(archive, as: described, pieces: 1 << 20)
        let status = try File.status(test.store.layerFile(described.digest))
        #expect(Int64(status.size) == record.fileSize)
        #expect(status.size > 15 << 20)
        #expect(status.blocks * 512 < 4 << 20)
    }

    @Test("a layer that cannot be published leaves nothing behind")
    func unpublishable() throws {
        let described = descriptor(archive)
        // The name of the record is taken by something that cannot be replaced.
        let obstacle = test.store.layerRecordFile(described.digest)
        try File.makeDirectories(obstacle)
        #expect(throws: StoreError.self) { try feed(archive, as: described) }
        #expect(try File.list(test.store.directories.layers) == [described.digest.hex + ".json"])
        #expect(try File.list(test.store.directories.ingest) == [])
    }

    @Test("a full disk is told with figures, and leaves nothing behind", .enabled(if: geteuid() == 0, "needs root"))
    func fullDisk() throws {
        let root = "\(test.path)/small"
        try File.makeDirectories(root)
        try check(mlr_mount("tmpfs", root, "tmpfs", 0, "size=4m"), "mount")
        defer { _ = mlr_umount(root, Int32(MLR_MNT_DETACH)) }
        let store = try ImageStore(MLRunDirectories(root: root, state: "\(test.path)/state2"))
        let content = (0..<(16 << 20)).map { UInt8(truncatingIfNeeded: $0 >> 8 | 1) }
        let large = CraftedTar.archive { $0.add(CraftedTar.Header("f"), content: content) }
        for mediaType in [MediaType.ociLayer, MediaType.ociLayerZstd] {
            let blob = mediaType == MediaType.ociLayer ? large : zstd(large)
            do throws(StoreError) {
                let ingest = try store.ingestLayer(descriptor(blob, mediaType: mediaType), expectedDiffID: nil)
                try blob.withBytes { bytes throws(StoreError) in try ingest.receive(bytes) }
                _ = try ingest.finish()
                Issue.record("16 MiB went into 4 MiB")
            } catch {
                guard case .noSpace(path: _, let needed, let free) = error else {
                    Issue.record("met with \(error)")
                    continue
                }
                #expect(needed > 4 << 20)
                #expect(free > 3 << 20)
            }
            let left = try File.list(store.directories.ingest) + File.list(store.directories.layers)
            #expect(left == [])
        }
    }
}
