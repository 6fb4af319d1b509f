public import NIOCore
public import OCISpec

/// The bytes of a blob, piece by piece; nil at the end.
public protocol BlobPieces: Sendable {
    /// The next piece, of any size.
    func next() async throws(RegistryError) -> ByteBuffer?
}

/// A blob that can be sent: as often as needed, and from any byte on.
public struct BlobContent: Sendable {
    /// Digest and size of the whole.
    public let descriptor: Descriptor
    private let open: @Sendable (Int64) async throws(RegistryError) -> any BlobPieces

    /// - Parameter open: Gives the bytes from an offset on.
    public init(
        _ descriptor: Descriptor, open: @escaping @Sendable (Int64) async throws(RegistryError) -> any BlobPieces
    ) {
        self.descriptor = descriptor
        self.open = open
    }

    /// A blob in memory.
    public init(_ descriptor: Descriptor, bytes: [UInt8]) {
        self.init(descriptor) { offset in MemoryPieces(bytes[Int(min(offset, Int64(bytes.count)))...]) }
    }

    /// The bytes from `offset` on.
    public func pieces(from offset: Int64) async throws(RegistryError) -> any BlobPieces { try await open(offset) }
}

private actor MemoryPieces: BlobPieces {
    private var rest: ArraySlice<UInt8>?

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes.isEmpty ? nil : bytes }

    func next() -> ByteBuffer? {
        defer { rest = nil }
        return rest.map { ByteBuffer(bytes: $0) }
    }
}

/// The download of a blob as a source of what is sent elsewhere.
private actor DownloadedPieces: BlobPieces {
    private let stream: BlobStream
    private var iterator: BlobStream.Iterator?
    private var surplus: Int64

    init(_ stream: BlobStream, skipping surplus: Int64) {
        self.stream = stream
        iterator = stream.makeAsyncIterator()
        self.surplus = surplus
    }

    func next() async throws(RegistryError) -> ByteBuffer? {
        // The iterator is taken out while it works: nobody else may use it meanwhile.
        guard var current = iterator else { return nil }
        iterator = nil
        defer { iterator = current }
        while var buffer = try await current.next(isolation: self) {
            if surplus > 0 {
                let passed = min(surplus, Int64(buffer.readableBytes))
                buffer.moveReaderIndex(forwardBy: Int(passed))
                surplus -= passed
            }
            if buffer.readableBytes > 0 { return buffer }
        }
        return nil
    }
}

extension RegistryClient {
    /// A blob of a registry, to be sent elsewhere while it arrives.
    public func content(of descriptor: Descriptor, in reference: ImageReference) -> BlobContent {
        BlobContent(descriptor) { offset throws(RegistryError) in
            DownloadedPieces(try await blob(descriptor, of: reference), skipping: offset)
        }
    }
}

extension RegistryError {
    /// What is to be sent could not be read.
    public static func source(_ message: String, remedy: String?) -> RegistryError {
        RegistryError(.unsupported, message, remedy: remedy)
    }
}
