internal import LinuxSystem
internal import NIOCore

/// One request and its answer on their way between a client and a replica.
final class HTTPExchange {
    private let client: HTTPClientConnection
    private let service: Service
    private let head: RequestHead
    private let started = NIODeadline.now()
    private var search: UpstreamSearch?
    private var upstream: UpstreamConnection?
    private var replica: Replica?
    private var requestBody: BodyDecoder
    private(set) var requestIsComplete: Bool
    private var answerHasBegun = false
    private var answerFraming = HTTPFraming.none
    private var keepsAlive = false
    /// When the replica was last given something of this request.
    private var lastGiven = NIODeadline.now()

    init(_ head: RequestHead, from client: HTTPClientConnection, to service: Service) {
        self.head = head
        self.client = client
        self.service = service
        requestBody = BodyDecoder(head.framing)
        requestIsComplete = head.framing == .none || head.framing == .length(0)
    }

    /// Whether bytes from the client would be of use now. While they are not, its sending is held back by TCP.
    var wantsBody: Bool { !requestIsComplete && upstream?.isWritable == true }

    func start(port: UInt16) {
        let search = UpstreamSearch(
            service, port: port,
            reuse: { [self] replica in
                guard let idle = replica.pool.take(port: port) else { return false }
                self.search = nil
                attach(idle, replica)
                return true
            },
            completion: { [self] outcome in
                self.search = nil
                found(outcome)
            })
        self.search = search
        search.start()
        if search.hasEnded { self.search = nil }
    }

    private func found(_ outcome: UpstreamSearch.Outcome) {
        switch outcome {
        case .connected(let socket, let replica):
            let connection = UpstreamConnection(socket)
            do {
                try socket.channel.pipeline.syncOperations.addHandler(connection)
                attach(connection, replica)
            } catch {
                // The connection ended as soon as it was made.
                socket.channel.close(promise: nil)
                service.release(replica)
                answer(502, "service \(service.name): replica \(replica.name) closed the connection at once")
            }
        case .refused(let refusal): refuse(refusal)
        case .unreachable(let replica, let error):
            answer(502, "service \(service.name): replica \(replica.name) is not reachable: \(error)")
        }
    }

    private func refuse(_ refusal: HeldRequest.Refusal) {
        switch refusal {
        case .queueFull:
            answer(503, "service \(service.name): \(service.settings.maxQueue) requests are waiting already", retry: 1)
        case .waitedTooLong:
            let seconds = service.settings.maxWait.nanoseconds / 1_000_000_000
            answer(503, "service \(service.name): no replica was free within \(seconds) s", retry: 5)
        case .serviceRemoved: answer(503, "service \(service.name) has been removed", retry: 5)
        }
    }

    private func attach(_ connection: UpstreamConnection, _ replica: Replica) {
        upstream = connection
        self.replica = replica
        lastGiven = .now()
        connection.begin(self, toHead: head.isHead)
        var out = ByteBufferAllocator().buffer(capacity: head.bytes.readableBytes + 256)
        head.writeForwarded(to: &out, origin: client.origin)
        connection.write(out)
        client.advance()
        connection.read()
        client.readIfWanted()
    }

    // MARK: The request's body

    /// Passes on what `input` holds of the body, and everything written before it.
    func passBody(from input: inout ByteBuffer) {
        guard let upstream else { return }
        do throws(HTTPFault) {
            while !requestIsComplete, self.upstream != nil {
                switch try requestBody.next(from: &input) {
                case .needsMore: return upstream.flush()
                case .data(let bytes):
                    service.statistics.bytesIn += UInt64(bytes.readableBytes)
                    lastGiven = .now()
                    write(bytes, to: upstream)
                case .end(let trailers):
                    if head.framing == .chunked { upstream.write(try lastChunk(trailers)) }
                    requestIsComplete = true
                }
            }
            upstream.flush()
        } catch {
            fail(error.status, "the request body is not valid HTTP: \(error.reason)")
        }
    }

    private func write(_ bytes: ByteBuffer, to upstream: UpstreamConnection) {
        guard head.framing == .chunked else { return upstream.write(bytes) }
        var size = ByteBuffer()
        size.writeChunkSize(bytes.readableBytes)
        upstream.write(size)
        upstream.write(bytes)
        upstream.write(ByteBuffer(staticString: "\r\n"))
    }

    private func lastChunk(_ trailers: ByteBuffer?) throws(HTTPFault) -> ByteBuffer {
        lastChunk(try trailers.map { bytes throws(HTTPFault) in try TrailerFields(bytes) })
    }

    private func lastChunk(_ trailers: TrailerFields?) -> ByteBuffer {
        var out = ByteBuffer(staticString: "0\r\n")
        trailers?.write(to: &out)
        out.writeStaticString("\r\n")
        return out
    }

    // MARK: The answer

    func received(_ answer: ResponseHead) {
        replica?.lastByte = .now()
        if answer.isInterim { return passInterim(answer) }
        if answer.status == 101 { return switchProtocols(answer) }
        service.statistics.firstByte.add(.now() - started)
        service.statistics.countAnswer(answer.status)
        answerHasBegun = true
        answerFraming = answer.framing
        // An HTTP/1.0 client knows no chunks: for it the end of the connection ends the body.
        if answerFraming == .chunked || answerFraming == .untilClose {
            answerFraming = head.minorVersion >= 1 ? .chunked : .untilClose
        }
        keepsAlive = head.keepsAlive && requestIsComplete && answerFraming != .untilClose && !client.isClosing
        let note: ResponseHead.ConnectionNote = keepsAlive ? (head.minorVersion >= 1 ? .none : .keepAlive) : .close
        var out = ByteBufferAllocator().buffer(capacity: answer.bytes.readableBytes + 64)
        answer.writeForwarded(to: &out, framing: answerFraming, note: note)
        client.write(out)
    }

    private func passInterim(_ answer: ResponseHead) {
        guard head.minorVersion >= 1, answer.status != 100 || head.expectsContinue else { return }
        var out = ByteBuffer()
        answer.writeForwarded(to: &out, framing: .none, note: .none)
        client.write(out)
        client.flush()
    }

    func receivedBody(_ bytes: ByteBuffer) {
        service.statistics.bytesOut += UInt64(bytes.readableBytes)
        replica?.lastByte = .now()
        guard answerFraming == .chunked else { return client.write(bytes) }
        var size = ByteBuffer()
        size.writeChunkSize(bytes.readableBytes)
        client.write(size)
        client.write(bytes)
        client.write(ByteBuffer(staticString: "\r\n"))
    }

    func answerEnded(isReusable: Bool, trailers: TrailerFields?) {
        if answerFraming == .chunked { client.write(lastChunk(trailers)) }
        client.flush()
        let upstream = upstream
        self.upstream = nil
        if let upstream, let replica {
            if isReusable, requestIsComplete, replica.state == .ready {
                replica.pool.put(upstream, port: client.port)
            } else {
                upstream.close()
            }
        }
        release()
        client.ended(self, keepsAlive: keepsAlive, requestIsComplete: requestIsComplete)
    }

    func upstreamReadComplete() {
        client.flush()
        if client.isWritable { upstream?.read() }
    }

    func upstreamWritabilityChanged() { client.readIfWanted() }
    func clientBecameWritable() { upstream?.read() }

    /// A replica that takes requests and answers nobody may hang. It may compute as well, or answer others: the
    /// supervisor finds out.
    func lookForSilence(_ now: NIODeadline, _ patience: TimeAmount) {
        // Nothing is owed while the client has not asked in full, or reads no answer.
        guard let replica, let upstream, requestIsComplete || !upstream.isWritable, client.isWritable else { return }
        let since = max(lastGiven, replica.lastByte ?? lastGiven)
        if now - since > patience { service.upstreamIsSilent(replica, for: now - since) }
    }

    // MARK: Upgrades

    private func switchProtocols(_ answer: ResponseHead) {
        guard head.upgrade != nil, let upstream, let replica else {
            return upstreamBroke("switched to another protocol, which the request did not ask for")
        }
        service.statistics.firstByte.add(.now() - started)
        service.statistics.countAnswer(101)
        var out = ByteBuffer()
        answer.writeForwarded(to: &out, framing: .none, note: .upgrade)
        client.write(out)
        client.flush()
        let early = upstream.becomeTunnel()
        let service = service
        self.upstream = nil
        self.replica = nil
        client.becomeTunnel(to: upstream.channel, early: early) { bytesIn, bytesOut in
            service.statistics.bytesIn += bytesIn
            service.statistics.bytesOut += bytesOut
            service.release(replica)
        }
    }

    // MARK: How it fails

    /// The upstream's connection is gone, or of no more use and closed.
    func upstreamBroke(_ reason: String) {
        let name = replica?.name ?? ""
        upstream?.close()
        upstream = nil
        if let replica { service.connectionBroke(replica, reason) }
        release()
        if answerHasBegun {
            // Only the broken connection can tell the client that the answer is not whole.
            service.statistics.truncated += 1
            client.abort()
        } else {
            answer(502, "service \(service.name): replica \(name) \(reason)")
        }
    }

    /// The client broke the rules or was too slow.
    func fail(_ status: Int, _ reason: String) {
        upstream?.close()
        upstream = nil
        search?.cancel()
        search = nil
        release()
        if answerHasBegun { client.abort() } else { answer(status, reason) }
    }

    func clientLeft() {
        service.statistics.abandoned += 1
        search?.cancel()
        search = nil
        upstream?.close()
        upstream = nil
        release()
    }

    private func answer(_ status: Int, _ message: String, retry: Int? = nil) {
        service.statistics.countAnswer(status)
        service.statistics.ownAnswers += 1
        let keepsAlive = head.keepsAlive && head.minorVersion >= 1 && requestIsComplete && !client.isClosing
        let answer = GatewayAnswer(status: status, message: message, retryAfter: retry)
        client.write(answer.bytes(keepsAlive: keepsAlive, toHead: head.isHead))
        client.flush()
        client.ended(self, keepsAlive: keepsAlive, requestIsComplete: requestIsComplete)
    }

    private func release() {
        guard let replica else { return }
        self.replica = nil
        service.release(replica)
    }
}
