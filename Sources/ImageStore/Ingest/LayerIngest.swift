internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import OCISpec

/// Brings one layer into the store in one pass: the blob is hashed and inflated on the caller's thread while a second
/// thread hashes the archive inside and writes it as an EROFS file. Memory is bounded whatever the layer.
///
/// Not for concurrent use: one thread calls ``receive(_:)`` in order, then ``finish()``. Whatever fails, and whenever
/// the value goes without having been finished, nothing is left in the store.
public final class LayerIngest: @unchecked Sendable {
    private let descriptor: Descriptor
    private let expectedDiffID: Digest?
    private let directories: MLRunDirectories
    private let published: (LayerRecord) throws(StoreError) -> Void
    private let temporaryPath: String
    private let contentLimit: Int64

    private let ring = BlockRing()
    private let sink: LayerSink
    private let file: ImageFile
    private var decoder = LayerDecoder()
    private var hasher: ContentHasher
    private var block: UnsafeMutableRawBufferPointer?
    private var blockFill = 0
    private var received: Int64 = 0
    private var inflated: Int64 = 0
    private var isOver = false
    private var failure: StoreError?

    /// - Parameters:
    ///   - contentLimit: Bytes the archive may inflate to; by default twenty times the blob and at least 1 GiB.
    ///   - published: Called when the layer's file and record are durable.
    init(
        _ descriptor: Descriptor, expectedDiffID: Digest?, directories: MLRunDirectories, contentLimit: Int64? = nil,
        limits: ArchiveLimits = ArchiveLimits(),
        published: @escaping (LayerRecord) throws(StoreError) -> Void = { _ throws(StoreError) in }
    ) throws(StoreError) {
        guard let compression = LayerCompression(mediaType: descriptor.mediaType) else {
            throw .unsupportedLayer(descriptor.digest, mediaType: descriptor.mediaType)
        }
        self.descriptor = descriptor
        self.expectedDiffID = expectedDiffID
        self.directories = directories
        self.published = published
        let byRatio = descriptor.size.multipliedReportingOverflow(by: 20)
        self.contentLimit = contentLimit ?? max(byRatio.overflow ? .max : byRatio.partialValue, 1 << 30)
        hasher = ContentHasher(like: descriptor.digest)
        temporaryPath = "\(directories.ingest)/\(descriptor.digest.hex).\(File.randomName()).part"
        do throws(SystemError) { file = try ImageFile(creating: temporaryPath) } catch {
            throw StoreError(error, writing: descriptor.size, in: directories.ingest)
        }
        do throws(SystemError) {
            if compression == .none { try file.preallocate(descriptor.size) }
        } catch {
            file.discard()
            throw StoreError(error, writing: descriptor.size, in: directories.ingest)
        }
        do throws(StoreError) {
            let builder = try LayerBuilder(
                source: "layer \(descriptor.digest)", file: file, limits: limits, sparseLimit: self.contentLimit)
            sink = LayerSink(
                ring: ring, builder: builder, identifier: Self.identifier(of: descriptor.digest),
                expectedDiffID: expectedDiffID)
            try sink.start()
        } catch {
            file.discard()
            throw error
        }
    }

    deinit { abandon() }

    /// Takes the next bytes of the blob. Blocks while the layer cannot be written as fast as it comes.
    public func receive(_ bytes: UnsafeRawBufferPointer) throws(StoreError) {
        try refuseIfOver()
        received += Int64(bytes.count)
        guard received <= descriptor.size else {
            throw fail(.wrongSize(blob: descriptor.digest, expected: descriptor.size, received: received))
        }
        hasher.update(bytes)
        var input = bytes
        do throws(CompressionError) {
            while try inflate(&input) {}
        } catch {
            throw fail(.damagedCompression(source: "layer \(descriptor.digest)", error))
        }
        if block == nil, !bytes.isEmpty { throw failOfSink() }
    }

    /// Checks size, digest and diff ID, makes the layer durable and publishes it.
    public func finish() throws(StoreError) -> LayerRecord {
        try refuseIfOver()
        guard received == descriptor.size else {
            throw fail(.wrongSize(blob: descriptor.digest, expected: descriptor.size, received: received))
        }
        let computed = hasher.digest()
        guard computed == descriptor.digest else {
            throw fail(.wrongDigest(expected: descriptor.digest, computed: computed))
        }
        try finishInflating()
        ring.complete()
        sink.join()
        if sink.error != nil { throw failOfSink() }
        let diffID = sink.diffID
        if let expectedDiffID, diffID != expectedDiffID {
            throw fail(.wrongDiffID(layer: descriptor.digest, expected: expectedDiffID, computed: diffID))
        }
        let record = LayerRecord(
            digest: descriptor.digest, diffID: diffID, mediaType: descriptor.mediaType, compressedSize: received,
            fileSize: file.position, fileChecksum: file.checksum)
        do throws(SystemError) { try publish(record) } catch { throw fail(.system(error)) }
        isOver = true
        try published(record)
        return record
    }

    /// Gives the layer up and removes what was written. Harmless after ``finish()`` and when repeated.
    public func abandon() {
        if isOver { return }
        isOver = true
        ring.abort()
        sink.join()
        file.discard()
    }

    // MARK: Inflating

    /// Fills the current block; false when more input is needed, or the other stage gave up.
    private func inflate(_ input: inout UnsafeRawBufferPointer) throws(CompressionError) -> Bool {
        guard let room = freeRoom() else { return false }
        try account(try decoder.decode(&input, into: room))
        return !input.isEmpty || decoder.hasPendingHead || blockFill == BlockRing.blockSize
    }

    private func finishInflating() throws(StoreError) {
        do throws(CompressionError) {
            if let room = freeRoom() { try account(try decoder.finish(into: room)) }
        } catch {
            throw fail(.damagedCompression(source: "layer \(descriptor.digest)", error))
        }
        guard block != nil else { throw failOfSink() }
        if blockFill > 0 { ring.publish(blockFill) }
    }

    private func account(_ written: Int) throws(CompressionError) {
        blockFill += written
        inflated += Int64(written)
        if inflated > contentLimit { throw .expandsTooMuch(limit: contentLimit) }
    }

    /// What is free of the current block, or a fresh one; nil when the other stage gave up.
    private func freeRoom() -> UnsafeMutableRawBufferPointer? {
        if let current = block, blockFill < current.count {
            return UnsafeMutableRawBufferPointer(rebasing: current[blockFill...])
        }
        if block != nil { ring.publish(blockFill) }
        blockFill = 0
        block = ring.acquire()
        return block
    }

    // MARK: Ending

    /// fsync(2) of file and record come before their names, so that a name never stands for a part of a layer.
    private func publish(_ record: LayerRecord) throws(SystemError) {
        let target = "\(directories.layers)/\(record.digest.hex)"
        let temporaryRecord = "\(temporaryPath).json"
        var made = [temporaryRecord]
        do throws(SystemError) {
            try file.sync()
            let written = try File.open(temporaryRecord, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
            try File.writeAll(record.json.bytes(), to: written.rawValue, path: temporaryRecord)
            try File.sync(written.rawValue, path: temporaryRecord)
            try File.rename(temporaryPath, to: "\(target).erofs")
            made.insert("\(target).erofs", at: 0)
            try File.rename(temporaryRecord, to: "\(target).json")
            made.insert("\(target).json", at: 0)
            try File.syncDirectory(directories.layers)
        } catch {
            // The record goes first: while there is one, the layer counts as complete.
            for path in made { _ = unlink(path) }
            throw error
        }
    }

    private func refuseIfOver() throws(StoreError) {
        if let failure { throw failure }
        if isOver { throw .system(SystemError("go on with a layer that is over", .invalidArgument)) }
    }

    /// Removes what there is and remembers why, in case the caller goes on.
    private func fail(_ error: StoreError) -> StoreError {
        abandon()
        var result = error
        if case .system(let cause) = error {
            let share = received > 0 ? Double(descriptor.size) / Double(received) : 1
            // The figures are taken now that the unfinished file is gone.
            let needed = Int64(Double(file.position) * share)
            result = StoreError(cause, writing: needed, in: directories.ingest)
        }
        failure = result
        return result
    }

    private func failOfSink() -> StoreError {
        abandon()
        return fail(sink.error ?? .system(SystemError("unpack", path: temporaryPath, .inputOutput)))
    }

    /// The first half of the digest: equal layers become equal files.
    private static func identifier(of digest: Digest) -> [UInt8] {
        let digits = Array(digest.hex.utf8.prefix(32)).map { UInt8(String(UnicodeScalar($0)), radix: 16) ?? 0 }
        return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }
}
