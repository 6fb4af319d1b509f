internal import AsyncHTTPClient
internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import Synchronization

/// One request of one address, as it goes over the wire: no redirects, no retries, no authentication.
struct TransportRequest: Sendable {
    var method = HTTPMethod.GET
    var address: WebAddress
    var headers = HTTPHeaders()
    var body: RequestBody?
    var tls = TLSSettings.standard
    /// Nil for that of the configuration.
    var connectTimeout: Duration?
}

/// The head of an answer, and its body yet to be read.
struct TransportResponse: Sendable {
    let address: WebAddress
    let status: HTTPResponseStatus
    let headers: HTTPHeaders
    let body: ResponseBody

    /// The announced length; nil if there is none or it is no number.
    var contentLength: Int64? { headers.first(name: "Content-Length").flatMap { Int64($0) } }
}

/// The body of an answer, read by one task; the connection closes when this is released unread.
final class ResponseBody: Sendable {
    private let receiver: ResponseReceiver
    private let address: WebAddress

    init(_ receiver: ResponseReceiver, from address: WebAddress) {
        self.receiver = receiver
        self.address = address
    }

    deinit { receiver.abandon() }

    func next() async throws(RegistryError) -> ByteBuffer? {
        switch await receiver.next() {
        case .success(let buffer): return buffer
        case .failure(let error): throw TransportFailure.explain(error, address: address)
        }
    }

    /// Everything up to the end; nil when it is more than `limit` bytes.
    func collect(limit: Int) async throws(RegistryError) -> [UInt8]? {
        var bytes: [UInt8] = []
        while let buffer = try await next() {
            if bytes.count + buffer.readableBytes > limit { return nil }
            bytes.append(contentsOf: buffer.readableBytesView)
        }
        return bytes
    }
}

/// Makes connections, with one pool for all requests that go the same way; nothing is started before the first of them.
final class HTTPTransport: Sendable {
    private struct State {
        var clients: [ConnectionRoute: HTTPClient] = [:]
        var isClosed = false
    }

    private let state = Mutex(State())
    private let configuration: RegistryConfiguration
    private let logger: Logger

    init(configuration: RegistryConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
    }

    deinit {
        // async-http-client insists on being shut down; the callback keeps it alive until it is.
        for client in state.withLock({ $0.clients.values }) { client.shutdown { _ in } }
    }

    func shutdown() async {
        let clients = state.withLock { state in
            defer { state = State(isClosed: true) }
            return state.clients.values
        }
        for client in clients {
            do {
                try await client.shutdown()
            } catch {
                logger.debug("the HTTP client did not shut down cleanly", metadata: ["error": "\(error)"])
            }
        }
    }

    /// Sends a request and waits for the head of the answer. Where several client certificates are there, the next one
    /// is shown to a server that refuses one.
    func open(_ request: TransportRequest) async throws(RegistryError) -> TransportResponse {
        let certificates = request.tls.clientCertificates
        guard certificates.count > 1 else { return try await open(request, request.tls) }
        var last: RegistryError?
        for certificate in certificates {
            var tls = request.tls
            tls.clientCertificates = [certificate]
            do throws(RegistryError) { return try await open(request, tls) } catch {
                guard error.kind == .tls else { throw error }
                last = error
            }
        }
        throw last ?? RegistryError(.tls, "no client certificate was accepted by \(request.address.hostAndPort)")
    }

    private func open(_ request: TransportRequest, _ tls: TLSSettings) async throws(RegistryError) -> TransportResponse
    {
        let route = ConnectionRoute(
            tls: request.address.scheme == .https ? tls : .standard,
            connectTimeout: request.connectTimeout ?? configuration.connectTimeout,
            proxy: try configuration.proxies.proxy(for: request.address))
        let client = try running(route)
        let prepared: HTTPClient.Request
        do {
            var headers = request.headers
            headers.replaceOrAdd(name: "User-Agent", value: configuration.userAgent)
            // A blob is what its digest says, not what a proxy makes of it on the way.
            headers.replaceOrAdd(name: "Accept-Encoding", value: "identity")
            prepared = try HTTPClient.Request(
                url: request.address.text, method: request.method, headers: headers,
                body: try await request.body?.opened())
        } catch let error as RegistryError {
            throw error
        } catch {
            throw TransportFailure.explain(error, address: request.address, proxy: route.proxy)
        }
        let receiver = ResponseReceiver(
            responseTimeout: configuration.responseTimeout, stallTimeout: configuration.stallTimeout)
        receiver.attach(client.execute(request: prepared, delegate: receiver, logger: logger))
        let body = ResponseBody(receiver, from: request.address)
        switch await receiver.head() {
        case .failure(let error):
            // Through a proxy the certificate is not looked at again: another connection could meet another server.
            if route.proxy == nil, TransportFailure.isUntrustedCertificate(error),
                let report = await CertificateReport.explain(
                    request.address, timeout: TimeAmount(route.connectTimeout))
            {
                throw report
            }
            throw TransportFailure.explain(error, address: request.address, proxy: route.proxy, tls: route.tls)
        case .success(let head):
            logger.debug(
                "\(request.method) \(request.address.text.prefix { $0 != "?" })",
                metadata: ["status": "\(head.status.code)"])
            return TransportResponse(
                address: request.address, status: head.status, headers: head.headers, body: body)
        }
    }

    private func running(_ route: ConnectionRoute) throws(RegistryError) -> HTTPClient {
        let closed = RegistryError(.cancelled, "the registry client has been shut down")
        let (existing, isClosed) = state.withLock { ($0.clients[route], $0.isClosed) }
        if isClosed { throw closed }
        if let existing { return existing }
        let new = HTTPClient(
            eventLoopGroupProvider: .shared(MultiThreadedEventLoopGroup.singleton),
            configuration: try route.clientConfiguration(authorities: configuration.certificateAuthorityFiles))
        let winner = state.withLock { state -> HTTPClient? in
            if state.isClosed { return nil }
            if let other = state.clients[route] { return other }
            state.clients[route] = new
            return new
        }
        if winner !== new { new.shutdown { _ in } }
        guard let winner else { throw closed }
        return winner
    }
}

extension RequestBody {
    /// As async-http-client sends it.
    fileprivate func opened() async throws(RegistryError) -> HTTPClient.Body {
        switch self {
        case .bytes(let bytes): return .bytes(bytes)
        case .stream(let length, let open):
            let source = try await open()
            return .stream(contentLength: length) { writer in
                let loop = MultiThreadedEventLoopGroup.singleton.any()
                return loop.makeFutureWithTask {
                    while let piece = try await source.next() { try await writer.write(.byteBuffer(piece)).get() }
                }
            }
        }
    }
}
