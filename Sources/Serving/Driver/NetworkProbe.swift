internal import CLinux
internal import Glibc
internal import LinuxSystem

/// Asks a replica one question over TCP, inside its network namespace, without blocking the loop.
final class NetworkProbe {
    private static let mostAnswer = 64 * 1024
    /// Status line and headers beside the body.
    private static let mostHead = 32 * 1024

    private let loop: EventLoop
    private let request: [UInt8]?
    private let done: (ProbeAnswer) -> Void
    private var socket: SharedDescriptor?
    private var watch: EventLoop.Watch?
    private var timer: EventLoop.Timer?
    private var isConnected = false
    private var sent = 0
    private var answer: [UInt8] = []

    /// - Parameters:
    ///   - network: the namespace; nil for this process's own.
    ///   - path: what to GET; nil when a connection is all that is asked.
    init(
        _ loop: EventLoop, network: SharedDescriptor?, port: UInt16, path: String?, timeout: Duration,
        done: @escaping (ProbeAnswer) -> Void
    ) {
        self.loop = loop
        self.done = done
        request = path.map {
            Array(
                "GET \($0) HTTP/1.1\r\nHost: localhost:\(port)\r\nUser-Agent: mlrun-probe\r\nConnection: close\r\n\r\n"
                    .utf8)
        }
        timer = loop.after(UInt64(max(0, timeout.wholeNanoseconds))) { [weak self] in self?.expire() }
        do throws(SystemError) { try connect(network, port) } catch {
            loop.soon { [weak self] in
                self?.finish(error.errno == .connectionRefused ? .refused : .failed(error.description))
            }
        }
    }

    func cancel() {
        if let watch { loop.cancel(watch) }
        if let timer { loop.cancel(timer) }
        watch = nil
        timer = nil
        socket = nil
    }

    private func connect(_ network: SharedDescriptor?, _ port: UInt16) throws(SystemError) {
        let type = Int32(SOCK_STREAM.rawValue) | Int32(MLR_SOCK_NONBLOCK)
        let made =
            network.map { mlr_socket_in_namespace($0.rawValue, AF_INET, type, 0) } ?? mlr_socket(AF_INET, type, 0)
        let socket = SharedDescriptor(taking: try check(made, "create a socket for a probe"))
        self.socket = socket
        let result = mlr_connect_ipv4(socket.rawValue, 0x7F00_0001, port)
        if result < 0, result != -EINPROGRESS { try check(result, "connect to port \(port)") }
        watch = try loop.watch(socket.rawValue, for: .write) { [weak self] _ in self?.advance() }
    }

    private func advance() {
        guard let socket, let watch else { return }
        if !isConnected {
            var error: Int32 = 0
            _ = mlr_get_socket_option(socket.rawValue, SOL_SOCKET, SO_ERROR, &error)
            if error == ECONNREFUSED { return finish(.refused) }
            if error != 0 { return finish(.failed(Errno(rawValue: error).description)) }
            isConnected = true
            if request == nil { return finish(.connected) }
        }
        if let request, sent < request.count {
            let written = request.withUnsafeBytes { bytes in
                send(socket.rawValue, bytes.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            if written < 0 {
                if errno != EAGAIN && errno != EINTR { finish(.failed(Errno(rawValue: errno).description)) }
                return
            }
            sent += written
            if sent < request.count { return }
            do throws(SystemError) { try loop.change(watch, to: .read) } catch {
                finish(.failed(error.description))
            }
            return
        }
        receive(socket)
    }

    private func receive(_ socket: SharedDescriptor) {
        var buffer = [UInt8](repeating: 0, count: 16384)
        let got = recv(socket.rawValue, &buffer, buffer.count, Int32(MLR_MSG_DONTWAIT))
        if got < 0 {
            if errno == EAGAIN || errno == EINTR { return }
            // What came before a reset may be the whole answer.
            return finish(HTTPAnswer(answer, atEnd: true).answer ?? .failed(Errno(rawValue: errno).description))
        }
        answer.append(contentsOf: buffer[..<got])
        let isOver = got == 0 || answer.count > Self.mostAnswer + Self.mostHead
        if let complete = HTTPAnswer(answer, atEnd: isOver).answer {
            finish(complete)
        } else if isOver {
            finish(answer.isEmpty ? .failed("it closed the connection without an answer") : .notHTTP)
        }
    }

    private func expire() { finish(.timedOut) }

    private func finish(_ answer: ProbeAnswer) {
        guard timer != nil else { return }
        cancel()
        done(answer)
    }
}
