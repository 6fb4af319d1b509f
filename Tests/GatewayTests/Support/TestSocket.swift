import CLinux
import Glibc
import LinuxSystem

struct TestFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// A blocking socket whose every wait is limited, so that a broken gateway fails a test instead of hanging it.
final class TestSocket: Sendable {
    private let owned: SharedDescriptor

    init(taking descriptor: Int32) { owned = SharedDescriptor(taking: descriptor) }

    /// - Parameter address: the client's own; by default the kernel chooses 127.0.0.1.
    static func connect(_ port: UInt16, from address: UInt32? = nil) throws -> TestSocket {
        let socket = TestSocket(
            taking: try check(mlr_socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0), "create a socket"))
        if let address { try check(mlr_bind_ipv4(socket.descriptor, address, 0), "bind") }
        try check(mlr_connect_ipv4(socket.descriptor, 0x7f00_0001, port), "connect")
        mlr_set_socket_option(socket.descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        return socket
    }

    var descriptor: Int32 { owned.rawValue }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) throws {
        var done = 0
        while done < bytes.count {
            let sent = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress! + done, bytes.count - done, Int32(MSG_NOSIGNAL))
            }
            if sent < 0 { throw SystemError("send", Errno(rawValue: errno)) }
            done += sent
        }
    }

    /// As many bytes of `bytes` as the peer takes within `seconds`, without waiting for more room.
    func sendWhileTaken(_ bytes: [UInt8], for seconds: Double, limit: Int) -> Int {
        var done = 0
        while done < limit {
            var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            guard poll(&request, 1, Int32(seconds * 1000)) > 0 else { return done }
            let flags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)
            let sent = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress!, $0.count, flags) }
            if sent < 0 { return done }
            done += sent
        }
        return done
    }

    /// The next bytes; empty at the end of the stream.
    func receive(_ limit: Int = 65536, within seconds: Double = 10) throws -> [UInt8] {
        var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&request, 1, Int32(seconds * 1000)) > 0 else {
            throw TestFailure("nothing came within \(seconds) s")
        }
        var bytes = [UInt8](repeating: 0, count: limit)
        let got = recv(descriptor, &bytes, limit, 0)
        if got < 0 { throw SystemError("receive", Errno(rawValue: errno)) }
        return Array(bytes[..<got])
    }

    func isSilent(for seconds: Double) -> Bool {
        var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&request, 1, Int32(seconds * 1000)) == 0
    }

    func receiveToEnd() throws -> [UInt8] {
        var all: [UInt8] = []
        while true {
            let bytes = try receive()
            if bytes.isEmpty { return all }
            all += bytes
        }
    }

    func shutdownWriting() { _ = shutdown(descriptor, Int32(SHUT_WR)) }

    /// Ends both directions for everybody who shares the socket, in whatever thread.
    func shutdownBoth() { _ = shutdown(descriptor, Int32(SHUT_RDWR)) }

    /// Makes the coming close a reset.
    func reset() {
        var linger = Glibc.linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
    }
}

/// One HTTP message as a test sees it.
struct TestMessage {
    var startLine = ""
    var fields: [(name: String, value: String)] = []
    var body: [UInt8] = []
    var trailers: [(name: String, value: String)] = []

    var status: Int { Int(startLine.split(separator: " ")[1]) ?? 0 }
    var text: String { String(decoding: body, as: UTF8.self) }

    subscript(name: String) -> String? {
        fields.first { $0.name.lowercased() == name.lowercased() }?.value
    }

    func count(_ name: String) -> Int { fields.count { $0.name.lowercased() == name.lowercased() } }
}

/// Reads HTTP messages off a socket, in a way of its own: the gateway's parser is what is tested.
final class TestReader {
    let socket: TestSocket
    private var buffer: [UInt8] = []

    init(_ socket: TestSocket) { self.socket = socket }

    func line() throws -> String {
        while true {
            if let end = buffer.firstIndex(of: 10) {
                let line = buffer[..<end].filter { $0 != 13 }
                buffer.removeSubrange(...end)
                return String(decoding: line, as: UTF8.self)
            }
            try fill()
        }
    }

    func bytes(_ count: Int) throws -> [UInt8] {
        while buffer.count < count { try fill() }
        defer { buffer.removeSubrange(..<count) }
        return Array(buffer[..<count])
    }

    private func fill() throws {
        let more = try socket.receive()
        if more.isEmpty { throw TestFailure("the stream ended in the middle of a message") }
        buffer += more
    }

    /// A message up to its empty line.
    func head() throws -> TestMessage {
        var message = TestMessage()
        message.startLine = try line()
        message.fields = try fields()
        return message
    }

    private func fields() throws -> [(name: String, value: String)] {
        var fields: [(String, String)] = []
        while true {
            let line = try line()
            if line.isEmpty { return fields }
            let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            fields.append((String(parts[0]), String(parts[1].drop { $0 == " " })))
        }
    }

    /// The data of the next chunk; empty for the last one, whose trailers are read too.
    func chunk() throws -> [UInt8] {
        guard let size = Int(try line(), radix: 16) else { throw TestFailure("no chunk size") }
        let data = try bytes(size)
        if size == 0 { lastTrailers = try fields() } else { _ = try line() }
        return data
    }
    private(set) var lastTrailers: [(name: String, value: String)] = []

    /// A whole message. `toHead`: the answer to a HEAD request, which has no body.
    func message(toHead: Bool = false) throws -> TestMessage {
        var message = try head()
        let bodiless = message.startLine.hasPrefix("HTTP/") && (message.status == 204 || message.status == 304)
        if toHead || bodiless { return message }
        if message["transfer-encoding"] == "chunked" {
            while true {
                let data = try chunk()
                if data.isEmpty { break }
                message.body += data
            }
            message.trailers = lastTrailers
        } else if let length = message["content-length"].flatMap({ Int($0) }) {
            message.body = try bytes(length)
        } else if message.startLine.hasPrefix("HTTP/") {
            message.body = buffer + (try socket.receiveToEnd())
            buffer = []
        }
        return message
    }
}
