public import OCISpec

/// Where an image came from, so that what the store does not keep of it can be had again from there: the blobs of its
/// layers as they were transported.
public struct ImageOrigin: Sendable, Equatable {
    /// What kind of place it is.
    public enum Kind: String, Sendable {
        /// A repository of a registry; the location is the reference that was pulled.
        case registry
        /// An OCI image layout; the location is its directory.
        case layout = "oci"
        /// A tar archive of an OCI image layout.
        case ociArchive = "oci-archive"
        /// What `docker save` writes.
        case dockerArchive = "docker-archive"
        /// A file that holds either kind of archive.
        case archive
        /// Something that could be read only once, such as standard input.
        case stream
    }

    /// What kind of place it is.
    public var kind: Kind
    /// A reference in its full form, or an absolute path.
    public var location: String
    /// The blobs of the layers as they were transported there, lowest first.
    public var layers: [Descriptor]
    /// SHA-256 fingerprints of the keys whose signatures of the image were verified before it came into the store.
    public var signers: [String]

    public init(_ kind: Kind, location: String, layers: [Descriptor] = [], signers: [String] = []) {
        self.kind = kind
        self.location = location
        self.layers = layers
        self.signers = signers
    }

    public init(_ cursor: JSONCursor) throws(JSONError) {
        let name = try cursor.required("kind")
        let text = try name.string()
        guard let kind = Kind(rawValue: text) else { throw name.failure("\"\(text)\" is no kind of origin") }
        self.kind = kind
        location = try cursor.required("location").string()
        layers = try cursor.list("layers") { inner throws(JSONError) in try Descriptor(inner) }
        signers = try cursor.optional("signers")?.strings() ?? []
    }

    public var json: JSON {
        var object = JSONObject()
        object["kind"] = .string(kind.rawValue)
        object["location"] = .string(location)
        object.set("layers", layers.map(\.json))
        object.set("signers", signers)
        return .object(object)
    }
}

extension ImageRecord {
    /// The digests of every blob that may be kept for this image's layers.
    var layerBlobs: Set<Digest> {
        Set((origin?.layers ?? []).map(\.digest)).union(layers.map(\.digest))
    }
}
