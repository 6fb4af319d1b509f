internal import CLinux
internal import Glibc
internal import LinuxSystem

/// A connection to a message bus, or to one program directly, over a unix socket. For one thread.
final class DBusConnection {
    private let socket: SharedDescriptor
    private let address: String
    private let deadline: UInt64
    private var incoming: [UInt8] = []
    private var serial: UInt32 = 0
    /// Signals that came while a reply was waited for.
    private var signals: [DBusMessage] = []

    /// Connects and authenticates; the other side knows who we are from the socket.
    /// - Parameters:
    ///   - isBus: whether there is a bus that wants to be greeted.
    ///   - deadline: of everything that is done with the connection (CLOCK_MONOTONIC, in nanoseconds).
    init(_ address: String, isBus: Bool, deadline: UInt64) throws(DBusFailure) {
        self.address = address
        self.deadline = deadline
        do throws(SystemError) { socket = try Self.connected(address) } catch { throw .system(error) }
        // Without a name of its own the method takes the credentials of the socket, which are right in a user namespace too.
        try send(Array("\0AUTH EXTERNAL\r\n".utf8))
        guard try line().hasPrefix("DATA") else { throw .refused(address, "it does not take the identity of a socket") }
        try send(Array("DATA\r\n".utf8))
        let answer = try line()
        guard answer.hasPrefix("OK") else { throw .refused(address, "it does not let this user in (\(answer))") }
        try send(Array("BEGIN\r\n".utf8))
        if isBus { _ = try call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello") }
    }

    private static func connected(_ address: String) throws(SystemError) -> SharedDescriptor {
        let socket = SharedDescriptor(
            taking: try check(mlr_socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0), "create a socket"))
        try check(mlr_connect_unix(socket.rawValue, address), "connect to", path: address)
        return socket
    }

    /// Calls a method and waits for its reply.
    func call(
        _ destination: String?, _ path: String, _ interface: String, _ member: String, _ body: [DBusValue] = []
    ) throws(DBusFailure) -> [DBusValue] {
        serial += 1
        var message = DBusMessage(.call, serial: serial)
        message.destination = destination
        message.path = path
        message.interface = interface
        message.member = member
        message.body = body
        try send(message.bytes)
        while true {
            let answer = try receive()
            guard answer.replySerial == serial else {
                if answer.kind == .signal { signals.append(answer) }
                continue
            }
            switch answer.kind {
            case .reply: return answer.body
            case .error:
                throw .method(
                    member, name: answer.errorName ?? "", text: answer.body.first?.text ?? "it does not say why")
            case .call, .signal: continue
            }
        }
    }

    /// The first signal that a function takes; others are passed over.
    func signal<Result>(_ take: (DBusMessage) -> Result?) throws(DBusFailure) -> Result {
        while true {
            while !signals.isEmpty {
                if let result = take(signals.removeFirst()) { return result }
            }
            let message = try receive()
            if message.kind == .signal { signals.append(message) }
        }
    }

    // MARK: Bytes

    private func failure(_ operation: String, _ errno: Int32) -> DBusFailure {
        .system(SystemError(operation, path: address, Errno(rawValue: errno)))
    }

    private func wait(for events: Int32) throws(DBusFailure) {
        while true {
            let now = mlr_monotonic_nanoseconds()
            guard now < deadline else { throw failure("wait for an answer of", ETIMEDOUT) }
            var polled = pollfd(fd: socket.rawValue, events: Int16(events), revents: 0)
            let ready = poll(&polled, 1, Int32(clamping: (deadline - now + 999_999) / 1_000_000))
            if ready > 0 { return }
            if ready < 0, errno != EINTR { throw failure("wait for an answer of", errno) }
        }
    }

    private func send(_ bytes: [UInt8]) throws(DBusFailure) {
        var sent = 0
        while sent < bytes.count {
            let result = bytes.withUnsafeBytes {
                Int(
                    mlr_send_descriptors(
                        socket.rawValue, $0.baseAddress! + sent, $0.count - sent, nil, 0, Int32(MLR_MSG_DONTWAIT)))
            }
            if result >= 0 {
                sent += result
            } else if result == -Int(EAGAIN) {
                try wait(for: POLLOUT)
            } else if result != -Int(EINTR) {
                throw failure("send a message to", Int32(-result))
            }
        }
    }

    private func receiveMore() throws(DBusFailure) {
        try wait(for: POLLIN)
        var buffer = [UInt8](repeating: 0, count: 16384)
        let got = retrying { () -> Int in
            let got = Glibc.read(socket.rawValue, &buffer, buffer.count)
            return got < 0 ? -Int(errno) : got
        }
        if got == 0 { throw .refused(address, "it closed the connection") }
        if got < 0 { throw failure("receive a message of", Int32(-got)) }
        incoming.append(contentsOf: buffer[..<got])
    }

    private func line() throws(DBusFailure) -> String {
        while true {
            if let end = incoming.firstIndex(of: UInt8(ascii: "\n")) {
                let text = String(decoding: incoming[..<end], as: UTF8.self)
                incoming.removeSubrange(...end)
                return text.last == "\r" ? String(text.dropLast()) : text
            }
            guard incoming.count < 4096 else { throw .refused(address, "it does not speak D-Bus") }
            try receiveMore()
        }
    }

    private func receive() throws(DBusFailure) -> DBusMessage {
        while true {
            let message: DBusMessage?
            do throws(DBusError) { message = try complete() } catch { throw .refused(address, "it sent \(error)") }
            if let message { return message }
            try receiveMore()
        }
    }

    private func complete() throws(DBusError) -> DBusMessage? {
        guard let length = try DBusMessage.length(incoming[...]), incoming.count >= length else { return nil }
        let message = try DBusMessage(Array(incoming[..<length]))
        incoming.removeSubrange(..<length)
        return message
    }
}

/// Why a conversation over D-Bus failed.
enum DBusFailure: Error, Sendable, Equatable {
    /// A system call failed.
    case system(SystemError)
    /// The other side does not do its part.
    case refused(String, String)
    /// A method answered with an error.
    case method(String, name: String, text: String)
    /// A job of systemd did not come to a good end.
    case job(unit: String, result: String)
    /// What was asked for cannot be said in D-Bus.
    case value(CgroupError)
}

extension DBusFailure: CustomStringConvertible {
    var description: String {
        switch self {
        case .system(let error): "\(error)"
        case .refused(let address, let reason): "cannot talk to \(address): \(reason)"
        case .method(let member, let name, let text): "\(member) failed: \(text) (\(name))"
        case .job(let unit, let result): "the job of \(unit) ended with \"\(result)\""
        case .value(let error): "\(error)"
        }
    }
}
