public import OCISpec

/// The manifest and configuration of an image, verified and understood, before its layers are fetched: what a registry
/// puller and the importers of archives have in common.
public struct ImageContents: Sendable, Equatable {
    /// Of the manifest, with the size and digest of the bytes at hand.
    public let manifest: Descriptor
    /// The manifest as it was sent.
    public let manifestBytes: [UInt8]
    /// The configuration, read.
    public let configuration: ImageConfiguration
    /// The configuration as it was sent.
    public let configurationBytes: [UInt8]
    /// The image ID.
    public let config: Digest
    /// Of the index that the manifest was chosen from, where there was one.
    public let indexDigest: Digest?
    /// That index as it was sent.
    public let indexBytes: [UInt8]?
    /// Lowest first, each with the digest its uncompressed content must have.
    public let layers: [Layer]

    /// A layer as the manifest and the configuration name it.
    public struct Layer: Sendable, Equatable {
        /// Of the blob.
        public let descriptor: Descriptor
        /// Of its uncompressed content.
        public let diffID: Digest

        public init(descriptor: Descriptor, diffID: Digest) {
            self.descriptor = descriptor
            self.diffID = diffID
        }
    }

    /// Checks that these bytes are an image that can be stored and run here.
    ///
    /// - Throws: ``StoreError`` when a digest does not match, when this is an artifact and no image, when a layer's
    ///   media type is unknown, when the configuration names another number of layers than the manifest, or another
    ///   platform than this machine's.
    public init(
        manifest: Descriptor, manifestBytes: [UInt8], configurationBytes: [UInt8], indexDigest: Digest? = nil,
        indexBytes: [UInt8]? = nil, name: String
    ) throws(StoreError) {
        try Self.verify(manifestBytes, manifest.digest)
        if let indexDigest, let indexBytes { try Self.verify(indexBytes, indexDigest) }
        let parsed = try Self.parseManifest(manifestBytes, name: name)
        try Self.verify(configurationBytes, parsed.config.digest)
        let configuration: ImageConfiguration
        do throws(JSONError) {
            configuration = try ImageConfiguration(JSONCursor(JSON(parsing: configurationBytes)))
        } catch {
            throw .image(.malformed(what: "the configuration of \(name)", error))
        }
        guard configuration.diffIDs.count == parsed.layers.count else {
            throw .image(
                .layerCount(image: name, manifest: parsed.layers.count, configuration: configuration.diffIDs.count))
        }
        guard configuration.platform.architecture.isEmpty || configuration.platform.runs(on: .host) else {
            throw .image(.wrongPlatform(image: name, configuration.platform))
        }
        self.manifest = Descriptor(
            mediaType: parsed.mediaType, digest: manifest.digest, size: Int64(manifestBytes.count))
        self.manifestBytes = manifestBytes
        self.configuration = configuration
        self.configurationBytes = configurationBytes
        self.indexDigest = indexDigest
        self.indexBytes = indexBytes
        config = parsed.config.digest
        layers = zip(parsed.layers, configuration.diffIDs).map { Layer(descriptor: $0, diffID: $1) }
    }

    /// Reads a manifest and refuses what is no image: artifacts, and layers of unknown types. What a puller needs
    /// before it can ask for the configuration.
    public static func parseManifest(_ bytes: [UInt8], name: String) throws(StoreError) -> ImageManifest {
        let manifest: ImageManifest
        do throws(JSONError) { manifest = try ImageManifest(JSONCursor(JSON(parsing: bytes))) } catch {
            throw .image(.malformed(what: "the manifest of \(name)", error))
        }
        guard [MediaType.ociConfig, MediaType.dockerConfig].contains(manifest.config.mediaType) else {
            throw .image(.artifact(name: name, type: manifest.artifactType ?? manifest.config.mediaType))
        }
        for (index, layer) in manifest.layers.enumerated() where LayerCompression(mediaType: layer.mediaType) == nil {
            throw .image(.unknownLayerType(image: name, index: index, mediaType: layer.mediaType))
        }
        if manifest.layers.isEmpty { throw .image(.noLayers(image: name)) }
        return manifest
    }

    private static func verify(_ bytes: [UInt8], _ digest: Digest) throws(StoreError) {
        let actual = ContentHash.digest(of: bytes, like: digest)
        if actual != digest { throw .wrongDigest(expected: digest, computed: actual) }
    }
}

extension ImageStore {
    /// Records an image whose layers are in the store: stores its manifest, index and configuration, then the record.
    /// Durable when this returns.
    ///
    /// - Parameters:
    ///   - layers: As ``LayerIngest`` or ``layer(_:)`` gave them, lowest first.
    ///   - reference: The full form; nil for an image without one.
    ///   - origin: Where the blobs of its layers can be had again.
    public func commit(
        _ contents: ImageContents, layers: [LayerRecord], reference: String?, source: String,
        origin: ImageOrigin? = nil
    ) throws(StoreError) -> ImageRecord {
        let image = ImageRecord(
            reference: reference ?? ImageRecord.untagged, manifest: contents.manifest,
            indexDigest: contents.indexDigest,
            config: contents.config, layers: layers, configuration: contents.configuration, pulledAt: currentTime(),
            source: source, origin: origin)
        for (layer, expected) in zip(layers, contents.layers) {
            guard layer.diffID == expected.diffID else {
                throw .wrongDiffID(layer: layer.digest, expected: expected.diffID, computed: layer.diffID)
            }
            // A layer that came by other transport has another digest, and a size of its own.
            let size = expected.descriptor.size
            guard layer.digest != expected.descriptor.digest || layer.compressedSize == size else {
                throw .wrongSize(blob: layer.digest, expected: size, received: layer.compressedSize)
            }
        }
        precondition(layers.count == contents.layers.count, "one record a layer")
        try withSpace { () throws(StoreError) in try record(image, contents) }
        return image
    }

    private func record(_ image: ImageRecord, _ contents: ImageContents) throws(StoreError) {
        try whileRecordsStandStill { () throws(StoreError) in
            try putBlob(contents.manifestBytes, as: contents.manifest.digest)
            try putBlob(contents.configurationBytes, as: contents.config)
            if let digest = contents.indexDigest, let bytes = contents.indexBytes { try putBlob(bytes, as: digest) }
            try commitLocked(image)
        }
    }
}
