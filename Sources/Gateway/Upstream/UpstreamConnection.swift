internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import NIOCore

/// One HTTP/1.1 connection to a replica: carries one exchange after the other and rests in a pool between them.
final class UpstreamConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let socket: UpstreamSocket
    /// Where it rests; nil while it is in use.
    var pool: UpstreamPool?
    private var exchange: HTTPExchange?
    private var answersHead = false
    private var inbox = ByteBuffer()
    private var scanner = HTTPHeadScanner()
    private var body: BodyDecoder?
    private var keepsAlive = false
    private var failure: (any Error)?
    private var isTunnel = false
    /// Bytes of the reads since the loop last had none left.
    private var justRead = 0
    /// As much as a server writes in one go without waiting for anybody.
    private static let muchAtOnce = 16 << 10

    init(_ socket: UpstreamSocket) { self.socket = socket }

    var channel: any Channel { socket.channel }
    var isWritable: Bool { channel.isWritable }

    /// Whether it can carry another request: open, and nothing has come over it, not even the end of the stream that
    /// the event loop may not have seen yet. This shuts all but the last microseconds of the race between a server
    /// that closes an idle connection and a request.
    var isFresh: Bool {
        guard channel.isActive, exchange == nil, !isTunnel else { return false }
        var byte: UInt8 = 0
        return recv(socket.descriptor, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT)) < 0
            && errno == EAGAIN
    }

    func begin(_ exchange: HTTPExchange, toHead: Bool) {
        self.exchange = exchange
        answersHead = toHead
    }

    func write(_ bytes: ByteBuffer) { channel.write(bytes, promise: nil) }
    func flush() { channel.flush() }
    func read() { channel.read() }

    func close() {
        exchange = nil
        channel.close(promise: nil)
    }

    /// Leaves HTTP: what comes is passed to the next handler, beginning with what has already come.
    func becomeTunnel() -> ByteBuffer {
        isTunnel = true
        exchange = nil
        defer { inbox = ByteBuffer() }
        return inbox
    }

    // MARK: What comes

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if isTunnel { return context.fireChannelRead(data) }
        // Nobody asked: a server that says something before it closes, or one that is confused.
        guard exchange != nil else { return close() }
        var bytes = unwrapInboundIn(data)
        justRead += bytes.readableBytes
        if inbox.readableBytes == 0 { inbox = bytes } else { inbox.writeBuffer(&bytes) }
        do throws(HTTPFault) { try parse() } catch {
            let exchange = exchange
            close()
            exchange?.upstreamBroke("sent an answer that is not valid HTTP: \(error.reason)")
        }
    }

    private func parse() throws(HTTPFault) {
        while let exchange {
            guard body != nil else {
                guard let length = try scanner.headLength(in: inbox, limits: .standard) else { return }
                let head = try ResponseHead(inbox.readSlice(length: length)!, toHead: answersHead)
                if !head.isInterim, head.status != 101 {
                    body = BodyDecoder(head.framing)
                    keepsAlive = head.keepsAlive
                }
                exchange.received(head)
                continue
            }
            switch try body!.next(from: &inbox) {
            case .needsMore: return
            case .data(let bytes): exchange.receivedBody(bytes)
            case .end(let trailers): try finish(exchange, trailers: trailers)
            }
        }
    }

    private func finish(_ exchange: HTTPExchange, trailers: ByteBuffer?) throws(HTTPFault) {
        let fields: TrailerFields?
        if let trailers { fields = try TrailerFields(trailers) } else { fields = nil }
        self.exchange = nil
        body = nil
        // More than was asked for is no start to build another answer on.
        exchange.answerEnded(isReusable: keepsAlive && inbox.readableBytes == 0, trailers: fields)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if isTunnel { return context.fireChannelReadComplete() }
        if exchange != nil, justRead < Self.muchAtOnce { acknowledge() }
        justRead = 0
        // At rest it keeps listening: its end is noticed, and the next exchange need not ask the kernel for it again.
        if let exchange { exchange.upstreamReadComplete() } else if pool != nil { context.read() }
    }

    /// A server that writes its answer piece by piece, as many in Python do, has its kernel hold each piece back until the one
    /// before is acknowledged (Nagle), and this kernel would take up to 40 ms for that on a connection that is used again
    /// and again (tcp(7), TCP_QUICKACK).
    private func acknowledge() {
        mlr_set_socket_option(socket.descriptor, Int32(IPPROTO_TCP), TCP_QUICKACK, 1)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if isTunnel { return context.fireChannelWritabilityChanged() }
        exchange?.upstreamWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        context.fireUserInboundEventTriggered(event)
    }

    // MARK: How it ends

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        failure = error
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        if isTunnel { return context.fireChannelInactive() }
        if let pool {
            self.pool = nil
            return pool.remove(self)
        }
        guard let exchange else { return }
        if failure == nil, body?.isUntilClose == true {
            self.exchange = nil
            return exchange.answerEnded(isReusable: false, trailers: nil)
        }
        self.exchange = nil
        let reason = (failure as? IOError).map { ": \(Errno(rawValue: $0.errnoCode))" } ?? ""
        exchange.upstreamBroke("closed the connection before its answer was complete\(reason)")
    }
}
