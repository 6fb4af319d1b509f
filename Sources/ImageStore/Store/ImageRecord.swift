public import OCISpec

/// One image the store holds under one reference. Two references of the same image are two records; its layers,
/// manifest and configuration are kept once.
public struct ImageRecord: Sendable, Equatable {
    /// The reference of an image that lost its own to a newer one, or was imported without any.
    public static let untagged = "<none>"

    /// The full form, `docker.io/library/busybox:latest`, or ``untagged``.
    public var reference: String
    /// Of the manifest for this platform.
    public var manifest: Descriptor
    /// Of the index the manifest was chosen from, where there was one.
    public var indexDigest: Digest?
    /// The digest of the configuration: the image ID.
    public var config: Digest
    /// Lowest first.
    public var layers: [LayerRecord]
    /// What the image says of how to run it.
    public var configuration: ImageConfiguration
    /// When the image came into the store, in seconds since 1970.
    public var pulledAt: Int64
    /// Where it came from, as a person would write it: a registry reference, `oci:DIR`, `docker-archive:FILE`.
    public var source: String
    /// The same for programs; nil for an image that was recorded before origins were.
    public var origin: ImageOrigin?

    public init(
        reference: String, manifest: Descriptor, indexDigest: Digest? = nil, config: Digest, layers: [LayerRecord],
        configuration: ImageConfiguration, pulledAt: Int64, source: String, origin: ImageOrigin? = nil
    ) {
        self.reference = reference
        self.manifest = manifest
        self.indexDigest = indexDigest
        self.config = config
        self.layers = layers
        self.configuration = configuration
        self.pulledAt = pulledAt
        self.source = source
        self.origin = origin
    }

    /// Of the manifest for this platform.
    public var manifestDigest: Digest { manifest.digest }
    /// Bytes the layers take in the store.
    public var size: Int64 { layers.reduce(0) { $0 + $1.fileSize } }
    /// When the image was built, by its configuration, in seconds since 1970; nil where that says nothing.
    public var created: Int64? { configuration.created.flatMap(Timestamp.seconds(rfc3339:)) }
    /// Seconds since 1970 of a time as ``created`` is written (RFC 3339); nil for anything else.
    public static func seconds(rfc3339 text: String) -> Int64? { Timestamp.seconds(rfc3339: text) }
    /// Whether a digest names this image: its ID, its manifest or the index it came from.
    public func isNamed(by digest: Digest) -> Bool {
        digest == config || digest == manifestDigest || digest == indexDigest
    }

    /// The record as stored: without the configuration, which is a blob of its own.
    var json: JSON {
        var object = JSONObject()
        object["reference"] = .string(reference)
        object["manifest"] = manifest.json
        object["indexDigest"] = indexDigest.map { .string($0.description) }
        object["config"] = .string(config.description)
        object["layers"] = .array(layers.map(\.json))
        object["pulledAt"] = .integer(pulledAt)
        object["source"] = .string(source)
        object["origin"] = origin?.json
        return .object(object)
    }

    init(_ cursor: JSONCursor, configuration: (Digest) throws(JSONError) -> ImageConfiguration) throws(JSONError) {
        reference = try cursor.required("reference").string()
        manifest = try Descriptor(cursor.required("manifest"))
        indexDigest = try cursor.optional("indexDigest").map { inner throws(JSONError) in try Digest(inner) }
        config = try Digest(cursor.required("config"))
        layers = try cursor.required("layers").array { inner throws(JSONError) in try LayerRecord(inner) }
        pulledAt = try cursor.required("pulledAt").integer()
        source = try cursor.required("source").string()
        origin = try cursor.optional("origin") { inner throws(JSONError) in try ImageOrigin(inner) }
        self.configuration = try configuration(config)
    }
}
