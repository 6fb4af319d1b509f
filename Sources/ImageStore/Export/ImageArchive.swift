internal import CLinux
internal import Glibc
public import LinuxSystem
public import OCISpec

/// The two kinds of archive that images are saved as.
public enum ImageArchiveFormat: String, Sendable, CaseIterable {
    /// A tar archive of an OCI image layout: every blob as it was transported, every digest kept.
    case ociArchive = "oci-archive"
    /// What `docker load` takes: the configuration as it is, so that the image ID is kept, and layers uncompressed.
    case dockerArchive = "docker-archive"
}

/// Writes images into one archive, forward only: first ``begin()``, then each of ``layers`` in order, then ``finish()``.
///
/// Not for concurrent use. Every blob is verified while it is written, so that an archive that was finished is right.
public final class ImageArchive: @unchecked Sendable {
    /// A layer that is to be written, once however many images have it.
    public struct Layer: Sendable, Equatable {
        /// Of the blob as it was transported: what ``ImageArchive/write(_:)`` is to be given.
        public let descriptor: Descriptor
        /// Of the uncompressed content.
        public let diffID: Digest
        /// An image that has it, by which its blob is found.
        public let image: ImageRecord
    }

    private struct Saved {
        var record: ImageRecord
        var references: [String]
        var manifest: [UInt8]
        var configuration: [UInt8]
        var index: [UInt8]?
        var layers: [Descriptor]
    }

    /// The layers to write, in this order.
    public let layers: [Layer]
    private let images: [Saved]
    private let format: ImageArchiveFormat
    private let store: ImageStore
    private let path: String
    private var tar: TarWriter
    private var current: (layer: Layer, hasher: ContentHasher, received: Int64)?
    private var spool: InflatedSpool?

    /// Collects everything but the layers of these images.
    ///
    /// - Parameters:
    ///   - images: Several records of one image are saved as one image with several references.
    ///   - descriptor: Where the archive is written; it need not be a file.
    ///   - path: What errors call that.
    public init(
        _ images: [ImageRecord], format: ImageArchiveFormat, from store: ImageStore, to descriptor: SharedDescriptor,
        path: String
    ) throws(StoreError) {
        self.format = format
        self.store = store
        self.path = path
        tar = TarWriter(descriptor, path: path)
        var saved: [Saved] = []
        var layers: [Layer] = []
        for image in images {
            let names = image.reference == ImageRecord.untagged ? [] : [image.reference]
            if let known = saved.firstIndex(where: { $0.record.manifestDigest == image.manifestDigest }) {
                saved[known].references += names.filter { !saved[known].references.contains($0) }
                continue
            }
            let manifest = try Self.document(image.manifestDigest, of: image, in: store)
            let entry = Saved(
                record: image, references: names, manifest: manifest,
                configuration: try Self.document(image.config, of: image, in: store),
                index: try image.indexDigest.map { digest throws(StoreError) in
                    try Self.document(digest, of: image, in: store)
                },
                layers: try ImageContents.parseManifest(manifest, name: image.reference).layers)
            saved.append(entry)
            for (descriptor, diffID) in zip(entry.layers, image.configuration.diffIDs)
            where !layers.contains(where: { $0.key(format) == (format == .ociArchive ? descriptor.digest : diffID) }) {
                layers.append(Layer(descriptor: descriptor, diffID: diffID, image: image))
            }
        }
        self.images = saved
        self.layers = layers
    }

    private static func document(
        _ digest: Digest, of image: ImageRecord, in store: ImageStore
    ) throws(StoreError) -> [UInt8] {
        guard let bytes = try store.blob(digest) else {
            throw .image(.incomplete(image: image.reference, missing: digest))
        }
        return bytes
    }

    /// Writes what comes before the layers.
    public func begin() throws(StoreError) {
        switch format {
        case .ociArchive:
            try add("oci-layout", Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8))
            var written: Set<Digest> = []
            for image in images {
                let documents: [(Digest, [UInt8]?)] = [
                    (image.record.config, image.configuration), (image.record.manifestDigest, image.manifest),
                    (image.record.indexDigest ?? image.record.manifestDigest, image.index),
                ]
                for (digest, bytes) in documents {
                    if let bytes, written.insert(digest).inserted { try add(Self.blobName(digest), bytes) }
                }
            }
        case .dockerArchive:
            var written: Set<Digest> = []
            for image in images where written.insert(image.record.config).inserted {
                try add("\(image.record.config.hex).json", image.configuration)
            }
        }
    }

    /// Begins the next layer, whose blob follows by ``write(_:)``.
    public func beginLayer(_ layer: Layer) throws(StoreError) {
        current = (layer, ContentHasher(like: layer.descriptor.digest), 0)
        switch format {
        case .ociArchive:
            try written { () throws(SystemError) in
                try tar.begin(Self.blobName(layer.descriptor.digest), size: layer.descriptor.size)
            }
        case .dockerArchive: spool = try InflatedSpool(layer.diffID, layer.descriptor, in: store)
        }
    }

    /// Takes the next bytes of the layer's blob.
    public func write(_ bytes: UnsafeRawBufferPointer) throws(StoreError) {
        guard current != nil else { preconditionFailure("a layer has begun") }
        current?.hasher.update(bytes)
        current?.received += Int64(bytes.count)
        if let current, current.received > current.layer.descriptor.size {
            throw .wrongSize(
                blob: current.layer.descriptor.digest, expected: current.layer.descriptor.size,
                received: current.received)
        }
        if let spool { try spool.write(bytes) } else { try written { () throws(SystemError) in try tar.write(bytes) } }
    }

    /// Verifies the layer.
    public func endLayer() throws(StoreError) {
        guard let (layer, hasher, received) = current else { preconditionFailure("a layer has begun") }
        current = nil
        guard received == layer.descriptor.size else {
            throw .wrongSize(blob: layer.descriptor.digest, expected: layer.descriptor.size, received: received)
        }
        let computed = hasher.digest()
        guard computed == layer.descriptor.digest else {
            throw .wrongDigest(expected: layer.descriptor.digest, computed: computed)
        }
        guard let spool else { return }
        let content = try spool.finish()
        self.spool = nil
        try written { () throws(SystemError) in try tar.begin("\(layer.diffID.hex).tar", size: content.size) }
        try content.read { piece throws(StoreError) in
            try self.written { () throws(SystemError) in try tar.write(piece) }
        }
    }

    /// Writes what comes behind the layers. The archive is complete when this returns.
    public func finish() throws(StoreError) {
        switch format {
        case .ociArchive: try add("index.json", index().json.bytes())
        case .dockerArchive:
            try add("repositories", repositories().bytes())
            try add("manifest.json", dockerManifest().bytes())
        }
        try written { () throws(SystemError) in try tar.finish() }
    }

    // MARK: Documents

    /// One entry a reference. Both annotations hold the full name: podman and skopeo read the one, containerd and Docker
    /// the other.
    private func index() -> ImageIndex {
        var entries: [Descriptor] = []
        for image in images {
            var entry = image.record.manifest
            if let bytes = image.index, let digest = image.record.indexDigest {
                let type = (try? JSON(parsing: bytes))?["mediaType"]?.string ?? MediaType.ociIndex
                entry = Descriptor(mediaType: type, digest: digest, size: Int64(bytes.count))
            }
            entry.annotations = [:]
            if image.references.isEmpty { entries.append(entry) }
            for reference in image.references {
                entry.annotations = [
                    "org.opencontainers.image.ref.name": reference, "io.containerd.image.name": reference,
                ]
                entries.append(entry)
            }
        }
        return ImageIndex(manifests: entries)
    }

    private func dockerManifest() -> JSON {
        .array(
            images.map { image in
                [
                    "Config": .string("\(image.record.config.hex).json"),
                    "RepoTags": .array(image.references.compactMap(Self.familiarTag).map(JSON.string)),
                    "Layers": .array(image.record.configuration.diffIDs.map { .string("\($0.hex).tar") }),
                ]
            })
    }

    /// What Docker before 1.10 read: for each repository the tags, each with the top layer.
    private func repositories() -> JSON {
        var repositories: [String: [String: String]] = [:]
        for image in images {
            guard let top = image.record.configuration.diffIDs.last else { continue }
            for name in image.references {
                guard let tag = Self.familiarTag(name), let colon = tag.lastIndex(of: ":") else { continue }
                repositories[String(tag[..<colon]), default: [:]][String(tag[tag.index(after: colon)...])] = top.hex
            }
        }
        return .object(
            JSONObject(repositories.sorted { $0.key < $1.key }.map { (name: $0.key, value: JSON($0.value)) }))
    }

    /// As Docker writes a name; nil for one without a tag.
    private static func familiarTag(_ reference: String) -> String? {
        guard let parsed = try? ImageReference(parsing: reference), let tag = parsed.tag else { return nil }
        return ImageReference(registry: parsed.registry, repository: parsed.repository, tag: tag).familiar
    }

    private static func blobName(_ digest: Digest) -> String { "blobs/\(digest.algorithm)/\(digest.hex)" }

    private func add(_ name: String, _ bytes: [UInt8]) throws(StoreError) {
        try written { () throws(SystemError) in try tar.add(name, bytes) }
    }

    private func written(_ body: () throws(SystemError) -> Void) throws(StoreError) {
        do throws(SystemError) { try body() } catch {
            throw .full(error, directory: File.parent(of: path), needed: 0)
        }
    }
}

extension ImageArchive.Layer {
    fileprivate func key(_ format: ImageArchiveFormat) -> Digest {
        format == .ociArchive ? descriptor.digest : diffID
    }
}
