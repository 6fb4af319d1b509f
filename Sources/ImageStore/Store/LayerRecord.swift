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
    /// Of the EROFS image, by which damage is found later: CRC-64/XZ over the same of its first block and of each piece
    /// that ends at a multiple of 4 MiB, as little-endian words. Nil for layers that came before this was recorded.
    public var fileChecksum: UInt64?

    public init(
        digest: Digest, diffID: Digest, mediaType: String, compressedSize: Int64, fileSize: Int64,
        fileChecksum: UInt64? = nil
    ) {
        self.digest = digest
        self.diffID = diffID
        self.mediaType = mediaType
        self.compressedSize = compressedSize
        self.fileSize = fileSize
        self.fileChecksum = fileChecksum
    }

    public init(_ cursor: JSONCursor) throws(JSONError) {
        digest = try Digest(cursor.required("digest"))
        diffID = try Digest(cursor.required("diffID"))
        mediaType = try cursor.required("mediaType").string()
        compressedSize = try cursor.required("compressedSize").integer()
        fileSize = try cursor.required("fileSize").integer()
        fileChecksum = try cursor.optional("fileCRC64").map { inner throws(JSONError) in
            let text = try inner.string()
            guard let value = UInt64(text, radix: 16) else {
                throw JSONError(path: inner.path, message: "\"\(text)\" is no CRC-64 in hexadecimal digits")
            }
            return value
        }
    }

    public var json: JSON {
        var object = JSONObject()
        object["digest"] = .string(digest.description)
        object["diffID"] = .string(diffID.description)
        object["mediaType"] = .string(mediaType)
        object["compressedSize"] = .integer(compressedSize)
        object["fileSize"] = .integer(fileSize)
        object["fileCRC64"] = fileChecksum.map { .string(String($0, radix: 16)) }
        return .object(object)
    }
}
