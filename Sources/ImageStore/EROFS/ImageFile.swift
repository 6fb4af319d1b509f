internal import Glibc
internal import LinuxSystem

/// The file an EROFS image is written to, strictly forwards: whole aligned pieces that bypass the page cache where the
/// file system allows it. What is written is not read again through this file but through a mount of it, so caching it
/// would cost a copy and a page for nothing.
///
/// While one piece is being written the next one is filled; a file that is smaller than a piece needs neither a second
/// buffer nor a thread.
final class ImageFile {
    static let bufferSize = 1 << 20

    var path: String { file.path }
    private let file: ImageDescriptor
    private var writer: BackgroundWriter?
    private var buffer: UnsafeMutableRawPointer
    /// The one whose content is on its way to disk.
    private var other: UnsafeMutableRawPointer?
    /// The file offset of the buffer's first byte; a multiple of the block size.
    private var start: Int64 = 0
    private var fill = 0
    private var isReserved = false
    /// Where reserved space is to be given back.
    private var holes: [Range<Int64>] = []
    /// By which the content can be checked later; there after ``finish(firstBlock:)``.
    private(set) var checksum: UInt64?

    /// Creates the file; it must not exist.
    init(creating path: String) throws(SystemError) {
        file = try ImageDescriptor(creating: path)
        buffer = .allocate(byteCount: Self.bufferSize, alignment: 4096)
    }

    deinit {
        writer?.close()
        buffer.deallocate()
        other?.deallocate()
    }

    /// Where the next byte goes.
    var position: Int64 { start + Int64(fill) }

    /// Reserves disk space for an image of about this size, where the file system can.
    func preallocate(_ length: Int64) throws(SystemError) { isReserved = try file.reserve(length) }

    func append(_ bytes: UnsafeRawBufferPointer) throws(SystemError) {
        var rest = bytes
        while let source = rest.baseAddress, !rest.isEmpty {
            let count = min(rest.count, room)
            (buffer + fill).copyMemory(from: source, byteCount: count)
            fill += count
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            if room == 0 { try handOver() }
        }
    }

    func appendZeros(_ count: Int64) throws(SystemError) {
        var rest = count
        while rest > 0 {
            let part = Int(min(rest, Int64(room)))
            memset(buffer + fill, 0, part)
            fill += part
            rest -= Int64(part)
            if room == 0 { try handOver() }
        }
    }

    /// Fills up to a multiple of `alignment` with zeros.
    func align(to alignment: Int) throws(SystemError) {
        try appendZeros(Erofs.roundedUp(position, to: Int64(alignment)) - position)
    }

    /// Leaves a hole up to `target`. Both ends are multiples of the block size.
    func skip(to target: Int64) throws(SystemError) {
        if target == position { return }
        if fill > 0 { try handOver() }
        if isReserved {
            if holes.last?.upperBound == start {
                holes[holes.count - 1] = holes[holes.count - 1].lowerBound..<target
            } else {
                holes.append(start..<target)
            }
        }
        start = target
    }

    /// Writes what is buffered. The position is a multiple of the block size.
    func flush() throws(SystemError) {
        try writer?.drain()
        try file.append(UnsafeRawBufferPointer(start: buffer, count: fill), at: start)
        start += Int64(fill)
        fill = 0
    }

    /// Changes bytes that were written before. Only after ``flush()``.
    func patch(_ value: UInt32, at offset: Int64) throws(SystemError) { try file.patch(value, at: offset) }

    /// Writes the first block and sets the file's length to the position.
    func finish(firstBlock: UnsafeRawBufferPointer) throws(SystemError) {
        precondition(fill == 0 && firstBlock.count == Erofs.blockSize)
        try writer?.drain()
        checksum = try file.finishChecksum(firstBlock: firstBlock, length: start)
        buffer.copyMemory(from: firstBlock.baseAddress!, byteCount: Erofs.blockSize)
        try file.write(UnsafeRawBufferPointer(start: buffer, count: Erofs.blockSize), at: 0)
        try file.setLength(start)
        // Only now: ext4 does not give back what lies behind the end of a file.
        for hole in holes { try file.punch(hole) }
    }

    /// Removes the file and frees its space at once, though it is still open.
    func discard() {
        writer?.close()
        writer = nil
        file.discard()
    }

    /// Makes the content durable.
    func sync() throws(SystemError) { try file.sync() }

    /// The buffer ends at multiples of its size in the file, so that writes stay aligned after a hole.
    private var room: Int { Self.bufferSize - Int(start % Int64(Self.bufferSize)) - fill }

    /// Has what is buffered written, and goes on with the other buffer.
    private func handOver() throws(SystemError) {
        let writer = try backgroundWriter()
        try writer.submit(UnsafeRawBufferPointer(start: buffer, count: fill), at: start)
        start += Int64(fill)
        fill = 0
        let next = other ?? .allocate(byteCount: Self.bufferSize, alignment: 4096)
        other = buffer
        buffer = next
    }
    private func backgroundWriter() throws(SystemError) -> BackgroundWriter {
        if let writer { return writer }
        let new = try BackgroundWriter(file)
        writer = new
        return new
    }
}
