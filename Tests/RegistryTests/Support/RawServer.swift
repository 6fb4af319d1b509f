import NIOCore
import NIOPosix
import Synchronization

/// A TCP server that waits for the end of a request's head and then sends bytes as they are, however wrong they be as
/// HTTP, and closes the connection.
final class RawServer: Sendable {
    let port: Int
    private let channel: any Channel
    private let log: Heads

    static func start(_ answer: @escaping @Sendable (String) -> [String]) async throws -> RawServer {
        let heads = Heads()
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { child in
                child.eventLoop.makeCompletedFuture {
                    try child.pipeline.syncOperations.addHandler(RawHandler(answer: answer, heads: heads))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return RawServer(channel: channel, heads: heads)
    }

    private init(channel: any Channel, heads: Heads) {
        self.channel = channel
        port = channel.localAddress?.port ?? 0
        log = heads
    }

    var address: String { "127.0.0.1:\(port)" }
    var requests: [String] { log.texts.withLock { $0 } }
    func stop() async { try? await channel.close() }

    fileprivate final class Heads: Sendable { let texts = Mutex<[String]>([]) }
}

private final class RawHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let answer: @Sendable (String) -> [String]
    private let heads: RawServer.Heads
    private var text = ""

    init(answer: @escaping @Sendable (String) -> [String], heads: RawServer.Heads) {
        self.answer = answer
        self.heads = heads
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        text += String(buffer: unwrapInboundIn(data))
        guard text.contains("\r\n\r\n") else { return }
        let head = text
        text = ""
        heads.texts.withLock { $0.append(head) }
        for piece in answer(head) {
            context.write(wrapOutboundOut(context.channel.allocator.buffer(string: piece)), promise: nil)
        }
        context.flush()
        context.close(promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

/// An HTTP proxy that knows CONNECT and wants a login if it is given one. It connects to loopback whatever host it is
/// asked for, so that tests can use names that do not exist.
final class ConnectProxy: Sendable {
    let port: Int
    private let channel: any Channel
    private let log: RawServer.Heads

    static func start(login: String? = nil) async throws -> ConnectProxy {
        let log = RawServer.Heads()
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { child in
                child.eventLoop.makeCompletedFuture {
                    try child.pipeline.syncOperations.addHandler(ConnectHandler(login: login, log: log))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return ConnectProxy(channel: channel, log: log)
    }

    private init(channel: any Channel, log: RawServer.Heads) {
        self.channel = channel
        self.log = log
        port = channel.localAddress?.port ?? 0
    }

    var requests: [String] { log.texts.withLock { $0 } }
    func stop() async { try? await channel.close() }
}

private final class ConnectHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let login: String?
    private let log: RawServer.Heads
    private var head = ""
    private var peer: (any Channel)?

    init(login: String?, log: RawServer.Heads) {
        self.login = login
        self.log = log
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = unwrapInboundIn(data)
        if let peer { return peer.writeAndFlush(buffer, promise: nil) }
        head += String(buffer: buffer)
        guard head.contains("\r\n\r\n") else { return }
        log.texts.withLock { $0.append(head) }
        if let login, !head.contains("Basic \(login)\r\n") {
            return reply("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", context)
        }
        let target = head.split(separator: " ")[1]
        guard head.hasPrefix("CONNECT "), let port = Int(target[target.index(after: target.lastIndex(of: ":")!)...])
        else { return reply("HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n", context) }
        let client = context.channel
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        ClientBootstrap(group: context.eventLoop)
            .channelInitializer { server in
                server.eventLoop.makeCompletedFuture {
                    try server.pipeline.syncOperations.addHandler(BackHandler(client: client))
                }
            }
            .connect(host: "127.0.0.1", port: port)
            .whenComplete { result in
                let (handler, context) = bound.value
                guard case .success(let server) = result else { return client.close(promise: nil) }
                handler.peer = server
                client.closeFuture.whenComplete { _ in server.close(promise: nil) }
                handler.reply("HTTP/1.1 200 OK\r\n\r\n", context)
            }
    }

    private func reply(_ text: String, _ context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(context.channel.allocator.buffer(string: text)), promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

private final class BackHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let client: any Channel
    init(client: any Channel) { self.client = client }
    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        client.writeAndFlush(unwrapInboundIn(data), promise: nil)
    }
    func channelInactive(context: ChannelHandlerContext) { client.close(promise: nil) }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
