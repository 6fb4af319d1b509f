internal import NIOCore

/// One connection of a client in TCP mode: held until a replica has room, then joined with a connection to it.
final class TCPClientConnection: ChannelInboundHandler, ListenerConnection {
    typealias InboundIn = ByteBuffer

    private let listener: Listener
    private let channel: any Channel
    let peer: Admission.Client
    private(set) var isAdmitted = false
    private var search: UpstreamSearch?
    private var isJoined = false
    /// Nothing is read before there is somebody to pass it to, except by the event loop itself when the client has
    /// sent the end of its stream.
    private var early = ByteBuffer()
    private var sawEnd = false

    init(_ channel: any Channel, listener: Listener) {
        self.channel = channel
        self.listener = listener
        peer = Admission.Client(channel.remoteAddress)
    }

    func channelActive(context: ChannelHandlerContext) {
        isAdmitted = listener.add(self) == .admitted
        if !isAdmitted || listener.isClosing { return context.close(promise: nil) }
        let search = UpstreamSearch(listener.service, port: listener.port) { [self] outcome in
            self.search = nil
            found(outcome)
        }
        self.search = search
        search.start()
        if search.hasEnded { self.search = nil }
    }

    private func found(_ outcome: UpstreamSearch.Outcome) {
        switch outcome {
        case .connected(let socket, let replica): join(socket, replica)
        case .refused, .unreachable: channel.close(promise: nil)
        }
    }

    private func join(_ socket: UpstreamSocket, _ replica: Replica) {
        isJoined = true
        let service = listener.service
        let bytes = early
        early = ByteBuffer()
        RawRelay.join(
            client: channel, clientBytes: bytes, clientEnded: sawEnd, upstream: socket.channel,
            upstreamBytes: ByteBuffer()
        ) { bytesIn, bytesOut in
            service.statistics.bytesIn += bytesIn
            service.statistics.bytesOut += bytesOut
            service.release(replica)
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if isJoined { return context.fireChannelRead(data) }
        var bytes = unwrapInboundIn(data)
        early.writeBuffer(&bytes)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed { sawEnd = true }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelInactive(context: ChannelHandlerContext) {
        listener.remove(self)
        search?.cancel()
        search = nil
        context.fireChannelInactive()
    }

    /// A TCP connection may rest as long as it likes: nothing is known of what it carries.
    func check(now: NIODeadline) {}

    /// Nobody knows a good moment to end it but its two ends.
    func windDown() {}
}
