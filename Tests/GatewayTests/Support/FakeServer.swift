import CLinux
import Glibc
import LinuxSystem
import Synchronization

/// Runs a closure on a thread of its own: the tests' own threads are too few to be blocked.
func inBackground(_ body: @escaping @Sendable () -> Void) {
    final class Box {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    let result = pthread_create(
        &thread, nil,
        { argument in
            Unmanaged<Box>.fromOpaque(argument!).takeRetainedValue().body()
            return nil
        }, Unmanaged.passRetained(Box(body)).toOpaque())
    precondition(result == 0, "no thread: \(result)")
    pthread_detach(thread)
}

/// Waits until `condition` holds; false when it does not within the time.
func eventually(within seconds: Double = 10, _ condition: () throws -> Bool) rethrows -> Bool {
    let deadline = mlr_monotonic_nanoseconds() + UInt64(seconds * 1e9)
    while mlr_monotonic_nanoseconds() < deadline {
        if try condition() { return true }
        usleep(2000)
    }
    return try condition()
}

/// A listening socket on loopback.
func listen(backlog: Int32 = 1024) throws -> (socket: SharedDescriptor, port: UInt16) {
    let socket = SharedDescriptor(
        taking: try check(mlr_socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0), "create a socket"))
    try check(mlr_bind_ipv4(socket.rawValue, 0x7f00_0001, 0), "bind")
    try check(mlr_listen(socket.rawValue, backlog), "listen")
    return (socket, UInt16(try check(mlr_local_port(socket.rawValue), "read the port")))
}

/// An upstream whose connections are each served by a closure on a thread of its own.
final class FakeServer: Sendable {
    let port: UInt16
    private let socket: SharedDescriptor
    private let counter = Mutex(0)

    init(_ serve: @escaping @Sendable (TestReader, _ number: Int) throws -> Void) throws {
        (socket, port) = try GatewayTests.listen()
        inBackground { [socket, self] in
            while true {
                let accepted = mlr_accept(socket.rawValue, 0)
                if accepted < 0 { return }
                let number = counter.withLock { count in
                    count += 1
                    return count
                }
                inBackground {
                    let connection = TestSocket(taking: accepted)
                    // What goes wrong here is seen by the test at the client's end.
                    try? serve(TestReader(connection), number)
                    connection.shutdownBoth()
                }
            }
        }
    }

    /// How many connections it has accepted.
    var connections: Int { counter.withLock { $0 } }

    /// Nobody can connect any more.
    func stop() { _ = shutdown(socket.rawValue, Int32(SHUT_RDWR)) }

    deinit { stop() }

    /// Answers every request on a connection with the closure's text.
    static func answering(_ answer: @escaping @Sendable (TestMessage) -> String) throws -> FakeServer {
        try FakeServer { reader, _ in
            while true {
                let request = try reader.message(toHead: false)
                let body = answer(request)
                try reader.socket.send("HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
            }
        }
    }
}

/// A socket agent as a replica has one, but in this network namespace.
final class FakeAgent: Sendable {
    /// The gateway's end.
    let client: SharedDescriptor
    private let server: SharedDescriptor
    private let asked = Mutex(0)

    /// `answer`: nil to make a socket, or the error number to answer with.
    init(answer: @escaping @Sendable (_ number: Int) -> Errno? = { _ in nil }) throws {
        var ends: [Int32] = [-1, -1]
        try check(mlr_socketpair(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue), &ends), "create a socket pair")
        client = SharedDescriptor(taking: ends[0])
        server = SharedDescriptor(taking: ends[1])
        inBackground { [server, self] in
            var question: UInt8 = 0
            while recv(server.rawValue, &question, 1, 0) == 1 {
                let number = asked.withLock { count in
                    count += 1
                    return count
                }
                var status = UInt8(answer(number)?.rawValue ?? 0)
                var made: Int32 = -1
                if status == 0 { made = mlr_socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(MLR_SOCK_NONBLOCK), 0) }
                mlr_send_descriptors(server.rawValue, &status, 1, &made, made < 0 ? 0 : 1, 0)
                if made >= 0 { close(made) }
            }
        }
    }

    var questions: Int { asked.withLock { $0 } }

    func stop() { _ = shutdown(server.rawValue, Int32(SHUT_RDWR)) }
    deinit { stop() }
}
