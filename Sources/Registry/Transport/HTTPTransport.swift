internal import AsyncHTTPClient
internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import NIOSSL
internal import Synchronization

/// One request of one address, as it goes over the wire: no redirects, no retries, no authentication.
struct TransportRequest: Sendable {
    var method = HTTPMethod.GET
    var address: WebAddress
    var headers = HTTPHeaders()
    var body: [UInt8]?
    /// Off for registries that the user declared insecure.
    var verifiesCertificate = true
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

/// Makes connections, with one pool for all requests; nothing is started before the first of them.
final class HTTPTransport: Sendable {
    private enum Client {
        case none
        case running(HTTPClient)
        case closed
    }

    private let client = Mutex(Client.none)
    private let configuration: RegistryConfiguration
    private let logger: Logger

    init(configuration: RegistryConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
    }

    deinit {
        // async-http-client insists on being shut down; the callback keeps it alive until it is.
        let last = client.withLock { $0 }
        if case .running(let client) = last { client.shutdown { _ in } }
    }

    func shutdown() async {
        let last = client.withLock { client in
            defer { client = .closed }
            return client
        }
        guard case .running(let client) = last else { return }
        do {
            try await client.shutdown()
        } catch {
            logger.debug("the HTTP client did not shut down cleanly", metadata: ["error": "\(error)"])
        }
    }

    /// Sends a request and waits for the head of the answer.
    func open(_ request: TransportRequest) async throws(RegistryError) -> TransportResponse {
        let client = try running()
        let prepared: HTTPClient.Request
        do {
            var headers = request.headers
            headers.replaceOrAdd(name: "User-Agent", value: configuration.userAgent)
            // A blob is what its digest says, not what a proxy makes of it on the way.
            headers.replaceOrAdd(name: "Accept-Encoding", value: "identity")
            prepared = try HTTPClient.Request(
                url: request.address.text, method: request.method, headers: headers,
                body: request.body.map { .bytes($0) },
                tlsConfiguration: request.verifiesCertificate ? nil : Self.unverifiedTLS())
        } catch {
            throw TransportFailure.explain(error, address: request.address)
        }
        let receiver = ResponseReceiver(
            responseTimeout: configuration.responseTimeout, stallTimeout: configuration.stallTimeout)
        receiver.attach(client.execute(request: prepared, delegate: receiver, logger: logger))
        let body = ResponseBody(receiver, from: request.address)
        switch await receiver.head() {
        case .failure(let error): throw TransportFailure.explain(error, address: request.address)
        case .success(let head):
            logger.debug(
                "\(request.method) \(request.address.text.prefix { $0 != "?" })",
                metadata: ["status": "\(head.status.code)"])
            return TransportResponse(
                address: request.address, status: head.status, headers: head.headers, body: body)
        }
    }

    private func running() throws(RegistryError) -> HTTPClient {
        let existing = client.withLock { $0 }
        switch existing {
        case .running(let client): return client
        case .closed: throw RegistryError(.cancelled, "the registry client has been shut down")
        case .none: break
        }
        let new = HTTPClient(
            eventLoopGroupProvider: .shared(MultiThreadedEventLoopGroup.singleton),
            configuration: try makeConfiguration())
        let winner = client.withLock { current -> HTTPClient? in
            switch current {
            case .none:
                current = .running(new)
                return new
            case .running(let client): return client
            case .closed: return nil
            }
        }
        if winner !== new { new.shutdown { _ in } }
        guard let winner else { throw RegistryError(.cancelled, "the registry client has been shut down") }
        return winner
    }

    private func makeConfiguration() throws(RegistryError) -> HTTPClient.Configuration {
        var tls = TLSConfiguration.makeClientConfiguration()
        for file in configuration.certificateAuthorityFiles {
            do {
                tls.additionalTrustRoots.append(.certificates(try NIOSSLCertificate.fromPEMFile(file)))
            } catch {
                throw RegistryError(
                    .tls, "cannot read certificate authorities from \(file): \(error)",
                    remedy: "name a readable file of PEM certificates")
            }
        }
        var settings = HTTPClient.Configuration(
            tlsConfiguration: tls, redirectConfiguration: .disallow,
            timeout: .init(connect: TimeAmount(configuration.connectTimeout)), ignoreUncleanSSLShutdown: false,
            decompression: .disabled)
        // One connection a download: layers never share the window of one HTTP/2 connection.
        settings.httpVersion = .http1Only
        settings.connectionPool.retryConnectionEstablishment = false
        settings.connectionPool.idleTimeout = .seconds(20)
        return settings
    }

    private static func unverifiedTLS() -> TLSConfiguration {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.certificateVerification = .none
        return tls
    }
}
