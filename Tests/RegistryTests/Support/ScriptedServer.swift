import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization

/// What a client asked.
struct Received: Sendable {
    let method: HTTPMethod
    let uri: String
    let headers: HTTPHeaders
    let body: String

    var path: String { String(uri.prefix { $0 != "?" }) }
    var authorization: String? { headers.first(name: "Authorization") }
    var range: String? { headers.first(name: "Range") }
}

/// What the server does with one request, faults included.
struct Reply: Sendable {
    enum Fault: Sendable {
        /// Sends this many bytes of the body and closes the connection.
        case truncated(after: Int)
        /// Sends this many bytes of the body and then nothing more.
        case stalled(after: Int)
        /// Sends all of the body and closes the connection, as HTTP/1.0 servers do.
        case closes
        /// Closes the connection without a word.
        case hangsUp
        /// Never answers.
        case silent
        /// Sends this many bytes at once and then waits, again and again.
        case throttled(bytes: Int, pause: TimeAmount)
    }

    var status = HTTPResponseStatus.ok
    var headers = HTTPHeaders()
    var body: [UInt8] = []
    var fault: Fault?
    /// Off to send the body in chunks of unannounced total.
    var announcesLength = true

    static func status(_ status: HTTPResponseStatus, _ headers: [(String, String)] = [], _ body: String = "") -> Reply {
        Reply(status: status, headers: HTTPHeaders(headers), body: Array(body.utf8))
    }
}

/// An HTTP server that answers by a script and remembers everything it was asked.
final class ScriptedServer: Sendable {
    typealias Script = @Sendable (Received) -> Reply

    let port: Int
    let host: String
    private let channel: any Channel
    private let log: Log

    fileprivate final class Log: Sendable {
        struct State {
            var requests: [Received] = []
            var open = 0
            var written = 0
        }
        let state = Mutex(State())
    }

    static func start(
        host: String = "127.0.0.1", tls: NIOSSLContext? = nil, _ script: @escaping Script
    ) async throws -> ScriptedServer {
        let log = Log()
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { child in
                log.state.withLock { $0.open += 1 }
                child.closeFuture.whenComplete { _ in log.state.withLock { $0.open -= 1 } }
                return child.eventLoop.makeCompletedFuture {
                    if let tls { try child.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls)) }
                    try child.pipeline.syncOperations.configureHTTPServerPipeline()
                    try child.pipeline.syncOperations.addHandler(ScriptHandler(script: script, log: log))
                }
            }
            .bind(host: host, port: 0).get()
        return ScriptedServer(channel: channel, host: host, log: log)
    }

    private init(channel: any Channel, host: String, log: Log) {
        self.channel = channel
        self.host = host
        port = channel.localAddress?.port ?? 0
        self.log = log
    }

    func stop() async { try? await channel.close() }

    var address: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
    var url: String { "http://\(address)" }
    var requests: [Received] { log.state.withLock { $0.requests } }
    var openConnections: Int { log.state.withLock { $0.open } }
    /// Body bytes that the kernel has taken.
    var written: Int { log.state.withLock { $0.written } }

    func requests(to path: String) -> [Received] { requests.filter { $0.path == path } }
}

private final class ScriptHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let script: ScriptedServer.Script
    private let log: ScriptedServer.Log
    private var head: HTTPRequestHead?
    private var body = ""
    private var throttle: (bytes: Int, pause: TimeAmount)?

    init(script: @escaping ScriptedServer.Script, log: ScriptedServer.Log) {
        self.script = script
        self.log = log
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body = ""
        case .body(let buffer): body += String(buffer: buffer)
        case .end:
            guard let head else { return }
            let received = Received(method: head.method, uri: head.uri, headers: head.headers, body: body)
            log.state.withLock { $0.requests.append(received) }
            answer(script(received), context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func answer(_ reply: Reply, _ context: ChannelHandlerContext) {
        var count = reply.body.count
        var ending = Ending.complete
        throttle = nil
        switch reply.fault {
        case .truncated(let after): (count, ending) = (min(after, count), .close)
        case .stalled(let after): (count, ending) = (min(after, count), .nothing)
        case .closes: ending = .completeAndClose
        case .hangsUp: return context.close(promise: nil)
        case .silent: return
        case .throttled(let bytes, let pause): throttle = (bytes, pause)
        case nil: break
        }
        var headers = reply.headers
        if reply.announcesLength { headers.replaceOrAdd(name: "Content-Length", value: "\(reply.body.count)") }
        let head = HTTPResponseHead(version: .http1_1, status: reply.status, headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.flush()
        send(reply.body, from: 0, to: count, ending, context)
    }

    private enum Ending { case complete, completeAndClose, close, nothing }

    /// A piece at a time, each after the one before has left, so that a client's back-pressure is felt here.
    private func send(_ body: [UInt8], from start: Int, to end: Int, _ ending: Ending, _ context: ChannelHandlerContext)
    {
        guard start < end else {
            switch ending {
            case .complete: context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            case .completeAndClose:
                let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
                context.writeAndFlush(wrapOutboundOut(.end(nil))).whenSuccess { bound.value.close(promise: nil) }
            case .close: context.close(promise: nil)
            case .nothing: break
            }
            return
        }
        let next = min(start + (throttle?.bytes ?? 64 << 10), end)
        let piece = context.channel.allocator.buffer(bytes: body[start..<next])
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(piece)))).whenSuccess {
            let (handler, context) = bound.value
            handler.log.state.withLock { $0.written += next - start }
            guard let pause = handler.throttle?.pause else {
                return handler.send(body, from: next, to: end, ending, context)
            }
            context.eventLoop.scheduleTask(in: pause) {
                let (handler, context) = bound.value
                if context.channel.isActive { handler.send(body, from: next, to: end, ending, context) }
            }
        }
    }
}
