import Glibc
import LinuxSystem
import OCISpec

@testable import ImageStore

/// An OCI image layout being written into a directory.
final class OCILayout {
    let path: String
    private(set) var entries: [Descriptor] = []

    init(_ path: String) throws {
        self.path = path
        try File.makeDirectories("\(path)/blobs/sha256")
        try File.replace("\(path)/oci-layout", with: Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8), mode: 0o644)
    }

    @discardableResult
    func addBlob(_ bytes: [UInt8], _ mediaType: String) throws -> Descriptor {
        let digest = ContentHash.sha256(of: bytes)
        try File.replace("\(path)/blobs/sha256/\(digest.hex)", with: bytes, mode: 0o644, durable: false)
        return Descriptor(mediaType: mediaType, digest: digest, size: Int64(bytes.count))
    }

    static func document(diffIDs: [Digest], command: String = "/bin/true", platform: Platform = .host) -> [UInt8] {
        let settings: JSON = ["Cmd": [.string(command)], "Env": ["PATH=/bin"]]
        let rootfs: JSON = ["type": "layers", "diff_ids": .array(diffIDs.map { .string($0.description) })]
        let document: JSON = [
            "architecture": .string(platform.architecture), "os": .string(platform.os),
            "created": "2024-01-02T03:04:05Z", "config": settings, "rootfs": rootfs,
        ]
        return document.bytes()
    }

    /// The manifest of an image of uncompressed tar layers.
    func addImage(
        _ layers: [[UInt8]], diffIDs: [Digest]? = nil, platform: Platform = .host, command: String = "/bin/true"
    ) throws -> Descriptor {
        var descriptors: [Descriptor] = []
        for layer in layers { descriptors.append(try addBlob(layer, MediaType.ociLayer)) }
        let document = Self.document(
            diffIDs: diffIDs ?? descriptors.map(\.digest), command: command, platform: platform)
        let manifest = ImageManifest(
            config: try addBlob(document, MediaType.ociConfig), layers: descriptors)
        var descriptor = try addBlob(manifest.json.bytes(), MediaType.ociManifest)
        descriptor.platform = platform
        return descriptor
    }

    func addIndex(_ manifests: [Descriptor]) throws -> Descriptor {
        try addBlob(ImageIndex(manifests: manifests).json.bytes(), MediaType.ociIndex)
    }

    /// Names what is in the layout, and writes its index.json.
    func publish(_ descriptor: Descriptor, as tag: String?, fullName: String? = nil) throws {
        var entry = descriptor
        entry.platform = nil
        entry.annotations["org.opencontainers.image.ref.name"] = tag
        entry.annotations["io.containerd.image.name"] = fullName
        entries.append(entry)
        try File.replace("\(path)/index.json", with: ImageIndex(manifests: entries).json.bytes(), mode: 0o644)
    }

    /// The layout as a tar archive, as its files sort.
    func archive(to file: String) throws {
        var tar = TarBuilder()
        for digest in try File.list("\(path)/blobs/sha256").sorted() {
            tar.file("blobs/sha256/\(digest)", try File.read("\(path)/blobs/sha256/\(digest)"))
        }
        for name in ["index.json", "oci-layout"] { tar.file(name, try File.read("\(path)/\(name)")) }
        try File.replace(file, with: tar.finished(), mode: 0o644)
    }
}
