internal import CLinux
internal import Glibc
internal import LinuxSystem

/// One answer of a socket agent.
enum AgentAnswer: Sendable {
    case socket(Int32)
    case failed(Errno)
    /// The agent has ended: nothing else will come.
    case ended
}

/// The gateway's end of the connection to the process that makes sockets inside a replica's network namespace.
///
/// Asking never blocks. Answers carry no name, so that they belong to the questions in their order.
final class SocketAgent: Sendable {
    let descriptor: SharedDescriptor

    init(_ descriptor: SharedDescriptor) throws(SystemError) {
        self.descriptor = descriptor
        try check(mlr_set_nonblocking(descriptor.rawValue, true), "set up the connection to a socket agent")
    }

    /// Asks for one unconnected IPv4 TCP socket.
    func ask() throws(SystemError) {
        var question = UInt8(ascii: "T")
        let sent = retrying { mlr_send_descriptors(descriptor.rawValue, &question, 1, nil, 0, Int32(MLR_MSG_DONTWAIT)) }
        try check(sent, "ask the socket agent for a socket")
    }

    /// The next answer, or nil when none is there yet.
    func answer() -> AgentAnswer? {
        var status: UInt8 = 0
        var socket: Int32 = -1
        var count = 1
        let got = retrying {
            mlr_receive_descriptors(descriptor.rawValue, &status, 1, &socket, &count, Int32(MLR_MSG_DONTWAIT))
        }
        switch got {
        case 1 where status == 0 && count == 1: return .socket(socket)
        case 1:
            if count == 1 { _ = close(socket) }
            return .failed(status == 0 ? Errno(rawValue: EPROTO) : Errno(rawValue: Int32(status)))
        case 0: return .ended
        case Int64(-EAGAIN): return nil
        case Int64(-EMSGSIZE): return .failed(.messageTooLong)
        default: return .ended
        }
    }
}
