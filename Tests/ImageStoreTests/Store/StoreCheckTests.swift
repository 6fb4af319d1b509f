import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import ImageStore

@Suite("checking the store")
struct StoreCheckTests {
    private func imported(_ test: TestStore, _ tag: String, _ layers: [[UInt8]]) throws -> ImageRecord {
        let layout = try OCILayout("\(test.path)/\(tag)")
        try layout.publish(try layout.addImage(layers, command: "/bin/\(tag)"), as: "v1")
        return try test.store.importImage(from: try #require(try ImageSource(parsing: "oci:\(layout.path)"))) { _ in }
    }

    /// Changes bytes of a file where they stand.
    private func write(_ bytes: [UInt8], at offset: Int, into path: String) throws {
        let file = try File.open(path, O_WRONLY)
        #expect(pwrite(file.rawValue, bytes, bytes.count, off_t(offset)) == bytes.count)
    }

    @Test("a sound store has nothing to find, and every byte of its layers was read")
    func sound() throws {
        let test = try TestStore()
        let image = try imported(test, "one", [largeLayer("a", seed: 31), smallLayer("b", "B")])
        for layer in image.layers { #expect(layer.fileChecksum != nil) }
        let result = try test.store.audit(repair: true)
        #expect(result.findings == [] && !result.isDamaged && result.lostImages == [])
        #expect(result.images == 1 && result.layers == 2 && result.unverifiedLayers == 0)
        #expect(result.bytes == image.layers.reduce(0) { $0 + $1.fileSize })
    }

    @Test("the checksum that is recorded is that of the file as it lies there, whatever the layer holds")
    func recordedDigests() throws {
        let test = try TestStore()
        var links = TarBuilder()
        for number in 0..<300 { links.file("small-\(number)", "text \(number)") }
        for number in 0..<300 { links.link("again-\(number)", to: "small-\(number)", hard: true) }
        var holes = TarBuilder()
        holes.file("zeros", [UInt8](repeating: 0, count: 9 << 20))
        holes.file("end", [UInt8](repeating: 1, count: 5 << 20))
        var large = TarBuilder()
        large.file("huge", [UInt8](repeating: 3, count: 65 << 20))
        large.file("after", "x")
        let layers = [
            TarBuilder().finished(), smallLayer("a", "A"), links.finished(), holes.finished(), large.finished(),
            largeLayer("r", seed: 32),
        ]
        let image = try imported(test, "forms", layers)
        for layer in image.layers { #expect(test.store.fault(of: layer, content: true) == nil) }
    }

    @Test("one changed bit anywhere in a layer's file is found, and repaired by removing just what needs that layer")
    func changedBit() throws {
        let test = try TestStore()
        let shared = largeLayer("shared", seed: 33)
        let damaged = try imported(test, "damaged", [shared, largeLayer("own", seed: 34)])
        let whole = try imported(test, "whole", [shared, smallLayer("b", "B")])
        let layer = damaged.layers[1]
        let file = test.store.layerFile(layer.digest)
        for offset in [4097, 5 << 20 + 1, Int(layer.fileSize) - 1] where offset < Int(layer.fileSize) {
            let before = try File.read(file)
            try write([before[offset] ^ 0x10], at: offset, into: file)
            let result = try test.store.audit(repair: false)
            let finding = try #require(result.findings.first)
            #expect(result.isDamaged && result.findings.count == 1)
            #expect(finding.kind == .damage && finding.path == file && finding.layer == layer.digest)
            #expect(finding.images == [damaged.reference])
            #expect(finding.reason.contains("has other content"))
            #expect(try !test.store.audit(repair: false, content: false).isDamaged, "a quick check reads no content")
            try write([before[offset]], at: offset, into: file)
        }
        #expect(try !test.store.audit(repair: false).isDamaged)
        try write([0xAA], at: 8192, into: file)
        let result = try test.store.audit(repair: true)
        #expect(!result.isDamaged && result.findings.allSatisfy(\.isRepaired))
        #expect(result.lostImages == [.init(reference: damaged.reference, source: damaged.source)])
        #expect(try test.store.images() == [whole])
        #expect(try test.store.layer(layer.digest) == nil)
        #expect(try test.store.layer(damaged.layers[0].digest) != nil)
        let again = try imported(test, "damaged", [shared, largeLayer("own", seed: 34)])
        #expect(again.layers == damaged.layers)
        #expect(try test.store.audit(repair: false).findings == [])
    }

    @Test("a damaged superblock, a wrong length and a missing file are damage also to a quick check")
    func form() throws {
        let test = try TestStore()
        let image = try imported(test, "one", [smallLayer("a", "A")])
        let file = test.store.layerFile(image.layers[0].digest)
        let content = try File.read(file)
        func reason(_ bytes: [UInt8]?) throws -> String {
            if let bytes { try File.replace(file, with: bytes) } else { try File.removeIfPresent(file) }
            let result = try test.store.audit(repair: false, content: false)
            #expect(result.isDamaged)
            let finding = try #require(result.findings.first { $0.kind == .damage })
            #expect(finding.path == file && finding.images == [image.reference])
            return finding.reason
        }
        var magic = content
        magic[1024] ^= 1
        #expect(try reason(magic) == "has no EROFS superblock")
        var checksum = content
        checksum[1024 + 16] ^= 1
        #expect(try reason(checksum) == "has a superblock whose checksum is wrong")
        #expect(try reason(content + [0]) == "has \(content.count + 1) bytes where \(content.count) were written")
        #expect(try reason([]) == "has 0 bytes where \(content.count) were written")
        #expect(try reason(nil) == "is not there")
        try File.replace(file, with: content)
        #expect(try test.store.audit(repair: false).findings == [])
    }

    @Test("damaged records and documents are found, named by their reference, and repaired")
    func records() throws {
        let test = try TestStore()
        func check(_ damage: (ImageRecord) throws -> String) throws {
            let image = try imported(test, "one", [smallLayer("a", "A")])
            let other = try imported(test, "other", [smallLayer("a", "A"), smallLayer("b", "B")])
            let path = try damage(image)
            let found = try test.store.audit(repair: false)
            #expect(found.isDamaged)
            #expect(found.findings.contains { $0.kind == .damage && $0.path == path }, "\(path): \(found.findings)")
            #expect(found.findings.filter { $0.kind == .damage }.flatMap(\.images).contains(image.reference))
            let repaired = try test.store.audit(repair: true)
            #expect(!repaired.isDamaged && repaired.lostImages.map(\.reference) == [image.reference])
            #expect(try test.store.images() == [other])
            #expect(try !test.store.audit(repair: false).isDamaged)
            _ = try test.store.remove(other.reference)
            _ = try test.store.prune(all: true, grace: 0)
            #expect(try test.residue() == [])
        }
        try check { image in
            let path = test.store.recordFile(of: image)
            try File.replace(path, with: Array("{\"reference\":".utf8))
            return path
        }
        try check { image in
            let path = test.store.blobFile(image.config)
            try File.replace(path, with: Array("{}".utf8))
            return test.store.recordFile(of: image)
        }
        try check { image in
            let path = test.store.blobFile(image.manifestDigest)
            try File.removeIfPresent(path)
            return path
        }
        try check { image in
            var wrong = image
            wrong.layers[0].diffID = ContentHash.sha256(of: [1])
            let path = test.store.recordFile(of: image)
            try File.replace(path, with: wrong.json.bytes())
            return path
        }
    }

    @Test("a layer whose record is lost or broken takes its images with it, and nothing else")
    func layerRecords() throws {
        for content in [nil, "{", "{\"digest\":\"sha256:00\"}"] as [String?] {
            let test = try TestStore()
            let image = try imported(test, "one", [smallLayer("a", "A"), smallLayer("b", "B")])
            let path = test.store.layerRecordFile(image.layers[1].digest)
            if let content { try File.replace(path, with: Array(content.utf8)) } else { try File.removeIfPresent(path) }
            let result = try test.store.audit(repair: true)
            #expect(result.lostImages.map(\.reference) == [image.reference], "\(result.findings)")
            #expect(!result.isDamaged)
            #expect(!File.exists(test.store.layerFile(image.layers[1].digest)))
            #expect(try test.store.images() == [])
            #expect(try test.store.layer(image.layers[0].digest) == image.layers[0])
        }
    }

    @Test("what nothing leads to is no damage; what was never whole is cleared away")
    func leftovers() throws {
        let test = try TestStore()
        let image = try imported(test, "one", [smallLayer("a", "A")])
        let stray = try test.plantLayer("stray")
        let half = test.store.layerFile(ContentHash.sha256(of: [5]))
        let unfinished = "\(test.store.directories.ingest)/1234.part"
        let link = "\(test.store.diffIDs)/\(ContentHash.sha256(of: [6]).hex)"
        for file in [half, unfinished] { try File.replace(file, with: [1]) }
        #expect(symlink(stray.digest.hex, link) == 0)
        try File.replace(
            test.store.layerFile(stray.digest), with: try File.read(test.store.layerFile(image.layers[0].digest)))
        var fitting = stray
        fitting.fileSize = image.layers[0].fileSize
        try File.replace(test.store.layerRecordFile(stray.digest), with: fitting.json.bytes())
        let result = try test.store.audit(repair: true)
        #expect(!result.isDamaged && result.findings.allSatisfy { $0.kind == .leftover }, "\(result.findings)")
        #expect(result.unverifiedLayers == 1)
        for file in [half, unfinished, link] {
            #expect(!File.exists(file), "\(file)")
            #expect(result.findings.contains { $0.path == file && $0.isRepaired })
        }
        #expect(try test.store.layer(stray.digest) == fitting, "a whole layer may belong to a pull that goes on")
        #expect(try test.store.images() == [image])
    }

    @Test(
        "a layer that is damaged when it is mounted is named with what to pull again",
        .enabled(if: canMount, "needs root"))
    func mounting() throws {
        let test = try TestStore()
        let image = try imported(test, "one", [smallLayer("a", "A")])
        let digest = image.layers[0].digest
        let file = test.store.layerFile(digest)
        let content = try File.read(file)
        for (bytes, reason) in [
            ([UInt8](repeating: 0, count: content.count), "has no EROFS superblock"),
            (Array(content.dropLast(4096)), "has \(content.count - 4096) bytes where \(content.count) were written"),
        ] {
            try File.replace(file, with: bytes)
            let error = try #require(storeError { _ = try test.store.mountLayers(of: image) })
            #expect(error == .image(.damagedLayer(digest, path: file, reason: reason, source: image.source)))
            #expect(error.remedy.contains("`mlrun system fsck --repair`"))
            #expect(error.remedy.contains("`mlrun pull \(image.source)`"))
        }
        try File.replace(file, with: content)
        _ = try test.store.mountLayers(of: image)
        // Repaired while it is mounted: the next container sees the new file, not the old mount.
        try write([0xFF], at: 4096, into: file)
        let damage = try test.store.audit(repair: true)
        #expect(damage.lostImages.count == 1)
        let again = try imported(test, "one", [smallLayer("a", "A")])
        let mounts = try test.store.mountLayers(of: again)
        #expect(try File.readText("a", in: mounts[0].directory.rawValue) == "A")
    }
}
