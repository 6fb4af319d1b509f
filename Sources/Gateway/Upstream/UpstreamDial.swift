internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import NIOCore
internal import NIOPosix

/// A connected socket to a replica, on its event loop, reading nothing until it is told to.
struct UpstreamSocket {
    let channel: any Channel
    /// The channel's own descriptor: valid while the channel is active, and only on its loop.
    let descriptor: Int32
}

/// Connects a socket of a replica's network to the loopback address there.
final class UpstreamDial {
    typealias Completion = (Result<UpstreamSocket, SystemError>) -> Void

    private static let timeout: TimeAmount = .seconds(5)
    /// A bound on what the kernel buffers for one connection. On loopback more makes nothing faster, and once an
    /// upstream has sent the end of its stream all of this is read at once, however slow the client.
    private static let receiveBuffer: Int32 = 256 << 10

    private let loop: any EventLoop
    private let port: UInt16
    private var completion: Completion?
    private var socket: Int32 = -1
    private let started = NIODeadline.now()

    private init(loop: any EventLoop, port: UInt16, completion: @escaping Completion) {
        self.loop = loop
        self.port = port
        self.completion = completion
    }

    /// Calls `completion` once, on the loop, maybe before this returns.
    static func start(
        _ replica: Replica, port: UInt16, on loop: any EventLoop, completion: @escaping Completion
    ) -> UpstreamDial {
        let dial = UpstreamDial(loop: loop, port: port, completion: completion)
        replica.sockets.take { result in
            switch result {
            case .failure(let error): dial.finish(.failure(error))
            case .success(let socket): dial.connect(socket)
            }
        }
        return dial
    }

    var hasEnded: Bool { completion == nil }

    /// The completion will not be called any more.
    func cancel() { completion = nil }

    private func connect(_ socket: Int32) {
        self.socket = socket
        guard completion != nil else { return abandonSocket() }
        mlr_set_socket_option(socket, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        mlr_set_socket_option(socket, SOL_SOCKET, SO_RCVBUF, Self.receiveBuffer)
        attempt(pause: .milliseconds(1))
    }

    /// On loopback the handshake is over when connect(2) has been called once, even if the first call says that it is
    /// in progress: the second tells the outcome. Only a server whose backlog is full leaves it open, and that is
    /// asked for again later.
    private func attempt(pause: TimeAmount) {
        guard completion != nil else { return abandonSocket() }
        var result = connectOnce()
        if result == -EINPROGRESS { result = connectOnce() }
        switch result {
        case 0, -EISCONN: adopt()
        case -EALREADY, -EINPROGRESS:
            guard .now() - started < Self.timeout else { return fail(ETIMEDOUT) }
            let longer = min(pause * 2, .milliseconds(50))
            _ = loop.assumeIsolated().scheduleTask(in: pause) { self.attempt(pause: longer) }
        default: fail(-result)
        }
    }

    private func connectOnce() -> Int32 { retrying { mlr_connect_ipv4(socket, 0x7f00_0001, port) } }

    private func adopt() {
        let socket = socket
        self.socket = -1
        ClientBootstrap(group: loop)
            .channelOption(.autoRead, value: false)
            .channelOption(.maxMessagesPerRead, value: 4)
            .withConnectedSocket(socket)
            .assumeIsolated()
            .whenComplete { result in
                switch result {
                case .success(let channel):
                    if self.completion == nil { return channel.close(promise: nil) }
                    self.finish(.success(UpstreamSocket(channel: channel, descriptor: socket)))
                case .failure(let error):
                    let number = (error as? IOError)?.errnoCode ?? ECONNRESET
                    self.finish(.failure(self.error(number)))
                }
            }
    }

    private func fail(_ number: Int32) {
        abandonSocket()
        finish(.failure(error(number)))
    }

    private func error(_ number: Int32) -> SystemError {
        SystemError("connect to port \(port) of the replica", Errno(rawValue: number))
    }

    private func abandonSocket() {
        if socket >= 0 { _ = close(socket) }
        socket = -1
    }

    private func finish(_ result: Result<UpstreamSocket, SystemError>) {
        let completion = completion
        self.completion = nil
        completion?(result)
    }
}
