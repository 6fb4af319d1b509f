public import OCISpec

/// What a reference means for one platform, every digest verified.
public struct ResolvedManifest: Sendable {
    /// The digest of ``bytes``.
    public let digest: Digest
    /// Of ``bytes``.
    public let mediaType: String
    /// The image manifest exactly as the registry sent it.
    public let bytes: [UInt8]
    /// ``bytes``, read.
    public let manifest: ImageManifest
    /// The index that the reference named, where it named one.
    public let index: Index?

    /// An image index exactly as the registry sent it.
    public struct Index: Sendable {
        /// Of ``bytes``.
        public let digest: Digest
        /// Of ``bytes``.
        public let mediaType: String
        /// Not changed in any way, so that its digest holds.
        public let bytes: [UInt8]

        public init(digest: Digest, mediaType: String, bytes: [UInt8]) {
            self.digest = digest
            self.mediaType = mediaType
            self.bytes = bytes
        }
    }

    public init(digest: Digest, mediaType: String, bytes: [UInt8], manifest: ImageManifest, index: Index?) {
        self.digest = digest
        self.mediaType = mediaType
        self.bytes = bytes
        self.manifest = manifest
        self.index = index
    }

    /// The pointer to ``bytes``.
    public var descriptor: Descriptor { Descriptor(mediaType: mediaType, digest: digest, size: Int64(bytes.count)) }
}
