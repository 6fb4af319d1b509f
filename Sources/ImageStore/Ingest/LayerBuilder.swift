internal import LinuxSystem

/// Turns a layer's tar archive into an EROFS image, as it streams in: the archive's rules on one side, the OCI image
/// specification's changesets (layer.md) on the other.
final class LayerBuilder {
    let parser: TarParser
    var tree: LayerTree
    /// Names the archive in errors.
    private let source: String
    private let writer: ErofsWriter
    /// Bytes of filled holes, their maps and attributes that the layer may have.
    private let sparseLimit: Int64
    /// Whether the current member is a file whose content is kept.
    private var isReceivingFile = false
    /// The attributes of the last member that had any, encoded, and where the tree has them.
    var lastAttributes: (encoded: [UInt8], place: UInt32) = ([], 0)
    /// Bytes of attributes in the image: a global header's are written again with each member.
    var attributesWritten: Int64 = 0

    init(
        source: String, file: ImageFile, limits: ArchiveLimits = ArchiveLimits(), sparseLimit: Int64 = .max
    ) throws(StoreError) {
        self.source = source
        self.sparseLimit = sparseLimit
        parser = TarParser(limits: limits)
        tree = LayerTree(limits: limits)
        do throws(SystemError) { writer = try ErofsWriter(file) } catch { throw .system(error) }
    }

    /// Takes the next bytes of the archive.
    func consume(_ bytes: UnsafeRawBufferPointer) throws(StoreError) {
        var input = bytes
        while true {
            let event: TarParser.Event
            do throws(ArchiveError) { event = try parser.next(&input) } catch {
                throw .refusedArchive(source: source, error)
            }
            switch event {
            case .needsInput: return
            case .entry: try beginMember()
            case .data(let piece, let offset):
                if isReceivingFile {
                    do throws(SystemError) { try writer.write(piece, at: offset) } catch { throw .system(error) }
                    try checkOverhead()
                }
            case .entryEnd: try endMember()
            }
        }
    }

    /// Completes the image once the archive has ended; `identifier` becomes its UUID.
    func finish(identifier: [UInt8]) throws(StoreError) {
        do throws(ArchiveError) { try parser.finish() } catch { throw .refusedArchive(source: source, error) }
        do throws(SystemError) {
            var layout = ImageLayout(writer)
            try layout.complete(&tree, identifier: identifier)
        } catch {
            throw .system(error)
        }
    }

    private func beginMember() throws(StoreError) {
        let entry = parser.entry
        let file: UInt32?
        do throws(ArchiveError.Problem) {
            file = try entry.path.withBytes { path throws(ArchiveError.Problem) in try add(entry, at: path) }
        } catch {
            throw .refusedArchive(source: source, parser.failure(error))
        }
        try checkOverhead()
        guard let file else { return }
        isReceivingFile = true
        do throws(SystemError) {
            let hasContent = parser.storedRemaining > 0
            try writer.begin(file, in: &tree, isSparse: entry.isSparse, hasContent: hasContent)
        } catch {
            throw .system(error)
        }
    }

    private func endMember() throws(StoreError) {
        guard isReceivingFile else { return }
        isReceivingFile = false
        do throws(SystemError) { try writer.end(in: &tree) } catch { throw .system(error) }
        try checkOverhead()
    }

    private func checkOverhead() throws(StoreError) {
        if writer.sparseOverhead + attributesWritten > sparseLimit {
            throw .refusedArchive(source: source, parser.failure(.expandsTooMuch(limit: sparseLimit)))
        }
    }
}

extension [UInt8] {
    func withBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        var result: Swift.Result<Result, Failure>?
        withUnsafeBytes { bytes in
            do throws(Failure) { result = .success(try body(bytes)) } catch { result = .failure(error) }
        }
        guard let result else { preconditionFailure("the closure runs once") }
        return try result.get()
    }
}
