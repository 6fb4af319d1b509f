/// The media types of manifests, configurations and layers that are understood, OCI's and Docker's.
/// Names without a comment are those of image-spec, media-types.md, and of Docker's schema 2.
public enum MediaType {
    public static let ociIndex = "application/vnd.oci.image.index.v1+json"
    public static let ociManifest = "application/vnd.oci.image.manifest.v1+json"
    public static let ociConfig = "application/vnd.oci.image.config.v1+json"
    public static let ociLayer = "application/vnd.oci.image.layer.v1.tar"
    public static let ociLayerGzip = "application/vnd.oci.image.layer.v1.tar+gzip"
    public static let ociLayerZstd = "application/vnd.oci.image.layer.v1.tar+zstd"
    public static let dockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json"
    public static let dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
    public static let dockerConfig = "application/vnd.docker.container.image.v1+json"
    public static let dockerLayer = "application/vnd.docker.image.rootfs.diff.tar"
    public static let dockerLayerGzip = "application/vnd.docker.image.rootfs.diff.tar.gzip"
    public static let dockerLayerZstd = "application/vnd.docker.image.rootfs.diff.tar.zstd"

    /// What a client accepts when it asks a registry for a manifest.
    public static let manifests = [ociManifest, ociIndex, dockerManifest, dockerManifestList]
    /// Those of indexes and manifest lists.
    public static let indexes: Set<String> = [ociIndex, dockerManifestList]
}

/// How the bytes of a layer are compressed.
public enum LayerCompression: String, Sendable {
    case none, gzip, zstd

    /// By media type; nil for one that is no file-system layer.
    public init?(mediaType: String) {
        switch mediaType {
        case MediaType.ociLayer, MediaType.dockerLayer: self = .none
        case MediaType.ociLayerGzip, MediaType.dockerLayerGzip: self = .gzip
        case MediaType.ociLayerZstd, MediaType.dockerLayerZstd: self = .zstd
        default: return nil
        }
    }

    /// By the first bytes of the content, as `docker save` archives need it; `none` when no magic number matches.
    public init(sniffing start: some Collection<UInt8>) {
        let magic = Array(start.prefix(4))
        if magic.starts(with: [0x1F, 0x8B]) {
            self = .gzip
        } else if magic == [0x28, 0xB5, 0x2F, 0xFD]
            || (magic.count == 4 && (0x50...0x5F).contains(magic[0]) && Array(magic[1...]) == [0x2A, 0x4D, 0x18])
        {
            self = .zstd
        } else {
            self = .none
        }
    }
}
