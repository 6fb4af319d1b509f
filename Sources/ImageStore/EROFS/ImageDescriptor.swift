internal import CLinux
internal import Glibc
internal import LinuxSystem

/// The open file below an ``ImageFile``: writes pieces at their places, past the page cache where the file system allows
/// it and the piece is aligned. Used by one thread at a time.
final class ImageDescriptor {
    let path: String
    private let descriptor: OwnedDescriptor
    private var isDirect = false
    /// Up to where write-back was started.
    private var writtenBack: Int64 = 0
    private let checksum = ImageChecksum()
    /// Where bytes were changed after they had been taken into it.
    private var patched: [Int64] = []

    /// Creates the file; it must not exist.
    init(creating path: String) throws(SystemError) {
        self.path = path
        descriptor = try File.open(path, O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
        do throws(SystemError) { try setDirect(true) } catch {
            // tmpfs before Linux 6.6 and some network file systems have no direct writes.
            guard error.errno == .invalidArgument else { throw error }
        }
    }

    /// Reserves disk space up to a length, which stays as it is; false where the file system cannot.
    func reserve(_ length: Int64) throws(SystemError) -> Bool {
        func allocate() -> Int32 {
            mlr_fallocate(descriptor.rawValue, Int32(MLR_FALLOC_FL_KEEP_SIZE), 0, max(length, 4096))
        }
        var result = allocate()
        if result == -EINVAL, isDirect {
            // Overlayfs takes the flag for direct writes, and refuses every use of a file below it that has none.
            try setDirect(false)
            result = allocate()
        }
        if result == -EOPNOTSUPP || result == -ENOSYS { return false }
        try check(result, "reserve space for", path: path)
        return true
    }

    /// Writes a piece that stands behind all before it, and takes it into the checksum.
    func append(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(SystemError) {
        try write(bytes, at: offset)
        checksum.take(bytes, at: offset)
    }

    /// By which the file can be checked later, its first block being this one.
    func finishChecksum(firstBlock: UnsafeRawBufferPointer, length: Int64) throws(SystemError) -> UInt64 {
        try checksum.replace(piecesAt: patched, length: length) { range, room throws(SystemError) in
            try File.readAll(into: room, from: descriptor.rawValue, at: range.lowerBound, path: path)
        }
        return checksum.finish(firstBlock: firstBlock, length: length)
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(SystemError) {
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

    /// Changes bytes that were written before, through the page cache.
    func patch(_ value: UInt32, at offset: Int64) throws(SystemError) {
        try setDirect(false)
        var value = value.littleEndian
        try withUnsafeBytes(of: &value) { bytes throws(SystemError) in try write(bytes, at: offset) }
        patched.append(offset)
    }

    func setLength(_ length: Int64) throws(SystemError) {
        let result = retrying { ftruncate(descriptor.rawValue, off_t(length)) < 0 ? -errno : 0 }
        try check(result, "set the length of", path: path)
    }

    func punch(_ hole: Range<Int64>) throws(SystemError) {
        let mode = Int32(MLR_FALLOC_FL_KEEP_SIZE | MLR_FALLOC_FL_PUNCH_HOLE)
        let result = mlr_fallocate(descriptor.rawValue, mode, hole.lowerBound, hole.upperBound - hole.lowerBound)
        try check(result, "leave a hole in", path: path)
    }

    /// Removes the file and frees its space at once, though it is still open.
    func discard() {
        _ = unlink(path)
        _ = ftruncate(descriptor.rawValue, 0)
    }

    /// Makes the content durable.
    func sync() throws(SystemError) { try File.sync(descriptor.rawValue, path: path) }

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
