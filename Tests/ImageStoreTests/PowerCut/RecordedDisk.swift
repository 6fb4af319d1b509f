import CLinux
import Glibc
import LinuxSystem
import Synchronization

/// A disk that remembers every write and every flush in the order they came: one file of a FUSE file system that this
/// process serves, for a loop device to stand on. The kernel sends it what it would send to a disk.
final class RecordedDisk: Sendable {
    enum Event: Sendable {
        case write(at: Int, [UInt8])
        /// Everything written before is on the disk when this was answered.
        case flush
    }

    private struct State {
        var content: [UInt8]
        var events: [Event] = []
    }

    /// Of the disk.
    let path: String
    private let connection: SharedDescriptor
    private let state: Mutex<State>

    /// Mounts it at a directory, in the mount namespace of this thread.
    init(at directory: String, content: [UInt8]) throws {
        path = "\(directory)/disk"
        state = Mutex(State(content: content))
        connection = SharedDescriptor(try File.open("/dev/fuse", O_RDWR))
        try check(
            mlr_mount(
                "disk", directory, "fuse", UInt(MLR_MS_NOSUID | MLR_MS_NODEV),
                "fd=\(connection.rawValue),rootmode=40000,user_id=0,group_id=0"), "mount the recorded disk at",
            path: directory)
        startThread { [self] in serve() }
    }

    /// How many events there were so far.
    var count: Int { state.withLock { $0.events.count } }
    var events: [Event] { state.withLock { $0.events } }

    // MARK: The protocol (Linux include/uapi/linux/fuse.h)

    private static let largestWrite = 1 << 20
    private static let headerSize = 40

    private func serve() {
        let room = Self.largestWrite + (64 << 10)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: room, alignment: 4096)
        defer { buffer.deallocate() }
        while true {
            let got = read(connection.rawValue, buffer.baseAddress, room)
            if got < 0, errno == EINTR || errno == ENOENT || errno == EAGAIN { continue }
            // Unmounted.
            guard got >= Self.headerSize else { return }
            answer(UnsafeRawBufferPointer(rebasing: buffer[..<got]))
        }
    }

    private func answer(_ request: UnsafeRawBufferPointer) {
        let operation = request.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
        let node = request.loadUnaligned(fromByteOffset: 16, as: UInt64.self)
        func number(_ offset: Int) -> Int {
            Int(request.loadUnaligned(fromByteOffset: Self.headerSize + offset, as: UInt64.self))
        }
        func small(_ offset: Int) -> Int {
            Int(request.loadUnaligned(fromByteOffset: Self.headerSize + offset, as: UInt32.self))
        }
        var reply = Reply()
        switch operation {
        case 26:  // INIT
            reply.add(UInt32(7))
            reply.add(UInt32(31))
            reply.add(UInt32(0))
            // Writes larger than a page, as large as said below.
            reply.add(UInt32(1 << 5 | 1 << 22))
            reply.add(UInt16(12))
            reply.add(UInt16(9))
            reply.add(UInt32(Self.largestWrite))
            reply.add(UInt32(1))
            reply.add(UInt16(Self.largestWrite >> 12))
            reply.addZeros(34)
        case 1:  // LOOKUP
            let name = request.dropFirst(Self.headerSize).prefix { $0 != 0 }
            guard name.elementsEqual("disk".utf8) else { return send(reply, to: request, error: ENOENT) }
            reply.add(UInt64(2))
            reply.addZeros(8)
            reply.add(UInt64(3600))
            reply.add(UInt64(3600))
            reply.addZeros(8)
            attributes(of: 2, &reply)
        case 3, 4:  // GETATTR, SETATTR
            reply.add(UInt64(3600))
            reply.addZeros(8)
            attributes(of: node, &reply)
        case 14, 27:  // OPEN, OPENDIR
            reply.addZeros(16)
        case 15:  // READ
            let (offset, size) = (number(8), small(16))
            state.withLock {
                reply.add($0.content[min(offset, $0.content.count)..<min(offset + size, $0.content.count)])
            }
        case 16:  // WRITE
            let (offset, size) = (number(8), small(16))
            let bytes = Array(request[(Self.headerSize + 40)..<(Self.headerSize + 40 + size)])
            let fits = state.withLock { state in
                guard offset + size <= state.content.count else { return false }
                state.content.replaceSubrange(offset..<offset + size, with: bytes)
                state.events.append(.write(at: offset, bytes))
                return true
            }
            guard fits else { return send(reply, to: request, error: EFBIG) }
            reply.add(UInt32(size))
            reply.addZeros(4)
        case 20:  // FSYNC
            state.withLock { $0.events.append(.flush) }
        case 17:  // STATFS
            reply.addZeros(40)
            reply.add(UInt32(4096))
            reply.add(UInt32(255))
            reply.add(UInt32(4096))
            reply.addZeros(28)
        case 18, 25, 29, 34, 38: break  // RELEASE, FLUSH, RELEASEDIR, ACCESS, DESTROY
        case 2, 36, 42: return  // FORGET, INTERRUPT, BATCH_FORGET have no answer
        default: return send(reply, to: request, error: ENOSYS)
        }
        send(reply, to: request, error: 0)
    }

    private func attributes(of node: UInt64, _ reply: inout Reply) {
        let size = state.withLock { UInt64($0.content.count) }
        reply.add(node)
        reply.add(node == 1 ? 0 : size)
        reply.add(node == 1 ? 0 : size / 512)
        reply.addZeros(36)
        reply.add(node == 1 ? UInt32(0o040755) : UInt32(0o100600))
        reply.add(UInt32(1))
        reply.addZeros(12)
        reply.add(UInt32(4096))
        reply.addZeros(4)
    }

    private func send(_ reply: Reply, to request: UnsafeRawBufferPointer, error: Int32) {
        let body = error == 0 ? reply.bytes : []
        var message = Reply()
        message.add(UInt32(16 + body.count))
        message.add(UInt32(bitPattern: -error))
        message.add(request.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        message.add(body[...])
        _ = message.bytes.withUnsafeBytes { write(connection.rawValue, $0.baseAddress, $0.count) }
    }

    private struct Reply {
        private(set) var bytes: [UInt8] = []

        mutating func add(_ number: some FixedWidthInteger) {
            withUnsafeBytes(of: number) { bytes.append(contentsOf: $0) }
        }
        mutating func add(_ content: ArraySlice<UInt8>) { bytes.append(contentsOf: content) }
        mutating func addZeros(_ count: Int) { bytes.append(contentsOf: repeatElement(0, count: count)) }
    }
}
