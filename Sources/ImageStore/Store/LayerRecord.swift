public import OCISpec

/// What the store knows of one layer that it holds complete: `layers/sha256/<hex>.json`, written last, so that a layer
/// with a record is verified and durable.
public struct LayerRecord: Sendable, Equatable {
    /// Of the blob as it was transported, compressed or not: the layer's name in the store.
    public var digest: Digest
    /// Of the uncompressed tar archive.
    public var diffID: Digest
    /// As the manifest has it.
    public var mediaType: String
    /// Bytes of the blob as it was transported.
    public var compressedSize: Int64
    /// Bytes of the EROFS image in the store.
    public var fileSize: Int64
    /// Of the EROFS image, by which it can be checked later: SHA-256 over the SHA-256 of its first block and of each
    /// piece that ends at a multiple of 4 MiB. Nil for layers that came before this was recorded.
    public var fileDigest: Digest?

    public init(
        digest: Digest, diffID: Digest, mediaType: String, compressedSize: Int64, fileSize: Int64,
        fileDigest: Digest? = nil
    ) {
        self.digest = digest
        self.diffID = diffID
        self.mediaType = mediaType
        self.compressedSize = compressedSize
        self.fileSize = fileSize
        self.fileDigest = fileDigest
    }

    public init(_ cursor: JSONCursor) throws(JSONError) {
        digest = try Digest(cursor.required("digest"))
        diffID = try Digest(cursor.required("diffID"))
        mediaType = try cursor.required("mediaType").string()
        compressedSize = try cursor.required("compressedSize").integer()
        fileSize = try cursor.required("fileSize").integer()
        fileDigest = try cursor.optional("fileDigest").map { inner throws(JSONError) in try Digest(inner) }
    }

    public var json: JSON {
        var object = JSONObject()
        object["digest"] = .string(digest.description)
        object["diffID"] = .string(diffID.description)
        object["mediaType"] = .string(mediaType)
        object["compressedSize"] = .integer(compressedSize)
        object["fileSize"] = .integer(fileSize)
        object["fileDigest"] = fileDigest.map { .string($0.description) }
        return .object(object)
    }
}
