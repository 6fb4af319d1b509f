import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import ImageStore

@Suite("Saving images")
struct ArchiveExportTests {
    private static func layer(_ name: String, _ text: String) -> [UInt8] {
        var tar = TarBuilder()
        tar.file(name, text)
        return tar.finished()
    }

    /// An image of a gzipped and a plain layer, in a layout, with an index around it.
    private static func layout(_ path: String) throws -> OCILayout {
        let layout = try OCILayout(path)
        let plain = layer("plain", "nothing to compress")
        let second = layer("packed", String(repeating: "compress me ", count: 20_000))
        try File.replace("\(path)/second.tar", with: second)
        try Command.succeed("gzip", "-n", "\(path)/second.tar")
        let packed = try layout.addBlob(try File.read("\(path)/second.tar.gz"), MediaType.ociLayerGzip)
        try File.removeIfPresent("\(path)/second.tar.gz")
        let below = try layout.addBlob(plain, MediaType.ociLayer)
        let document = OCILayout.document(diffIDs: [below.digest, ContentHash.sha256(of: second)])
        let manifest = ImageManifest(
            config: try layout.addBlob(document, MediaType.ociConfig), layers: [below, packed])
        var entry = try layout.addBlob(manifest.json.bytes(), MediaType.ociManifest)
        entry.platform = .host
        try layout.publish(try layout.addIndex([entry]), as: nil, fullName: "registry.example/team/app:v1")
        return layout
    }

    private static func imported(
        _ test: TestStore, _ options: ImportOptions = ImportOptions()
    ) throws -> (image: ImageRecord, layout: OCILayout) {
        let layout = try layout("\(test.path)/layout")
        let source = try #require(try ImageSource(parsing: "oci:\(layout.path)"))
        return (try test.store.importImage(from: source, options) { _ in }, layout)
    }

    /// Writes an archive with the blobs of the image's origin or of the store.
    private static func save(
        _ images: [ImageRecord], _ format: ImageArchiveFormat, from test: TestStore, to path: String
    ) throws {
        let file = SharedDescriptor(try File.open(path, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600))
        let archive = try ImageArchive(images, format: format, from: test.store, to: file, path: path)
        try archive.begin()
        for layer in archive.layers {
            let blob =
                try test.store.keptBlob(layer.descriptor)
                ?? test.store.originBlobs(of: layer.image).blob(
                    layer.descriptor)
            let found = try #require(blob)
            try archive.beginLayer(layer)
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1000, alignment: 16)
            defer { buffer.deallocate() }
            var offset: Int64 = 0
            while case let count = try found.read(at: offset, into: buffer), count > 0 {
                try archive.write(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                offset += Int64(count)
            }
            try archive.endLayer()
        }
        try archive.finish()
    }

    @Test("an OCI archive keeps every digest: loaded again it is the same image under the same names")
    func oci() throws {
        let test = try TestStore()
        let (image, layout) = try Self.imported(test)
        let tagged = try test.store.tag(image.reference, as: try ImageReference(parsing: "localhost/other:v2"))
        let archive = "\(test.path)/saved.oci"
        try Self.save([image, tagged], .ociArchive, from: test, to: archive)

        let other = try TestStore()
        let loaded = try other.store.importImages(from: try ImageSource(archiveFile: archive)) { _ in }
        #expect(Set(loaded.map(\.reference)) == ["registry.example/team/app:v1", "localhost/other:v2"])
        for record in loaded {
            #expect(record.manifestDigest == image.manifestDigest && record.config == image.config)
            #expect(record.indexDigest == image.indexDigest && image.indexDigest != nil)
            #expect(record.layers.map(\.digest) == image.layers.map(\.digest))
            #expect(record.origin?.kind == .archive && record.origin?.location == archive)
        }
        // The same images give the same bytes.
        try Self.save([image, tagged], .ociArchive, from: test, to: "\(archive).2")
        #expect(try File.read(archive) == File.read("\(archive).2"))
        withExtendedLifetime(layout) {}
    }

    @Test("a docker archive keeps the image ID and holds layers uncompressed, each once")
    func docker() throws {
        let test = try TestStore()
        let (image, _) = try Self.imported(test)
        let archive = "\(test.path)/saved.tar"
        try Self.save([image], .dockerArchive, from: test, to: archive)
        let listing = try Command.run(["tar", "-tf", archive]).output.split(separator: "\n").map(String.init)
        #expect(
            listing == ["\(image.config.hex).json"] + image.configuration.diffIDs.map { "\($0.hex).tar" } + [
                "repositories", "manifest.json",
            ])
        let other = try TestStore()
        let loaded = try other.store.importImages(from: try ImageSource(archiveFile: archive)) { _ in }
        #expect(loaded.map(\.config) == [image.config])
        #expect(loaded.map(\.reference) == ["registry.example/team/app:v1"])
        #expect(loaded.first?.layers.map(\.diffID) == image.layers.map(\.diffID))
        // What came from a docker archive can be saved again, its blobs being the members of that.
        try Self.save(loaded, .dockerArchive, from: other, to: "\(archive).2")
        #expect(try File.read(archive) == File.read("\(archive).2"))
    }

    @Test(
        "skopeo reads what is saved, and finds the digests that were",
        .enabled(if: Command.has("skopeo"), "needs Debian's skopeo"), arguments: ImageArchiveFormat.allCases)
    func skopeo(_ format: ImageArchiveFormat) throws {
        let test = try TestStore()
        let (image, _) = try Self.imported(test)
        let archive = "\(test.path)/saved"
        try Self.save([image], format, from: test, to: archive)
        let name = "\(format.rawValue):\(archive):registry.example/team/app:v1"
        let inspected = try Command.run(["skopeo", "inspect", name])
        #expect(inspected.status == 0, "\(inspected.output)")
        if format == .ociArchive {
            let layers = try JSON(parsing: inspected.output)["Layers"]?.array?.compactMap(\.string)
            #expect(layers == image.layers.map(\.digest.description))
        }
        // On its own it would compress the plain layer.
        let preserving = format == .ociArchive ? ["--preserve-digests"] : []
        let copy = ["skopeo", "--insecure-policy", "copy", "-q"] + preserving + [name, "oci:\(test.path)/copied:v1"]
        let outcome = try Command.run(copy)
        #expect(outcome.status == 0, "\(outcome.output)")
        let other = try TestStore()
        let source = try #require(try ImageSource(parsing: "oci:\(test.path)/copied:v1"))
        let copied = try other.store.importImage(from: source) { _ in }
        // It writes the configuration anew where it turns Docker's image into an OCI one.
        #expect(copied.configuration.diffIDs == image.configuration.diffIDs)
        if format == .ociArchive {
            #expect(copied.config == image.config && copied.manifestDigest == image.manifestDigest)
        }
    }

    @Test("kept blobs outlive the place they came from, and go with their image")
    func kept() throws {
        let test = try TestStore()
        let (image, layout) = try Self.imported(test, ImportOptions(keepBlobs: true))
        try File.removeTree(layout.path)
        try Self.save([image], .ociArchive, from: test, to: "\(test.path)/saved.oci")
        let removal = try test.store.remove(image.reference)
        #expect(removal.freedBytes > 0)
        #expect(try File.list(test.store.directories.blobs) == [])
    }

    @Test("a blob that was not kept is missed with the way to keep it, or noticed when it changed")
    func gone() throws {
        let test = try TestStore()
        let (image, layout) = try Self.imported(test)
        let packed = image.layers[1]
        let file = "\(layout.path)/blobs/sha256/\(packed.digest.hex)"
        var bytes = try File.read(file)
        bytes[bytes.count / 2] ^= 1
        try File.replace(file, with: bytes)
        let damaged = storeError { try Self.save([image], .ociArchive, from: test, to: "\(test.path)/saved") }
        guard case .wrongDigest(packed.digest, _) = damaged else {
            Issue.record("\(String(describing: damaged))")
            return
        }
        try File.removeTree(layout.path)
        #expect(try test.store.originBlobs(of: image).blob(try #require(image.origin?.layers.first)) == nil)
        let stream = try test.store.importImage(from: try pipedSource(try Self.piped(test))) { _ in }
        let error = storeError { _ = try test.store.originBlobs(of: stream) }
        #expect(error?.remedy.contains("--keep-blobs") == true, "\(String(describing: error))")
    }

    private static func piped(_ test: TestStore) throws -> String {
        let path = "\(test.path)/piped.tar"
        try ArchiveImportTests.dockerArchive(path, layers: [layer("a", "b")], tags: ["piped:v1"])
        return path
    }

    @Test("an import that is not admitted leaves nothing, also from a pipe")
    func refused() throws {
        let test = try TestStore()
        let archive = "\(test.path)/a.tar"
        try ArchiveImportTests.dockerArchive(
            archive, layers: [Self.layer("a", String(repeating: "x", count: 200_000))], tags: ["team/app:v1"])
        var asked: [[String]] = []
        let options = ImportOptions { (_, references) throws(StoreError) in
            asked.append(references)
            throw .image(.notAdmitted(reason: "no", remedy: "yes"))
        }
        let before = try test.residue()
        for source in [try ImageSource(archiveFile: archive), try pipedSource(archive)] {
            let error = storeError { _ = try test.store.importImages(from: source, options) { _ in } }
            #expect(error == .image(.notAdmitted(reason: "no", remedy: "yes")))
            #expect(try test.residue() == before)
        }
        #expect(asked == [["docker.io/team/app:v1"], ["docker.io/team/app:v1"]])
    }

    @Test("a tag is another name for the same image, and takes the name from another")
    func tag() throws {
        let test = try TestStore()
        let layer = try test.plantLayer("one")
        let one = try test.plantImage("app:v1", layers: [layer])
        let two = try test.plantImage("app:v2", layers: [layer], command: "/two")
        try test.store.tag("app:v1", as: try ImageReference(parsing: "app:v2"))
        #expect(try test.store.existingImage("app:v2").config == one.config)
        #expect(try test.store.images().first { $0.config == two.config }?.reference == ImageRecord.untagged)
        let pinned = try ImageReference(parsing: "app@\(one.manifestDigest)")
        #expect(storeError { try test.store.tag("app:v1", as: pinned) } == .image(.tagWithDigest("\(pinned)")))
        #expect(storeError { try test.store.tag("nothing", as: try ImageReference(parsing: "x:y")) } != nil)
    }
}
