internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import OCISpec

/// A control connection: whole messages in, whole messages out, descriptors with either.
final class ControlPeer {
    static let largestMessage = 64 << 10
    /// A peer that lets this many messages lie does not read.
    private static let mostUnsent = 4096

    enum Received {
        case message([UInt8], [SharedDescriptor])
        /// Larger than a message may be, or with too many descriptors; it has been thrown away.
        case oversized
        case nothing
        case ended
    }

    private let socket: OwnedDescriptor
    private var unsent: [(bytes: [UInt8], descriptor: SharedDescriptor?)] = []

    init(_ socket: consuming OwnedDescriptor) { self.socket = socket }

    var descriptor: Int32 { socket.rawValue }
    var hasUnsent: Bool { !unsent.isEmpty }

    func receive() -> Received {
        var bytes = [UInt8](repeating: 0, count: Self.largestMessage)
        var descriptors: [Int32] = [-1, -1, -1, -1]
        var count = descriptors.count
        let got = retrying {
            bytes.withUnsafeMutableBytes {
                mlr_receive_descriptors(
                    socket.rawValue, $0.baseAddress, $0.count, &descriptors, &count, Int32(MLR_MSG_DONTWAIT))
            }
        }
        switch got {
        case Int64(-EAGAIN): return .nothing
        case Int64(-EMSGSIZE): return .oversized
        case ..<1: return .ended
        default:
            let owned = descriptors.prefix(count).map { SharedDescriptor(taking: $0) }
            return .message(Array(bytes[..<Int(got)]), owned)
        }
    }

    /// Sends now or when the peer has room. False when the peer has to be given up.
    func send(_ message: JSON, with descriptor: SharedDescriptor? = nil) -> Bool {
        guard unsent.count < Self.mostUnsent else { return false }
        unsent.append((message.bytes(), descriptor))
        return unsent.count > 1 ? true : sendUnsent()
    }

    /// Goes on where the peer had no room.
    func sendUnsent() -> Bool {
        var done = 0
        defer { unsent.removeFirst(done) }
        for message in unsent {
            let sent = retrying {
                var number = message.descriptor?.rawValue ?? -1
                return message.bytes.withUnsafeBytes {
                    mlr_send_descriptors(
                        socket.rawValue, $0.baseAddress, $0.count, &number, message.descriptor == nil ? 0 : 1,
                        Int32(MLR_MSG_DONTWAIT))
                }
            }
            if sent == Int64(-EAGAIN) { return true }
            if sent < 0 { return false }
            done += 1
        }
        return true
    }
}
