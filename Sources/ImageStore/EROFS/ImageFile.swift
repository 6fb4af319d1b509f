internal import CLinux
internal import Glibc
internal import LinuxSystem

/// The file an EROFS image is written to, strictly forwards: whole aligned 4 MiB pieces that bypass the page cache
/// where the file system allows it. What is written is not read again through this file but through a mount of it, so
/// caching it would cost a copy and a page for nothing.
final class ImageFile {
    static let bufferSize = 4 << 20

    let path: String
    private let descriptor: OwnedDescriptor
    private let buffer: UnsafeMutableRawPointer
    /// The file offset of the buffer's first byte; a multiple of the block size.
    private var start: Int64 = 0
    private var fill = 0
    private var isDirect: Bool
    private var isPreallocated = false
    /// Where reserved space is to be given back.
    private var holes: [Range<Int64>] = []
    /// Up to where write-back was started.
    private var writtenBack: Int64 = 0

    /// Creates the file; it must not exist.
    init(creating path: String) throws(SystemError) {
        self.path = path
        descriptor = try File.open(path, O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
        isDirect = false
        buffer = .allocate(byteCount: Self.bufferSize, alignment: 4096)
        do throws(SystemError) { try setDirect(true) } catch {
            // tmpfs before Linux 6.6 and some network file systems have no direct writes.
            guard error.errno == .invalidArgument else { throw error }
        }
    }

    deinit { buffer.deallocate() }

    /// Where the next byte goes.
    var position: Int64 { start + Int64(fill) }

    /// Reserves disk space for an image of about this size, where the file system can.
    func preallocate(_ length: Int64) throws(SystemError) {
        let result = mlr_fallocate(descriptor.rawValue, Int32(MLR_FALLOC_FL_KEEP_SIZE), 0, max(length, 4096))
        if result == -EOPNOTSUPP || result == -ENOSYS { return }
        try check(result, "reserve space for", path: path)
        isPreallocated = true
    }

    func append(_ bytes: UnsafeRawBufferPointer) throws(SystemError) {
        var rest = bytes
        while let source = rest.baseAddress, !rest.isEmpty {
            let count = min(rest.count, room)
            (buffer + fill).copyMemory(from: source, byteCount: count)
            fill += count
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            if room == 0 { try flush() }
        }
    }

    func appendZeros(_ count: Int64) throws(SystemError) {
        var rest = count
        while rest > 0 {
            let part = Int(min(rest, Int64(room)))
            memset(buffer + fill, 0, part)
            fill += part
            rest -= Int64(part)
            if room == 0 { try flush() }
        }
    }

    /// Fills up to a multiple of `alignment` with zeros.
    func align(to alignment: Int) throws(SystemError) {
        try appendZeros(Erofs.roundedUp(position, to: Int64(alignment)) - position)
    }

    /// Leaves a hole up to `target`. Both ends are multiples of the block size.
    func skip(to target: Int64) throws(SystemError) {
        if target == position { return }
        try flush()
        if isPreallocated {
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
        try write(UnsafeRawBufferPointer(start: buffer, count: fill), at: start)
        start += Int64(fill)
        fill = 0
    }

    /// Changes bytes that were written before, through the page cache. Only after ``flush()``.
    func patch(_ value: UInt32, at offset: Int64) throws(SystemError) {
        try setDirect(false)
        var value = value.littleEndian
        try withUnsafeBytes(of: &value) { bytes throws(SystemError) in try write(bytes, at: offset) }
    }

    /// Writes the first block and sets the file's length to the position.
    func finish(firstBlock: UnsafeRawBufferPointer) throws(SystemError) {
        precondition(fill == 0 && firstBlock.count == Erofs.blockSize)
        buffer.copyMemory(from: firstBlock.baseAddress!, byteCount: Erofs.blockSize)
        try write(UnsafeRawBufferPointer(start: buffer, count: Erofs.blockSize), at: 0)
        let result = retrying { ftruncate(descriptor.rawValue, off_t(start)) < 0 ? -errno : 0 }
        try check(result, "set the length of", path: path)
        // Only now: ext4 does not give back what lies behind the end of a file.
        for hole in holes {
            let mode = Int32(MLR_FALLOC_FL_KEEP_SIZE | MLR_FALLOC_FL_PUNCH_HOLE)
            let result = mlr_fallocate(descriptor.rawValue, mode, hole.lowerBound, hole.upperBound - hole.lowerBound)
            try check(result, "leave a hole in", path: path)
        }
    }

    /// Removes the file and frees its space at once, though it is still open.
    func discard() {
        _ = unlink(path)
        _ = ftruncate(descriptor.rawValue, 0)
    }

    /// Makes the content durable.
    func sync() throws(SystemError) { try File.sync(descriptor.rawValue, path: path) }

    // MARK: Writing

    /// The buffer ends at multiples of its size in the file, so that writes stay aligned after a hole.
    private var room: Int { Self.bufferSize - Int(start % Int64(Self.bufferSize)) - fill }

    private func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(SystemError) {
        guard offset + Int64(bytes.count) <= Erofs.largestImage else {
            throw SystemError("write", path: path, Errno(rawValue: EFBIG))
        }
        var done = 0
        while done < bytes.count {
            let written = retrying { () -> Int in
                let written = pwrite(
                    descriptor.rawValue, bytes.baseAddress! + done, bytes.count - done, off_t(offset) + off_t(done))
                return written < 0 ? -Int(errno) : written
            }
            if written == -Int(EINVAL), isDirect {
                try setDirect(false)
                continue
            }
            // A disk that is nearly full may take the first part of a piece.
            if written == 0 { throw SystemError("write", path: path, .noSpace) }
            try check(written, "write", path: path)
            done += written
            // What is left of a piece cut short is aligned no more.
            if isDirect, done < bytes.count, done % Erofs.blockSize != 0 { try setDirect(false) }
        }
        if !isDirect { startWriteBack(upTo: offset + Int64(bytes.count)) }
    }

    /// Lets the kernel write cached pages early, so that the final flush is short. Only a hint: it may fail.
    private func startWriteBack(upTo end: Int64) {
        guard end - writtenBack >= 32 << 20 else { return }
        _ = mlr_sync_file_range(
            descriptor.rawValue, writtenBack, end - writtenBack, UInt32(MLR_SYNC_FILE_RANGE_WRITE))
        writtenBack = end
    }

    private func setDirect(_ direct: Bool) throws(SystemError) {
        if isDirect == direct { return }
        let flags = try check(mlr_fcntl_int(descriptor.rawValue, F_GETFL, 0), "read the flags of", path: path)
        let changed = direct ? flags | MLR_O_DIRECT : flags & ~MLR_O_DIRECT
        try check(mlr_fcntl_int(descriptor.rawValue, F_SETFL, changed), "set the flags of", path: path)
        isDirect = direct
    }
}
