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

    public init(digest: Digest, diffID: Digest, mediaType: String, compressedSize: Int64, fileSize: Int64) {
        self.digest = digest
        self.diffID = diffID
        self.mediaType = mediaType
        self.compressedSize = compressedSize
        self.fileSize = fileSize
    }

    public init(_ cursor: JSONCursor) throws(JSONError) {
        digest = try Digest(cursor.required("digest"))
        diffID = try Digest(cursor.required("diffID"))
        mediaType = try cursor.required("mediaType").string()
        compressedSize = try cursor.required("compressedSize").integer()
        fileSize = try cursor.required("fileSize").integer()
    }

    public var json: JSON {
        [
            "digest": .string(digest.description), "diffID": .string(diffID.description),
            "mediaType": .string(mediaType), "compressedSize": .integer(compressedSize),
            "fileSize": .integer(fileSize),
        ]
    }
}
