import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import ImageStore

/// A source that feeds a file through a pipe, as standard input often is.
func pipedSource(_ path: String, selecting selection: String? = nil) throws -> ImageSource {
    let content = try File.read(path)
    let pipe = try DescriptorPair.pipe()
    var reading: Int32 = -1
    var writing: Int32 = -1
    pipe.split { first, second in
        reading = first.release()
        writing = second.release()
    }
    let end = SharedDescriptor(taking: writing)
    startThread {
        _ = signal(SIGPIPE, SIG_IGN)
        // A reader that has seen enough closes its end.
        try? File.writeAll(content, to: end.rawValue)
    }
    return ImageSource(
        archive: SharedDescriptor(taking: reading), selecting: selection, description: "standard input")
}

@Suite("importing archives")
struct ArchiveImportTests {
    /// A docker archive as `docker save` wrote it before version 25: a directory a layer, members in `order`.
    static func dockerArchive(
        _ file: String, layers: [[UInt8]], tags: [String], linked: Bool = false, configName: String? = nil
    ) throws {
        let document = OCILayout.document(diffIDs: layers.map { ContentHash.sha256(of: $0) })
        let config = configName ?? "\(ContentHash.sha256(of: document).hex).json"
        var tar = TarBuilder()
        var members: [String] = []
        var seen: [[UInt8]: String] = [:]
        for (index, layer) in layers.enumerated() {
            let id = String(repeating: "\(index)", count: 60)
            tar.directory("\(id)/")
            if linked, let first = seen[layer] {
                tar.link("\(id)/layer.tar", to: "../\(first)/layer.tar")
            } else {
                tar.file("\(id)/layer.tar", layer)
                seen[layer] = id
            }
            members.append("\(id)/layer.tar")
        }
        tar.file(config, document)
        let entry: JSON = [
            "Config": .string(config), "RepoTags": .array(tags.map(JSON.string)),
            "Layers": .array(members.map(JSON.string)),
        ]
        tar.file("manifest.json", JSON.array([entry]).bytes())
        try File.replace(file, with: tar.finished())
    }

    @Test("an OCI archive gives the same image from a file, from a pipe, and compressed")
    func ociArchive() throws {
        let test = try TestStore()
        let layout = try OCILayout("\(test.path)/layout")
        try layout.publish(try layout.addImage([smallLayer("a", "A"), largeLayer("weights")]), as: "v1")
        let archive = "\(test.path)/model.tar"
        try layout.archive(to: archive)
        let source = try #require(try ImageSource(parsing: "oci-archive:\(archive):v1"))
        let fromFile = try test.store.importImage(from: source) { _ in }
        #expect(fromFile.reference == "localhost/model:v1")
        _ = try test.store.remove("localhost/model:v1")
        #expect(try test.residue() == [])
        let piped = try pipedSource(archive)
        var events: [PullProgress] = []
        let fromPipe = try test.store.importImage(from: piped) { events.append($0) }
        #expect(fromPipe.reference == ImageRecord.untagged)
        #expect(fromPipe.manifestDigest == fromFile.manifestDigest && fromPipe.layers == fromFile.layers)
        #expect(events.contains { $0.layer == fromPipe.layers[1].digest && $0.phase == .pulling })
        _ = try test.store.prune(all: true)
        #expect(try test.residue() == [])
        if Command.has("gzip") {
            try Command.succeed("gzip", "-1", archive)
            let compressed = try pipedSource("\(archive).gz")
            let inflated = try test.store.importImage(from: compressed) { _ in }
            #expect(inflated.layers == fromFile.layers)
        }
    }

    @Test("standard input that is a file is read in place, from where it stands")
    func seekableStream() throws {
        let test = try TestStore()
        let layout = try OCILayout("\(test.path)/layout")
        try layout.publish(try layout.addImage([smallLayer("a", "A")]), as: "v1")
        let archive = "\(test.path)/model.tar"
        try layout.archive(to: archive)
        try File.replace(archive, with: Array("HEAD".utf8) + File.read(archive))
        let file = try File.open(archive, O_RDONLY)
        #expect(lseek(file.rawValue, 4, SEEK_SET) == 4)
        let source = ImageSource(archive: SharedDescriptor(file), description: "standard input")
        let record = try test.store.importImage(from: source) { _ in }
        #expect(record.layers.map(\.digest) == [ContentHash.sha256(of: smallLayer("a", "A"))])
    }

    @Test("what a pipe brought for other machines is not kept")
    func unneeded() throws {
        let test = try TestStore()
        let layout = try OCILayout("\(test.path)/layout")
        let foreign = Platform(os: "linux", architecture: "s390x")
        let other = try layout.addImage([largeLayer("a", seed: 5)], platform: foreign)
        let mine = try layout.addImage([largeLayer("a", seed: 6)])
        try layout.publish(try layout.addIndex([other, mine]), as: "v1")
        let archive = "\(test.path)/multi.tar"
        try layout.archive(to: archive)
        let record = try test.store.importImage(from: try pipedSource(archive)) { _ in }
        #expect(record.manifestDigest == mine.digest)
        #expect(try File.list(test.store.directories.layers).count == 2)
    }

    @Test("a blob that looks like a layer but is none is an error only if the image needs it")
    func refusedBlob() throws {
        let test = try TestStore()
        let layout = try OCILayout("\(test.path)/layout")
        var broken = largeLayer("b", seed: 7)
        broken.replaceSubrange((broken.count - 1024)..<(broken.count - 512), with: [UInt8](repeating: 0x41, count: 512))
        try layout.addBlob(broken, MediaType.ociLayer)
        try layout.publish(try layout.addImage([smallLayer("a", "A")]), as: "good")
        let archive = "\(test.path)/archive.tar"
        try layout.archive(to: archive)
        _ = try test.store.importImage(from: try pipedSource(archive)) { _ in }
        _ = try test.store.prune(all: true)
        let needing = try OCILayout("\(test.path)/needing")
        try needing.publish(try needing.addImage([broken]), as: "bad")
        try needing.archive(to: archive)
        let error = storeError { _ = try test.store.importImage(from: try pipedSource(archive)) { _ in } }
        guard case .refusedArchive = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(try test.residue() == [])
    }

    @Test("a pipe whose layer has another digest leaves nothing, not even the layers before it")
    func wrongDigestInPipe() throws {
        let test = try TestStore()
        let layout = try OCILayout("\(test.path)/layout")
        let layers = [largeLayer("a", seed: 8), largeLayer("b", seed: 9)]
        try layout.publish(try layout.addImage(layers), as: "v1")
        let last = try #require(layers.map { ContentHash.sha256(of: $0) }.max { $0.hex < $1.hex })
        var damaged = try File.read("\(layout.path)/blobs/sha256/\(last.hex)")
        damaged[1000] ^= 1
        try File.replace("\(layout.path)/blobs/sha256/\(last.hex)", with: damaged)
        let archive = "\(test.path)/archive.tar"
        try layout.archive(to: archive)
        let error = storeError { _ = try test.store.importImage(from: try pipedSource(archive)) { _ in } }
        #expect(error == .wrongDigest(expected: last, computed: ContentHash.sha256(of: damaged)))
        #expect(try test.residue() == [])
    }

    @Test("what docker save writes is imported from a file and from a pipe, all its tags, layers linked or not")
    func dockerSave() throws {
        let test = try TestStore()
        let layers = [smallLayer("a", "A"), largeLayer("b", seed: 3), smallLayer("a", "A")]
        let archive = "\(test.path)/saved.tar"
        try Self.dockerArchive(archive, layers: layers, tags: ["team/app:v1", "team/app:latest"], linked: true)
        let source = try #require(try ImageSource(parsing: "docker-archive:\(archive)"))
        let record = try test.store.importImage(from: source) { _ in }
        #expect(record.reference == "docker.io/team/app:v1")
        #expect(record.layers.map(\.digest) == layers.map { ContentHash.sha256(of: $0) })
        #expect(record.layers.map(\.digest) == record.layers.map(\.diffID))
        #expect(try test.store.image("team/app")?.config == record.config)
        let piped = try test.store.importImage(from: try pipedSource(archive, selecting: "team/app")) { _ in }
        #expect(piped.reference == "docker.io/team/app:latest" && piped.manifestDigest == record.manifestDigest)
        let missing = try #require(try ImageSource(parsing: "docker-archive:\(archive):team/app:v9"))
        #expect(
            storeError { _ = try test.store.importImage(from: missing) { _ in } }
                == .image(
                    .noSuchTag(
                        source: missing.description, tag: "team/app:v9", available: ["team/app:latest", "team/app:v1"]))
        )
    }

    @Test("a docker archive whose configuration is not what its name says is refused")
    func dockerConfig() throws {
        let test = try TestStore()
        let archive = "\(test.path)/saved.tar"
        let named = ContentHash.sha256(of: [9])
        try Self.dockerArchive(
            archive, layers: [smallLayer("a", "A")], tags: ["app"], configName: "\(named.hex).json")
        let error = storeError {
            _ = try test.store.importImage(from: try #require(try ImageSource(parsing: "docker-archive:\(archive)"))) {
                _ in
            }
        }
        guard case .wrongDigest(named, _) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(try test.residue() == [])
    }

    @Test("a layer of a docker archive that the store holds in another transport is used")
    func sameContent() throws {
        let test = try TestStore()
        let layer = smallLayer("a", "A")
        let archive = "\(test.path)/saved.tar"
        try Self.dockerArchive(archive, layers: [layer], tags: ["app"])
        var held = try test.plantLayer("as gzip")
        held.diffID = ContentHash.sha256(of: layer)
        try File.replace(test.store.layerRecordFile(held.digest), with: held.json.bytes())
        try test.plantImage("pulled", layers: [held])
        let source = try #require(try ImageSource(parsing: "docker-archive:\(archive)"))
        var events: [PullProgress] = []
        let record = try test.store.importImage(from: source) { events.append($0) }
        #expect(record.layers == [held])
        #expect(events.map(\.phase) == [.exists])
        #expect(try test.store.remove("pulled").deletedLayers == [])
    }

    @Test("an archive of the other kind is refused with the right word to write")
    func otherKind() throws {
        let test = try TestStore()
        let archive = "\(test.path)/saved.tar"
        try Self.dockerArchive(archive, layers: [smallLayer("a", "A")], tags: ["app"])
        let error = storeError {
            _ = try test.store.importImage(from: try #require(try ImageSource(parsing: "oci-archive:\(archive)"))) {
                _ in
            }
        }
        #expect(error?.description.contains("write docker-archive: instead") == true)
        let text = "\(test.path)/text"
        try File.replace(text, with: Array(repeating: 0x41, count: 2000))
        #expect(storeError { _ = try test.store.importImage(from: try pipedSource(text)) { _ in } } != nil)
        let empty = "\(test.path)/none"
        try File.replace(empty, with: [])
        #expect(
            storeError { _ = try test.store.importImage(from: try pipedSource(empty)) { _ in } }
                == .image(.notAnImageSource(source: "standard input", reason: "it is empty")))
        #expect(try test.residue() == [])
    }

    @Test(
        "images that umoci makes and skopeo converts are imported from every form, and are the same",
        .enabled(if: Command.has("umoci", "skopeo"), "needs umoci and skopeo"))
    func realTools() throws {
        let test = try TestStore()
        let layout = "\(test.path)/real"
        let file = "\(test.path)/hello"
        try File.replace(file, with: Array("hello".utf8), mode: 0o755)
        try Command.succeed("umoci", "init", "--layout", layout)
        try Command.succeed("umoci", "new", "--image", "\(layout):v1")
        for name in ["/one", "/two"] {
            try Command.succeed("umoci", "insert", "--image", "\(layout):v1", file, name)
        }
        let source = try #require(try ImageSource(parsing: "oci:\(layout):v1"))
        let record = try test.store.importImage(from: source) { _ in }
        #expect(record.layers.count == 2 && record.layers.allSatisfy { $0.digest != $0.diffID })
        let docker = "\(test.path)/docker.tar"
        let oci = "\(test.path)/oci.tar"
        let zstd = "\(test.path)/zstd"
        try Command.succeed(
            "skopeo", "copy", "--insecure-policy", "oci:\(layout):v1", "docker-archive:\(docker):team/app:v1")
        try Command.succeed("skopeo", "copy", "--insecure-policy", "oci:\(layout):v1", "oci-archive:\(oci):v1")
        try Command.succeed(
            "skopeo", "copy", "--insecure-policy", "--dest-compress-format", "zstd", "--dest-compress",
            "oci:\(layout):v1", "oci:\(zstd):v1")
        for text in ["docker-archive:\(docker)", "oci-archive:\(oci):v1", "oci:\(zstd)"] {
            let other = try TestStore()
            let again = try other.store.importImage(from: try #require(try ImageSource(parsing: text))) { _ in }
            #expect(again.layers.map(\.diffID) == record.layers.map(\.diffID), "\(text)")
        }
        for archive in [docker, oci] {
            let other = try TestStore()
            let again = try other.store.importImage(from: try pipedSource(archive)) { _ in }
            #expect(again.layers.map(\.diffID) == record.layers.map(\.diffID), "\(archive)")
        }
    }
}
