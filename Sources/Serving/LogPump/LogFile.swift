internal import CLinux
internal import Glibc
internal import LinuxSystem

/// A service's log on disk: whole records, one a line, in a file that is set aside when it is full.
///
/// Only the supervisor writes; whoever holds the supervisor's lock is the only one.
final class LogFile {
    let path: String
    private let rotation: LogRotation
    private var file: SharedDescriptor
    private(set) var size: Int64
    /// Names the file that `size` speaks of, through its renaming.
    private(set) var inode: UInt64

    /// Opens the log, and cuts off a record that was being written when its writer was killed.
    init(_ path: String, rotation: LogRotation = LogRotation()) throws(SystemError) {
        self.path = path
        self.rotation = rotation
        try File.makeDirectories(File.parent(of: path), mode: 0o700)
        file = try Self.openCurrent(path)
        let status = try File.status(of: file.rawValue)
        inode = status.inode
        size = Int64(status.size)
        let whole = try endOfLastRecord()
        if whole < size {
            if ftruncate(file.rawValue, off_t(whole)) < 0 {
                throw SystemError("cut an unfinished record off", path: path, Errno(rawValue: errno))
            }
            size = whole
        }
    }

    private static func openCurrent(_ path: String) throws(SystemError) -> SharedDescriptor {
        SharedDescriptor(try File.open(path, O_RDWR | O_CREAT | O_APPEND, mode: 0o600))
    }

    /// Appends whole records. A full disk leaves no half of one behind.
    func append(_ records: [UInt8]) throws(SystemError) {
        do throws(SystemError) {
            try File.writeAll(records, to: file.rawValue, path: path)
            size += Int64(records.count)
        } catch {
            _ = ftruncate(file.rawValue, off_t(size))
            throw error
        }
    }

    var isFull: Bool { rotation.isFull(size) }

    /// Sets the current file aside and begins a new one. Killed half-way, the next append creates what is missing.
    func rotate() throws(SystemError) {
        for (from, to) in rotation.renames(of: path) where File.exists(from) { try File.rename(from, to: to) }
        file = try Self.openCurrent(path)
        inode = try File.status(of: file.rawValue).inode
        size = 0
    }

    /// Calls `visit` with whole records from the newest back to `position` in the file `inode` (or as far as there are
    /// any), until it returns false.
    func recordsBackwards(
        to position: Int64, in inode: UInt64, _ visit: ([UInt8]) throws(SystemError) -> Bool
    ) throws(SystemError) {
        for name in rotation.paths(of: path) {
            guard File.exists(name) else { return }
            let opened = try File.open(name, O_RDONLY)
            let status = try File.status(of: opened.rawValue)
            let isLast = status.inode == inode
            let lowest = isLast ? position : 0
            let goOn = try Self.linesBackwards(
                opened.rawValue, from: Int64(status.size), to: lowest, path: name, visit)
            if isLast || !goOn { return }
        }
    }

    private func endOfLastRecord() throws(SystemError) -> Int64 {
        var end: Int64 = 0
        var upper = size
        while upper > 0 {
            let lower = max(0, upper - 65536)
            let block = try Self.block(file.rawValue, lower..<upper, path: path)
            if let newline = block.lastIndex(of: UInt8(ascii: "\n")) {
                end = lower + Int64(newline) + 1
                break
            }
            upper = lower
        }
        return end
    }

    private static func linesBackwards(
        _ descriptor: Int32, from end: Int64, to lowest: Int64, path: String,
        _ visit: ([UInt8]) throws(SystemError) -> Bool
    ) throws(SystemError) -> Bool {
        var upper = end
        // The start of a line whose end has been read; lines are put together from the back.
        var tail: [UInt8] = []
        while upper > lowest {
            let lower = max(lowest, upper - 65536)
            var block = try Self.block(descriptor, lower..<upper, path: path) + tail
            while let newline = block.dropLast().lastIndex(of: UInt8(ascii: "\n")) {
                let line = Array(block[(newline + 1)...])
                if line.last == UInt8(ascii: "\n"), try !visit(line.dropLast()) { return false }
                block.removeSubrange((newline + 1)...)
            }
            tail = block
            upper = lower
        }
        if tail.last == UInt8(ascii: "\n"), try !visit(tail.dropLast()) { return false }
        return true
    }

    private static func block(_ descriptor: Int32, _ range: Range<Int64>, path: String) throws(SystemError) -> [UInt8] {
        var failure: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: range.count) { buffer, count in
            while count < range.count {
                let got = pread(
                    descriptor, buffer.baseAddress! + count, range.count - count, off_t(range.lowerBound) + count)
                if got < 0, errno == EINTR { continue }
                if got < 0 { failure = errno }
                if got <= 0 { return }
                count += got
            }
        }
        if failure != 0 { throw SystemError("read", path: path, Errno(rawValue: failure)) }
        return bytes
    }
}
