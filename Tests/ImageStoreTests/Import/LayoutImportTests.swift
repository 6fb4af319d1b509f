import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import ImageStore

/// A layer with one file.
func smallLayer(_ name: String, _ text: String) -> [UInt8] {
    var tar = TarBuilder()
    tar.file(name, text)
    return tar.finished()
}

/// A layer of a size that makes it worth streaming.
func largeLayer(_ name: String, seed: UInt64 = 1) -> [UInt8] {
    var state = seed
    var content: [UInt8] = []
    while content.count < 3 << 20 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        withUnsafeBytes(of: state) { content.append(contentsOf: $0) }
    }
    var tar = TarBuilder()
    tar.file(name, content)
    return tar.finished()
}

@Suite("importing OCI layouts")
struct LayoutImportTests {
    @Test("a layout is imported with its tag, progress is reported, and importing it again moves no byte")
    func whole() throws {
        let test = try TestStore()
        let layout = try OCILayout("\(test.path)/model")
        let image = try layout.addImage([smallLayer("a", "A"), largeLayer("weights")])
        try layout.publish(image, as: "v1")
        let source = try #require(try ImageSource(parsing: "oci:\(layout.path):v1"))
        var events: [PullProgress] = []
        let record = try test.store.importImage(from: source) { events.append($0) }
        #expect(record.reference == "localhost/model:v1")
        #expect(record.manifestDigest == image.digest)
        #expect(record.source == "oci:\(layout.path):v1")
        #expect(record.layers.map(\.diffID) == record.configuration.diffIDs)
        #expect(record.layers.allSatisfy { $0.fileSize > 0 })
        #expect(try test.store.image("localhost/model:v1") == record)
        for layer in record.layers {
            let own = events.filter { $0.layer == layer.digest }
            #expect(own.first?.phase == .waiting && own.last?.phase == .done)
            #expect(own.last?.received == layer.compressedSize && own.last?.total == layer.compressedSize)
        }
        // The largest layer goes first.
        #expect(events.first?.layer == record.layers[1].digest)
        events = []
        let again = try test.store.importImage(from: source) { events.append($0) }
        #expect(again.layers == record.layers)
        #expect(events.allSatisfy { $0.phase == .exists } && events.count == 2)
        #expect(try test.store.prune(all: true).deletedLayers.count == 2)
        #expect(try test.residue() == [])
    }

    @Test("names come from the annotations, from the caller, or from the directory")
    func names() throws {
        let test = try TestStore()
        let layout = try OCILayout("\(test.path)/My_Model.oci")
        let image = try layout.addImage([smallLayer("a", "A")])
        try layout.publish(image, as: nil)
        let source = try #require(try ImageSource(parsing: "oci:\(layout.path)"))
        #expect(try test.store.importImage(from: source) { _ in }.reference == "localhost/my-model:latest")
        let name = try ImageReference(parsing: "team/app:v7")
        #expect(try test.store.importImage(from: source, as: name) { _ in }.reference == "docker.io/team/app:v7")
        let full = try OCILayout("\(test.path)/full")
        try full.publish(
            try full.addImage([smallLayer("a", "A")]), as: "v1", fullName: "docker.io/library/busybox:1.36")
        let fromFull = try #require(try ImageSource(parsing: "oci:\(full.path):1.36"))
        #expect(try test.store.importImage(from: fromFull) { _ in }.reference == "docker.io/library/busybox:1.36")
    }

    @Test("an index, nested in another, gives the image for this machine")
    func platforms() throws {
        let test = try TestStore()
        let layout = try OCILayout("\(test.path)/multi")
        let foreign = Platform(os: "linux", architecture: Platform.host.architecture == "arm64" ? "amd64" : "arm64")
        let other = try layout.addImage([smallLayer("a", "foreign")], platform: foreign)
        let mine = try layout.addImage([smallLayer("a", "mine")])
        let inner = try layout.addIndex([other, mine])
        try layout.publish(try layout.addIndex([inner]), as: "v1")
        let source = try #require(try ImageSource(parsing: "oci:\(layout.path)"))
        let record = try test.store.importImage(from: source) { _ in }
        #expect(record.manifestDigest == mine.digest)
        let index = try #require(record.indexDigest)
        #expect(try test.store.image(index.description) == record)
        let alone = try OCILayout("\(test.path)/foreign")
        try alone.publish(try alone.addIndex([try alone.addImage([smallLayer("a", "x")], platform: foreign)]), as: "v1")
        let error = storeError {
            _ = try test.store.importImage(from: try #require(try ImageSource(parsing: "oci:\(alone.path)"))) { _ in }
        }
        #expect(error == .image(.noPlatform(source: "oci:\(alone.path)", available: [foreign.description])))
    }

    @Test("a tag that is not there, and no tag where there are several images, are errors that list the tags")
    func tags() throws {
        let test = try TestStore()
        let layout = try OCILayout("\(test.path)/tags")
        try layout.publish(try layout.addImage([smallLayer("a", "A")], command: "/one"), as: "v1")
        try layout.publish(try layout.addImage([smallLayer("a", "A")], command: "/two"), as: "v2")
        func attempt(_ text: String) -> StoreError? {
            storeError { _ = try test.store.importImage(from: try #require(try ImageSource(parsing: text))) { _ in } }
        }
        let path = "oci:\(layout.path)"
        #expect(
            attempt("\(path):v3") == .image(.noSuchTag(source: "\(path):v3", tag: "v3", available: ["v1", "v2"])))
        #expect(attempt(path) == .image(.severalImages(source: path, available: ["v1", "v2"])))
        let second = try #require(try ImageSource(parsing: "\(path):v2"))
        #expect(try test.store.importImage(from: second) { _ in }.configuration.command == ["/two"])
    }

    @Test("a layer whose content is not what its digest says stops the import and leaves nothing")
    func wrongDigest() throws {
        let test = try TestStore()
        let layout = try OCILayout("\(test.path)/bad")
        let good = smallLayer("a", "A")
        let bad = largeLayer("b")
        try layout.publish(try layout.addImage([good, bad]), as: "v1")
        let digest = ContentHash.sha256(of: good)
        var damaged = good
        damaged[512] ^= 1
        try File.replace("\(layout.path)/blobs/sha256/\(digest.hex)", with: damaged)
        let error = storeError {
            _ = try test.store.importImage(from: try #require(try ImageSource(parsing: "oci:\(layout.path)"))) { _ in }
        }
        #expect(error == .wrongDigest(expected: digest, computed: ContentHash.sha256(of: damaged)))
        #expect(try test.residue() == [])
    }

    @Test("a damaged layer is told by its digests even where its archive cannot be read")
    func damagedArchive() throws {
        let test = try TestStore()
        let layout = try OCILayout("\(test.path)/bad")
        let layer = smallLayer("a", "A")
        try layout.publish(try layout.addImage([layer]), as: "v1")
        let digest = ContentHash.sha256(of: layer)
        var damaged = layer
        damaged[0] ^= 1
        try File.replace("\(layout.path)/blobs/sha256/\(digest.hex)", with: damaged)
        let error = storeError {
            _ = try test.store.importImage(from: try #require(try ImageSource(parsing: "oci:\(layout.path)"))) { _ in }
        }
        #expect(error == .wrongDigest(expected: digest, computed: ContentHash.sha256(of: damaged)))
        #expect(try test.residue() == [])
    }

    @Test("a diff ID that the content does not have stops the import and leaves nothing, even if the layer is held")
    func wrongDiffID() throws {
        let test = try TestStore()
        let layer = smallLayer("a", "A")
        let digest = ContentHash.sha256(of: layer)
        let claimed = ContentHash.sha256(of: [1])
        let layout = try OCILayout("\(test.path)/lying")
        try layout.publish(try layout.addImage([layer], diffIDs: [claimed]), as: "v1")
        let source = try #require(try ImageSource(parsing: "oci:\(layout.path)"))
        let expected = StoreError.wrongDiffID(layer: digest, expected: claimed, computed: digest)
        #expect(storeError { _ = try test.store.importImage(from: source) { _ in } } == expected)
        #expect(try test.residue() == [])
        let honest = try OCILayout("\(test.path)/honest")
        try honest.publish(try honest.addImage([layer]), as: "v1")
        _ = try test.store.importImage(from: try #require(try ImageSource(parsing: "oci:\(honest.path)"))) { _ in }
        #expect(storeError { _ = try test.store.importImage(from: source) { _ in } } == expected)
        #expect(try test.store.images().count == 1)
    }

    @Test("artifacts, unknown layer types, other platforms and contradictions are refused with what is wrong")
    func refused() throws {
        let test = try TestStore()
        let layout = try OCILayout("\(test.path)/odd")
        let layer = try layout.addBlob(smallLayer("a", "A"), "application/vnd.example.layer")
        let config = try layout.addBlob(OCILayout.document(diffIDs: [layer.digest]), MediaType.ociConfig)
        let empty = try layout.addBlob(Array("{}".utf8), "application/vnd.oci.empty.v1+json")
        func add(_ manifest: ImageManifest, as tag: String) throws {
            try layout.publish(try layout.addBlob(manifest.json.bytes(), MediaType.ociManifest), as: tag)
        }
        try add(ImageManifest(config: config, layers: [layer]), as: "type")
        try add(ImageManifest(artifactType: "application/x-model", config: empty, layers: []), as: "artifact")
        try add(ImageManifest(config: config, layers: []), as: "none")
        let known = Descriptor(mediaType: MediaType.ociLayer, digest: layer.digest, size: layer.size)
        try add(ImageManifest(config: config, layers: [known, known]), as: "count")
        let foreign = Platform(os: "linux", architecture: "s390x")
        try layout.publish(try layout.addImage([smallLayer("a", "B")], platform: foreign), as: "s390x")
        func attempt(_ tag: String) -> StoreError? {
            storeError {
                let source = try #require(try ImageSource(parsing: "oci:\(layout.path):\(tag)"))
                _ = try test.store.importImage(from: source) { _ in }
            }
        }
        #expect(
            attempt("type")
                == .image(.unknownLayerType(image: "type", index: 0, mediaType: "application/vnd.example.layer")))
        #expect(attempt("artifact") == .image(.artifact(name: "artifact", type: "application/x-model")))
        #expect(attempt("none") == .image(.noLayers(image: "none")))
        #expect(attempt("count") == .image(.layerCount(image: "count", manifest: 2, configuration: 1)))
        #expect(attempt("s390x") == .image(.wrongPlatform(image: "s390x", foreign)))
        #expect(try test.residue() == [])
    }

    @Test("what is no layout is refused with what was looked for")
    func noLayout() throws {
        let test = try TestStore()
        let directory = "\(test.path)/empty"
        try File.makeDirectories(directory)
        let error = storeError {
            _ = try test.store.importImage(from: try #require(try ImageSource(parsing: "oci:\(directory)"))) { _ in }
        }
        #expect(
            error
                == .image(.notAnImageSource(source: "oci:\(directory)", reason: "there is no index.json in it")))
        #expect(storeError { _ = try ImageSource(parsing: "oci::v1") } == .image(.emptySource("oci::v1")))
        #expect(try ImageSource(parsing: "busybox:1.36") == nil)
        #expect(try ImageSource(parsing: "localhost:5000/oci:v1") == nil)
    }
}
