internal import CLinux
internal import Glibc
internal import LinuxSystem

/// One output stream of a replica on its way to the log: a FIFO that the replica writes, and a file behind it.
///
/// splice(2) moves bytes from the FIFO to the end of the file inside the kernel, so at any instant at which this
/// process can be killed a byte is in exactly one of the two. What has been logged is punched out of the file: its size
/// only grows, and with it the offsets that log records carry, while it occupies next to nothing.
final class Spool {
    /// What the FIFO holds while nobody reads; the kernel's limit for unprivileged processes.
    private static let fifoCapacity: Int32 = 1 << 20
    private static let punchAfter: Int64 = 256 << 10

    let fifo: SharedDescriptor
    private let file: SharedDescriptor
    private let path: String
    private var punched: Int64
    /// Bytes that have arrived from the FIFO.
    private(set) var end: Int64
    /// Bytes that have been logged.
    private(set) var consumed: Int64

    /// Makes the FIFO for a new replica, owned by the user that is to open it again as /dev/stdout.
    static func makeFIFO(_ path: String, uid: UInt32, gid: UInt32) throws(SystemError) {
        try File.removeIfPresent(path)
        if mkfifo(path, 0o600) < 0 { throw SystemError("create the FIFO", path: path, Errno(rawValue: errno)) }
        if chown(path, uid, gid) < 0 { throw SystemError("change the owner of", path: path, Errno(rawValue: errno)) }
    }

    /// The FIFO as the replica's stdout or stderr: open for reading too, so that writing never raises SIGPIPE while no
    /// supervisor runs.
    static func openForReplica(_ path: String) throws(SystemError) -> OwnedDescriptor {
        let descriptor = try File.open(path, O_RDWR)
        // Slack for the time without a supervisor; a host that allows less gives less.
        _ = mlr_fcntl_int(descriptor.rawValue, Int32(MLR_F_SETPIPE_SZ), fifoCapacity)
        return descriptor
    }

    /// Opens both; `consumed` is what the log already holds.
    init(fifo fifoPath: String, file filePath: String, consumed: Int64) throws(SystemError) {
        fifo = SharedDescriptor(try File.open(fifoPath, O_RDONLY | O_NONBLOCK))
        file = SharedDescriptor(try File.open(filePath, O_RDWR | O_CREAT, mode: 0o600))
        path = filePath
        end = Int64(try File.status(of: file.rawValue).size)
        self.consumed = min(consumed, end)
        punched = 0
        try punch(atLeast: 1)
    }

    /// The most bytes that the FIFO can hold.
    var capacity: Int { max(Int(mlr_fcntl_int(fifo.rawValue, Int32(MLR_F_GETPIPE_SZ), 0)), Int(Self.fifoCapacity)) }

    enum Arrival { case bytes(Int), nothing, hangUp }

    /// Moves at most `limit` bytes from the FIFO into the file.
    func take(atMost limit: Int) throws(SystemError) -> Arrival {
        var offset = end
        let flags = UInt32(MLR_SPLICE_F_MOVE | MLR_SPLICE_F_NONBLOCK)
        let moved = retrying { mlr_splice(fifo.rawValue, file.rawValue, &offset, limit, flags) }
        if moved == -Int64(EAGAIN) { return .nothing }
        try check(moved, "move output to", path: path)
        end += moved
        return moved == 0 ? .hangUp : .bytes(Int(moved))
    }

    /// Reads what has arrived and is not logged, at most `limit` bytes of it.
    func pending(atMost limit: Int) throws(SystemError) -> [UInt8] {
        let wanted = Int(min(end - consumed, Int64(limit)))
        if wanted == 0 { return [] }
        var failure: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: wanted) { buffer, count in
            while count < wanted {
                let got = pread(file.rawValue, buffer.baseAddress! + count, wanted - count, off_t(consumed) + count)
                if got < 0, errno == EINTR { continue }
                if got < 0 { failure = errno }
                if got <= 0 { return }
                count += got
            }
        }
        if failure != 0 { throw SystemError("read", path: path, Errno(rawValue: failure)) }
        return bytes
    }

    /// Notes that bytes are logged and gives their space back now and then.
    func consume(_ count: Int) throws(SystemError) {
        consumed += Int64(count)
        try punch(atLeast: Self.punchAfter)
    }

    private func punch(atLeast least: Int64) throws(SystemError) {
        guard consumed - punched >= least else { return }
        let mode = Int32(MLR_FALLOC_FL_PUNCH_HOLE | MLR_FALLOC_FL_KEEP_SIZE)
        try check(mlr_fallocate(file.rawValue, mode, punched, consumed - punched), "free the start of", path: path)
        punched = consumed
    }
}
