internal import Glibc
internal import LinuxSystem

/// Reads a tar archive from a descriptor, member by member, forwards only: for `docker save` and OCI archives.
///
/// ```
/// while let entry = try reader.next() {
///     while let piece = try reader.read() { … }
/// }
/// ```
/// Content that is not read is skipped, by seeking where the descriptor can seek. Errors name `source`.
public final class TarReader {
    private let descriptor: Int32
    private let source: String
    private let parser: TarParser
    private let buffer: UnsafeMutableRawBufferPointer
    private var input = UnsafeRawBufferPointer(start: nil, count: 0)
    /// The size of a regular file; nil for what cannot seek.
    private let fileSize: Int64?
    private var atEnd = false
    private var insideEntry = false

    /// The descriptor is borrowed, is read from its current offset, and must outlive the reader. `prefix` holds bytes
    /// that were already taken from it.
    public init(descriptor: Int32, source: String, prefix: [UInt8] = [], limits: ArchiveLimits = ArchiveLimits()) {
        self.descriptor = descriptor
        self.source = source
        parser = TarParser(limits: limits)
        buffer = .allocate(byteCount: max(256 << 10, prefix.count), alignment: 4096)
        buffer.copyBytes(from: prefix)
        input = UnsafeRawBufferPointer(rebasing: buffer[..<prefix.count])
        var status = stat()
        fileSize = fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG ? Int64(status.st_size) : nil
    }

    deinit { buffer.deallocate() }

    /// The next member, or nil at the end of the archive.
    public func next() throws(StoreError) -> TarEntry? {
        while true {
            if insideEntry { try skipBody() }
            switch try event() {
            case .entry:
                insideEntry = true
                return parser.entry
            case .data, .entryEnd: continue
            case .needsInput:
                if try !refill() { return nil }
            }
        }
    }

    /// The next piece of the member's content, valid until the next call; nil at its end. Holes of sparse members are
    /// left out.
    public func read() throws(StoreError) -> UnsafeRawBufferPointer? {
        while insideEntry {
            switch try event() {
            case .data(let piece, offset: _): return piece
            case .entryEnd, .entry: insideEntry = false
            case .needsInput:
                if try !refill() { insideEntry = false }
            }
        }
        return nil
    }

    /// The whole content of the member, refused beyond `limit` bytes.
    public func readAll(limit: Int) throws(StoreError) -> [UInt8] {
        guard parser.entry.size <= limit else {
            throw .refusedArchive(source: source, parser.failure(.fileTooLarge(limit: Int64(limit))))
        }
        var content: [UInt8] = []
        content.reserveCapacity(Int(parser.entry.size))
        while let piece = try read() { content.append(contentsOf: piece) }
        return content
    }

    private func event() throws(StoreError) -> TarParser.Event {
        do throws(ArchiveError) { return try parser.next(&input) } catch {
            throw .refusedArchive(source: source, error)
        }
    }

    private func skipBody() throws(StoreError) {
        let stored = parser.storedRemaining
        let far = stored - Int64(input.count)
        if let fileSize, far > Int64(buffer.count) {
            let here = Int64(lseek(descriptor, 0, SEEK_CUR))
            // A file that ends before its member does is read to its end, so that the parser sees it cut.
            if here >= 0, fileSize - here >= far, lseek(descriptor, off_t(far), SEEK_CUR) >= 0 {
                parser.skipStored(stored)
                input = UnsafeRawBufferPointer(start: nil, count: 0)
            }
        }
        while try read() != nil {}
    }

    /// Whether there was more to read. At the end it checks that the archive may end here.
    private func refill() throws(StoreError) -> Bool {
        if atEnd { return false }
        let got = retrying { () -> Int in
            let got = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
            return got < 0 ? -Int(errno) : got
        }
        if got < 0 { throw .system(SystemError("read", path: source, Errno(rawValue: Int32(-got)))) }
        input = UnsafeRawBufferPointer(rebasing: buffer[..<got])
        if got > 0 { return true }
        atEnd = true
        do throws(ArchiveError) { try parser.finish() } catch { throw .refusedArchive(source: source, error) }
        return false
    }
}
