internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import OCISpec

/// Reads an archive that can be read only once. Members whose use is known only later, when the manifest has come, wait
/// in a file below `ingest/`, never in memory; blobs that look like layers go straight into the store.
struct ArchiveSpool: ~Copyable {
    /// Blobs below this size are not worth a guess.
    private static let smallestLayer: Int64 = 64 << 10

    let store: ImageStore
    let source: String
    private let options: ImportOptions
    private let spool: SharedDescriptor
    private var end: Int64 = 0
    /// Layers that this import brought into the store.
    private(set) var brought: [Digest] = []
    private(set) var pins: [LayerPins] = []

    init(_ store: ImageStore, source: String, _ options: ImportOptions) throws(StoreError) {
        self.store = store
        self.options = options
        self.source = source
        do throws(SystemError) {
            let path = "\(store.directories.ingest)/\(File.randomName()).spool"
            let file = try File.open(path, O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
            // Without a name it goes with this process, however that ends.
            try File.removeIfPresent(path)
            spool = SharedDescriptor(file)
        } catch {
            throw .system(error)
        }
    }

    /// Takes in an archive that is not compressed, `start` being bytes that were already read of it.
    mutating func read(
        _ descriptor: Int32, after start: [UInt8], progress: (PullProgress) -> Void
    ) throws(StoreError) -> ArchiveFiles {
        var files = ArchiveFiles(source: source, spool: spool)
        let reader = TarReader(
            descriptor: descriptor, source: source, prefix: start, limits: ArchiveFiles.limits)
        while let entry = try reader.next() {
            let name = ArchiveFiles.clean(entry.name)
            guard var member = try ArchiveFiles.member(entry, at: end, source: source) else { continue }
            if case .content = member {
                // What may yet be refused as a whole, or is to be kept as it came, is read twice.
                let isTaken = options.admit == nil && !options.keepBlobs
                if isTaken, let digest = Self.blobDigest(name), entry.size >= Self.smallestLayer {
                    member = try takeBlob(digest, entry.size, reader, progress)
                } else {
                    try keep(reader)
                }
            }
            files.members[name] = member
        }
        return files
    }

    /// Takes in a compressed archive: inflated it can be read at any offset.
    mutating func inflate(_ descriptor: Int32, after start: [UInt8]) throws(StoreError) -> ArchiveFiles {
        var decoder = LayerDecoder()
        let input = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 4096)
        let output = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        defer {
            input.deallocate()
            output.deallocate()
        }
        input.copyBytes(from: start)
        var filled = start.count
        while filled > 0 {
            var rest = UnsafeRawBufferPointer(rebasing: input[..<filled])
            var written = 0
            repeat {
                do throws(CompressionError) { written = try decoder.decode(&rest, into: output) } catch {
                    throw .damagedCompression(source: source, error)
                }
                try append(UnsafeRawBufferPointer(rebasing: output[..<written]))
            } while !rest.isEmpty || written == output.count || decoder.hasPendingHead
            let got = retrying { () -> Int in
                let got = Glibc.read(descriptor, input.baseAddress, input.count)
                return got < 0 ? -Int(errno) : got
            }
            if got < 0 { throw .system(SystemError("read", path: source, Errno(rawValue: Int32(-got)))) }
            filled = got
        }
        let written: Int
        do throws(CompressionError) { written = try decoder.finish(into: output) } catch {
            throw .damagedCompression(source: source, error)
        }
        try append(UnsafeRawBufferPointer(rebasing: output[..<written]))
        return try ArchiveFiles(indexing: spool, from: 0, source: source)
    }

    private mutating func keep(_ reader: TarReader) throws(StoreError) {
        while let piece = try reader.read() { try append(piece) }
    }

    private mutating func append(_ piece: UnsafeRawBufferPointer) throws(StoreError) {
        do throws(SystemError) { try File.writeAll(piece, to: spool.rawValue, path: store.directories.ingest) } catch {
            throw StoreError(error, writing: end + Int64(piece.count), in: store.directories.ingest)
        }
        end += Int64(piece.count)
    }

    /// The digest a member of a layout is named by.
    private static func blobDigest(_ name: String) -> Digest? {
        let parts = name.split(separator: "/")
        guard parts.count == 3, parts[0] == "blobs" else { return nil }
        return Digest("\(parts[1]):\(parts[2])")
    }

    /// Brings a blob into the store as a layer if it looks like one; else it waits with the rest.
    private mutating func takeBlob(
        _ digest: Digest, _ size: Int64, _ reader: TarReader, _ progress: (PullProgress) -> Void
    ) throws(StoreError) -> ArchiveFiles.Member {
        var head: [UInt8] = []
        while head.count < 512, let piece = try reader.read() { head.append(contentsOf: piece) }
        guard let mediaType = Self.layerType(head) else {
            let offset = end
            try pass(head) { bytes throws(StoreError) in try append(bytes) }
            try keep(reader)
            return .content(offset: offset, size: size)
        }
        pins.append(try store.pinLayers([digest]))
        progress(PullProgress(layer: digest, received: 0, total: size, phase: .waiting))
        let lock = try store.lockLayer(digest)
        defer { withExtendedLifetime(lock) {} }
        let descriptor = Descriptor(mediaType: mediaType, digest: digest, size: size)
        if try store.layer(descriptor, diffID: nil) != nil {
            progress(PullProgress(layer: digest, received: size, total: size, phase: .exists))
            return .stored(digest, size: size)
        }
        try store.reserveSpace(for: [descriptor])
        let ingest = try store.ingestLayer(descriptor, expectedDiffID: nil)
        do throws(StoreError) {
            var received = Int64(head.count)
            try pass(head) { bytes throws(StoreError) in try ingest.receive(bytes) }
            while let piece = try reader.read() {
                try ingest.receive(piece)
                received += Int64(piece.count)
                progress(PullProgress(layer: digest, received: received, total: size, phase: .pulling))
            }
            progress(PullProgress(layer: digest, received: size, total: size, phase: .verifying))
            _ = try ingest.finish()
        } catch {
            ingest.abandon()
            switch error {
            case .refusedArchive, .damagedCompression, .unsupportedLayer: return .refused(error)
            default: throw error
            }
        }
        brought.append(digest)
        progress(PullProgress(layer: digest, received: size, total: size, phase: .done))
        return .stored(digest, size: size)
    }

    /// The media type of a layer that begins like this; nil for what is none.
    private static func layerType(_ head: [UInt8]) -> String? {
        switch LayerCompression(sniffing: head) {
        case .gzip: MediaType.ociLayerGzip
        case .zstd: MediaType.ociLayerZstd
        case .none: head.count >= 262 && head[257..<262].elementsEqual("ustar".utf8) ? MediaType.ociLayer : nil
        }
    }
}
