import CLinux
import Glibc
import LinuxSystem
import OCISpec

@testable import ImageStore

/// A store in a directory of its own, unmounted and removed with the last reference.
final class TestStore {
    let path: String
    let store: ImageStore

    init() throws {
        path = "\(TestStore.temporaryDirectory)/mlrun-store-\(File.randomName())"
        try File.makeDirectories(path)
        store = try ImageStore(MLRunDirectories(root: "\(path)/root", state: "\(path)/state"))
    }

    private static var temporaryDirectory: String { getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp" }

    deinit {
        let mounts = store.directories.layerMounts
        for name in (try? File.list(mounts)) ?? [] { _ = mlr_umount("\(mounts)/\(name)", Int32(MLR_MNT_DETACH)) }
        _ = mlr_umount(mounts, Int32(MLR_MNT_DETACH))
        try? File.removeTree(path)
    }

    /// A layer that is there as far as the store can see; it cannot be mounted.
    func plantLayer(_ text: String, age: Int = 0) throws -> LayerRecord {
        let digest = ContentHash.sha256(of: Array(text.utf8))
        let content = [UInt8](repeating: 7, count: 8192)
        let record = LayerRecord(
            digest: digest, diffID: ContentHash.sha256(of: Array("content of \(text)".utf8)),
            mediaType: MediaType.ociLayerGzip, compressedSize: 100, fileSize: Int64(content.count))
        try File.replace(store.layerFile(digest), with: content)
        try File.replace(store.layerRecordFile(digest), with: record.json.bytes())
        if age > 0 {
            for file in [store.layerFile(digest), store.layerRecordFile(digest)] { try Self.setAge(of: file, age) }
        }
        return record
    }

    static func setAge(of file: String, _ seconds: Int) throws {
        let moment = timeval(tv_sec: time(nil) - seconds, tv_usec: 0)
        if utimes(file, [moment, moment]) < 0 {
            throw SystemError("set the time of", path: file, Errno(rawValue: errno))
        }
    }

    /// An image of planted layers under a reference.
    @discardableResult
    func plantImage(_ reference: String?, layers: [LayerRecord], command: String = "/bin/true") throws -> ImageRecord {
        try store.commit(
            try contents(layers.map { ($0.descriptor, $0.diffID) }, command: command), layers: layers,
            reference: try reference.map { try ImageReference(parsing: $0).description }, source: "test")
    }

    func contents(_ layers: [(Descriptor, Digest)], command: String = "/bin/true") throws -> ImageContents {
        let document = OCILayout.document(diffIDs: layers.map(\.1), command: command)
        let manifest = ImageManifest(
            config: Descriptor(
                mediaType: MediaType.ociConfig, digest: ContentHash.sha256(of: document), size: Int64(document.count)),
            layers: layers.map(\.0)
        ).json.bytes()
        return try ImageContents(
            manifest: Descriptor(
                mediaType: MediaType.ociManifest, digest: ContentHash.sha256(of: manifest),
                size: Int64(manifest.count)),
            manifestBytes: manifest, configurationBytes: document, name: "test")
    }

    /// Everything in the store that a failed import must not leave: layers, blobs, records, unfinished files, locks.
    func residue() throws -> [String] {
        let directories = store.directories
        var found: [String] = []
        for directory in [
            directories.layers, directories.blobs, directories.images, directories.ingest, directories.locks,
            store.diffIDs,
        ] {
            found += try File.list(directory).map { "\(directory)/\($0)" }
        }
        let lasting = ["ingest", "records", "mounts"].map { "\(directories.locks)/\($0)" }
        return found.filter { !lasting.contains($0) }.sorted()
    }
}

extension LayerRecord {
    var descriptor: Descriptor { Descriptor(mediaType: mediaType, digest: digest, size: compressedSize) }
}

/// The error a call throws; a failed expectation when it throws none or another kind.
func storeError(_ body: () throws -> Void) -> StoreError? {
    do { try body() } catch { return error as? StoreError }
    return nil
}
