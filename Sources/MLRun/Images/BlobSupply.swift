internal import ImageStore
internal import NIOCore
internal import OCISpec
internal import Registry

/// Where the blobs of images can be had as they were transported: kept in the store, in the archive or layout the image
/// came from, or in its registry. Looked up for all before anything is written, so that what cannot be had is said first.
struct BlobSupply: Sendable {
    enum Place: Sendable {
        case file(BlobFile)
        case registry(ImageReference)
    }

    let client: RegistryClient
    private let places: [Digest: Place]

    init(
        _ blobs: [(descriptor: Descriptor, image: ImageRecord)], in store: ImageStore, client: RegistryClient
    ) throws(StoreError) {
        self.client = client
        var places: [Digest: Place] = [:]
        var origins: [String: OriginBlobs] = [:]
        for (descriptor, image) in blobs where places[descriptor.digest] == nil {
            if let kept = try store.keptBlob(descriptor) {
                places[descriptor.digest] = .file(kept)
            } else if let reference = Self.registryReference(of: image) {
                places[descriptor.digest] = .registry(reference)
            } else {
                let key = image.origin?.location ?? ""
                let known = origins[key]
                let origin = if let known { known } else { try store.originBlobs(of: image) }
                origins[key] = origin
                guard let found = try origin.blob(descriptor) else {
                    throw .image(
                        .blobsNotKept(
                            image: image.reference, reason: "\(descriptor.digest) is no longer in \(key)"))
                }
                places[descriptor.digest] = .file(found)
            }
        }
        self.places = places
    }

    /// The reference an image was pulled by; nil for one that came from elsewhere.
    static func registryReference(of image: ImageRecord) -> ImageReference? {
        guard let origin = image.origin else { return try? ImageReference(parsing: image.source) }
        return origin.kind == .registry ? try? ImageReference(parsing: origin.location) : nil
    }

    /// The bytes of a blob, to be sent as often as needed and from any byte on.
    func content(of descriptor: Descriptor) -> BlobContent {
        guard let place = places[descriptor.digest] else { preconditionFailure("every blob was looked up") }
        switch place {
        case .registry(let reference): return client.content(of: descriptor, in: reference)
        case .file(let file):
            return BlobContent(descriptor) { offset in FilePieces(file, from: offset) }
        }
    }
}

/// Reads a blob from its file, piece by piece, on a thread that may wait for the disk.
private actor FilePieces: BlobPieces {
    private static let pieceSize = 1 << 20
    private let file: BlobFile
    private var offset: Int64

    init(_ file: BlobFile, from offset: Int64) {
        self.file = file
        self.offset = offset
    }

    func next() async throws(RegistryError) -> ByteBuffer? {
        guard offset < file.size else { return nil }
        let file = file
        let start = offset
        let count = Int(min(Int64(Self.pieceSize), file.size - start))
        do throws(StoreError) {
            let buffer = try await blocking { () throws(StoreError) in
                var buffer = ByteBufferAllocator().buffer(capacity: count)
                var failure: StoreError?
                buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { room in
                    do throws(StoreError) {
                        return try file.read(
                            at: start, into: UnsafeMutableRawBufferPointer(rebasing: room[..<count]))
                    } catch {
                        failure = error
                        return 0
                    }
                }
                if let failure { throw failure }
                return buffer
            }
            offset += Int64(buffer.readableBytes)
            return buffer
        } catch {
            throw RegistryError.source(error.description, remedy: error.remedy)
        }
    }
}
