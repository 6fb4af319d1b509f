internal import NIOCore

/// One of the two ends of a pipe between a client and an upstream: passes bytes, their end, and back-pressure.
final class RawRelay: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    /// What both ends share.
    private final class Session {
        var openEnds = 2
        var bytesIn: UInt64 = 0
        var bytesOut: UInt64 = 0
        let ended: (UInt64, UInt64) -> Void

        init(_ ended: @escaping (UInt64, UInt64) -> Void) { self.ended = ended }
    }

    private let channel: any Channel
    private let session: Session
    private let isClient: Bool
    private var partner: RawRelay?
    private var sawEnd = false

    private init(_ channel: any Channel, _ session: Session, isClient: Bool) {
        self.channel = channel
        self.session = session
        self.isClient = isClient
    }

    /// Joins two connected channels of one loop. `ended` is called once, when both have closed, with the bytes passed
    /// in each direction; bytes and the end of the stream that have come already are given here.
    static func join(
        client: any Channel, clientBytes: ByteBuffer, clientEnded: Bool, upstream: any Channel,
        upstreamBytes: ByteBuffer, ended: @escaping (_ bytesIn: UInt64, _ bytesOut: UInt64) -> Void
    ) {
        let session = Session(ended)
        let near = RawRelay(client, session, isClient: true)
        let far = RawRelay(upstream, session, isClient: false)
        near.partner = far
        far.partner = near
        for relay in [near, far] {
            do {
                try relay.channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: true)
                try relay.channel.pipeline.syncOperations.addHandler(relay)
            } catch {
                // The channel has closed meanwhile, which its handler can no longer tell.
                relay.closed()
            }
        }
        near.take(clientBytes)
        far.take(upstreamBytes)
        if clientEnded { near.ended() }
        near.readIfUseful()
        far.readIfUseful()
    }

    private func take(_ bytes: ByteBuffer) {
        guard bytes.readableBytes > 0, let partner else { return }
        if isClient {
            session.bytesIn += UInt64(bytes.readableBytes)
        } else {
            session.bytesOut += UInt64(bytes.readableBytes)
        }
        partner.channel.writeAndFlush(bytes, promise: nil)
    }

    private func readIfUseful() {
        if !sawEnd, partner?.channel.isWritable == true { channel.read() }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { take(unwrapInboundIn(data)) }
    func channelReadComplete(context: ChannelHandlerContext) { readIfUseful() }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { partner?.readIfUseful() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed { ended() }
    }

    /// The stream from this end is over: the other end is told after everything that came before.
    private func ended() {
        guard !sawEnd else { return }
        sawEnd = true
        guard let other = partner?.channel else { return }
        other.writeAndFlush(ByteBuffer()).whenComplete { _ in other.close(mode: .output, promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    func channelInactive(context: ChannelHandlerContext) { closed() }

    /// This end is gone: what the other would still say reaches nobody, but what it was sent shall arrive.
    private func closed() {
        guard let partner else { return }
        self.partner = nil
        let other = partner.channel
        other.writeAndFlush(ByteBuffer()).whenComplete { _ in other.close(promise: nil) }
        session.openEnds -= 1
        if session.openEnds == 0 { session.ended(session.bytesIn, session.bytesOut) }
    }
}
