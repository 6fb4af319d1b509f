internal import NIOCore

/// One HTTP/1.x connection of a client: requests are read and answered one after the other.
///
/// Reading is asked for only while what would come is of use, so that the client's sending is held back by TCP.
/// That a client has left is noticed all the same: the event loop always watches for the end of the stream.
final class HTTPClientConnection: ChannelInboundHandler, ListenerConnection {
    typealias InboundIn = ByteBuffer

    private enum State {
        case awaitingHead
        case exchanging(HTTPExchange)
        /// The last answer is on its way out.
        case closing
        /// Closed for writing; what the client still sends is thrown away, lest a reset destroys the answer.
        case lingering(discarded: Int)
        case tunnel
        case closed
    }

    private static let mostLingering = 4 << 20
    private static let mostAhead = 16 << 10

    private let listener: Listener
    private let channel: any Channel
    let origin: ForwardedOrigin
    let peer: Admission.Client
    private(set) var isAdmitted = false
    private var state = State.awaitingHead
    private var stateSince = NIODeadline.now()
    private var lastProgress = NIODeadline.now()
    private var inbox = ByteBuffer()
    private var scanner = HTTPHeadScanner()
    private var isAdvancing = false

    init(_ channel: any Channel, listener: Listener) {
        self.channel = channel
        self.listener = listener
        origin = ForwardedOrigin(channel.remoteAddress)
        peer = Admission.Client(channel.remoteAddress)
    }

    var isWritable: Bool { channel.isWritable }
    var isClosing: Bool { listener.isClosing }
    var port: UInt16 { listener.port }

    func write(_ bytes: ByteBuffer) { channel.write(bytes, promise: nil) }
    func flush() { channel.flush() }

    private func enter(_ state: State) {
        self.state = state
        stateSince = .now()
        lastProgress = stateSince
    }

    // MARK: What comes

    func channelActive(context: ChannelHandlerContext) {
        switch listener.add(self) {
        case .overrun: return context.close(promise: nil)
        case .refused(let reason): return refuse(503, reason, retry: 1)
        case .admitted: isAdmitted = true
        }
        if listener.isClosing { return context.close(promise: nil) }
        context.read()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .tunnel = state { return context.fireChannelRead(data) }
        var bytes = unwrapInboundIn(data)
        lastProgress = .now()
        if case .lingering(let discarded) = state {
            state = .lingering(discarded: discarded + bytes.readableBytes)
            return
        }
        if inbox.readableBytes == 0 {
            if case .awaitingHead = state { stateSince = lastProgress }
            inbox = bytes
        } else {
            inbox.writeBuffer(&bytes)
        }
        advance()
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if case .tunnel = state { return context.fireChannelReadComplete() }
        readIfWanted()
    }

    /// Asks for more bytes if there is a use for them.
    func readIfWanted() {
        switch state {
        case .awaitingHead: channel.read()
        case .exchanging(let exchange):
            // A little of the next request may come ahead: cheaper than to stop listening and to begin again.
            let mayReadAhead = exchange.requestIsComplete && inbox.readableBytes < Self.mostAhead
            if exchange.wantsBody || mayReadAhead { channel.read() }
        case .lingering(let discarded):
            if discarded < Self.mostLingering { channel.read() } else { channel.close(promise: nil) }
        case .closing, .tunnel, .closed: break
        }
    }

    /// Does everything that can be done with the bytes at hand. Called from within itself it does nothing: the loop
    /// that is running goes on, however many requests a client has sent ahead.
    func advance() {
        guard !isAdvancing else { return }
        isAdvancing = true
        defer { isAdvancing = false }
        while true {
            switch state {
            case .awaitingHead: guard beginExchange() else { return }
            case .exchanging(let exchange):
                var bytes = inbox
                inbox = ByteBuffer()
                exchange.passBody(from: &bytes)
                if bytes.readableBytes > 0 { inbox = bytes }
                if case .exchanging(let current) = state, current === exchange { return }
            case .closing, .lingering, .closed:
                inbox = ByteBuffer()
                return
            case .tunnel: return
            }
        }
    }

    /// Reads one head and starts its exchange; false when there is none to read.
    private func beginExchange() -> Bool {
        skipEmptyLines()
        guard inbox.readableBytes > 0 else { return false }
        do throws(HTTPFault) {
            guard let length = try scanner.headLength(in: inbox, limits: .standard) else { return false }
            let head = try RequestHead(inbox.readSlice(length: length)!)
            let exchange = HTTPExchange(head, from: self, to: listener.service)
            enter(.exchanging(exchange))
            exchange.start(port: listener.port)
            return true
        } catch {
            refuse(error.status, error.reason)
            return false
        }
    }

    /// Some clients end a body with an empty line too many (RFC 9112 §2.2).
    private func skipEmptyLines() {
        while let end: UInt16 = inbox.getInteger(at: inbox.readerIndex), end == 0x0d0a {
            inbox.moveReaderIndex(forwardBy: 2)
        }
    }

    /// Answers a request that could not be read, or may not come. Nothing after it is looked at.
    private func refuse(_ status: Int, _ reason: String, retry: Int? = nil) {
        listener.service.statistics.countAnswer(status)
        listener.service.statistics.ownAnswers += 1
        let answer = GatewayAnswer(status: status, message: reason, retryAfter: retry)
        write(answer.bytes(keepsAlive: false, toHead: false))
        linger()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if case .tunnel = state { return context.fireChannelWritabilityChanged() }
        lastProgress = .now()
        if case .exchanging(let exchange) = state, channel.isWritable { exchange.clientBecameWritable() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        context.fireUserInboundEventTriggered(event)
    }

    // MARK: How an exchange ends

    func ended(_ exchange: HTTPExchange, keepsAlive: Bool, requestIsComplete: Bool) {
        guard case .exchanging(let current) = state, current === exchange else { return }
        if keepsAlive {
            enter(.awaitingHead)
            if listener.isClosing, inbox.readableBytes == 0 { return closeAfterAnswer() }
            advance()
            readIfWanted()
        } else if requestIsComplete {
            closeAfterAnswer()
        } else {
            linger()
        }
    }

    private func closeAfterAnswer() {
        enter(.closing)
        let channel = channel
        channel.writeAndFlush(ByteBuffer()).whenComplete { _ in channel.close(promise: nil) }
    }

    private func linger() {
        enter(.lingering(discarded: 0))
        let channel = channel
        channel.writeAndFlush(ByteBuffer()).whenComplete { _ in channel.close(mode: .output, promise: nil) }
        readIfWanted()
    }

    /// Breaks the connection off in the middle of an answer.
    func abort() {
        enter(.closing)
        channel.close(promise: nil)
    }

    /// Leaves HTTP after a 101: both connections become one pipe, whose bytes are told to `ended` with their count.
    func becomeTunnel(
        to upstream: any Channel, early: ByteBuffer, ended: @escaping (_ bytesIn: UInt64, _ bytesOut: UInt64) -> Void
    ) {
        enter(.tunnel)
        let ahead = inbox
        inbox = ByteBuffer()
        RawRelay.join(
            client: channel, clientBytes: ahead, clientEnded: false, upstream: upstream, upstreamBytes: early,
            ended: ended)
    }

    // MARK: How the connection ends

    func windDown() {
        if case .awaitingHead = state, inbox.readableBytes == 0 { closeAfterAnswer() }
    }

    func check(now: NIODeadline) {
        let patience = listener.patience
        switch state {
        case .awaitingHead where inbox.readableBytes == 0:
            if now - stateSince > patience.idle { channel.close(promise: nil) }
        case .awaitingHead:
            if now - stateSince > patience.head { refuse(408, "the request head took too long to arrive") }
        case .exchanging(let exchange):
            exchange.lookForSilence(now, patience.silence)
            if exchange.wantsBody, now - lastProgress > patience.body {
                exchange.fail(408, "the request body took too long to arrive")
            } else if !channel.isWritable, now - lastProgress > patience.answer {
                channel.close(promise: nil)
            }
        case .closing: if now - lastProgress > patience.answer { channel.close(promise: nil) }
        case .lingering: if now - stateSince > patience.lingering { channel.close(promise: nil) }
        case .tunnel, .closed: break
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelInactive(context: ChannelHandlerContext) {
        let last = state
        enter(.closed)
        listener.remove(self)
        switch last {
        case .exchanging(let exchange): exchange.clientLeft()
        case .tunnel: context.fireChannelInactive()
        case .awaitingHead, .closing, .lingering, .closed: break
        }
    }
}
