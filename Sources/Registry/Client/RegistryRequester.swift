internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import OCISpec
internal import Synchronization

/// Requests of registries with everything that may lie between question and answer: the choice among mirrors and of
/// the scheme, a login, redirects. Retries are the caller's.
///
///     try await retries.run("…") {
///         try await requester.first(of: repository, for: .push) { endpoint in
///             try await requester.send(request, to: endpoint, for: repository)
///         }
///     }
final class RegistryRequester: Sendable {
    private let transport: HTTPTransport
    private let authorizer: Authorizer
    let tokens: TokenClient
    let hosts: RegistryHosts
    private let logger: Logger
    private let state = Mutex(State())
    private static let mostRedirects = 5

    private struct State {
        /// Which scheme a host that may speak either turned out to speak.
        var schemes: [String: WebAddress.Scheme] = [:]
        /// Mirrors that could not be reached, and why; they are not waited for a second time.
        var unreachable: [RegistryEndpoint: RegistryError] = [:]
        /// Mirrors that have sent something else than what a digest names.
        var damaged: [Digest: Set<RegistryEndpoint>] = [:]
    }

    init(transport: HTTPTransport, configuration: RegistryConfiguration, logger: Logger) {
        self.transport = transport
        self.logger = logger
        let hosts = RegistryHosts(configuration: configuration)
        self.hosts = hosts
        tokens = TokenClient(transport: transport, hosts: hosts)
        authorizer = Authorizer(
            tokens: tokens, credentials: CredentialStore(source: configuration.credentials), logger: logger)
    }

    func shutdown() async { await transport.shutdown() }

    // MARK: Mirrors

    /// What `attempt` returns for the first host that does not fail: the mirrors in their order, then the registry
    /// itself. Where all fail, the registry's error is thrown, with what each mirror had said. A mirror that once sent
    /// something else for `content` is not asked for it again.
    func first<Value: Sendable>(
        of repository: RegistryRepository, for capability: RegistryCapabilities, content: Digest? = nil,
        attempt: (RegistryEndpoint) async throws(RegistryError) -> Value
    ) async throws(RegistryError) -> Value {
        let endpoints = try hosts.endpoints(of: repository).filter { $0.capabilities.contains(capability) }
        let (unreachable, damaged) = state.withLock { state in
            (state.unreachable, content.flatMap { state.damaged[$0] } ?? [])
        }
        var failures: [RegistryError] = []
        for endpoint in endpoints {
            do throws(RegistryError) {
                if let known = unreachable[endpoint] { throw known }
                if damaged.contains(endpoint) {
                    throw RegistryError(.digestMismatch, "the mirror \(endpoint.host) has sent damaged content")
                }
                return try await attempt(endpoint)
            } catch {
                if error.kind == .cancelled { throw error }
                failures.append(error)
                guard endpoint.isMirror else { break }
                if [.network, .tls, .timeout].contains(error.kind) {
                    state.withLock { $0.unreachable[endpoint] = error }
                }
                logger.debug("the mirror \(endpoint.host) failed", metadata: ["reason": "\(error.message)"])
            }
        }
        guard let last = failures.popLast() else {
            throw RegistryError(
                .unsupported, "no host is configured that may do this for \(repository.registry)",
                remedy: "give a host in its hosts.toml the capability")
        }
        guard !failures.isEmpty else { throw last }
        throw last.adding("before it, \(failures.map(\.message).joined(separator: "; "))")
    }

    /// Notes that mirrors sent something else than what `content` names; false if there was none among those who sent.
    func reject(_ mirrors: [RegistryEndpoint], for content: Digest) -> Bool {
        state.withLock { state in
            let new = Set(mirrors).subtracting(state.damaged[content] ?? [])
            state.damaged[content, default: []].formUnion(new)
            return !new.isEmpty
        }
    }

    // MARK: One host

    /// The answer of one host, if its status is among the accepted.
    func send(
        _ request: RegistryRequest, to endpoint: RegistryEndpoint, for repository: RegistryRepository
    ) async throws(RegistryError) -> TransportResponse {
        let candidates = candidates(for: endpoint)
        var first: RegistryError?
        for scheme in candidates {
            let address: WebAddress? =
                switch request.target {
                case .path(let path): endpoint.address(scheme, repository: repository.name, path)
                case .root: endpoint.address(scheme, repository: nil, "")
                case .address(let address): address
                }
            guard let address, let base = endpoint.address(scheme, repository: nil, "") else {
                throw RegistryError(
                    .server, "\"\(endpoint.host)\" is no registry host", remedy: "check the image's name")
            }
            do throws(RegistryError) {
                let exchange = Exchange(
                    request: request, endpoint: endpoint, repository: repository.at(endpoint), registry: base)
                let response = try await send(exchange, to: address)
                settle(scheme, for: endpoint, candidates)
                return response
            } catch {
                guard error.suggestsOtherScheme else {
                    if error.isAnswer { settle(scheme, for: endpoint, candidates) }
                    throw error
                }
                // What the likelier scheme met says more than the failure of the other.
                first = first ?? error
            }
        }
        throw first ?? RegistryError(.network, "there is no way to reach \(endpoint.host)")
    }

    /// The URL that an answer names as its `Location`, such as where an upload goes on; for ``RegistryRequest/Target``.
    func location(of response: TransportResponse) throws(RegistryError) -> WebAddress {
        try follow(response.headers.first(name: "Location"), from: response.address, after: 0)
    }

    private func settle(
        _ scheme: WebAddress.Scheme, for endpoint: RegistryEndpoint, _ candidates: [WebAddress.Scheme]
    ) {
        if candidates.count > 1 { state.withLock { $0.schemes[endpoint.host] = scheme } }
    }

    private func candidates(for endpoint: RegistryEndpoint) -> [WebAddress.Scheme] {
        guard endpoint.schemes.count > 1 else { return endpoint.schemes }
        return state.withLock { $0.schemes[endpoint.host] }.map { [$0] } ?? endpoint.schemes
    }

    // MARK: One address

    private struct Exchange {
        let request: RegistryRequest
        let endpoint: RegistryEndpoint
        let repository: RegistryRepository
        /// The endpoint's own address: the login goes to this origin only.
        let registry: WebAddress
    }

    private func send(_ exchange: Exchange, to start: WebAddress) async throws(RegistryError) -> TransportResponse {
        let registry = exchange.registry
        let scopes = exchange.request.scopes
        var authorization = exchange.request.authorization
        if authorization == nil, registry.mayCarrySecrets, !exchange.request.isAnonymous {
            authorization = await authorizer.known(for: exchange.repository, scopes: scopes)
        }
        var isChallenged = false
        var address = start
        var redirects = 0
        while true {
            let response = try await transport.open(
                try transportRequest(exchange, to: address, authorization: authorization))
            let isRegistry = address.origin == registry.origin
            switch response.status.code {
            case let code where exchange.request.accepted.contains(code): return response
            case 301, 302, 303, 307, 308:
                redirects += 1
                let location = response.headers.first(name: "Location")
                address = try follow(location, from: address, after: redirects)
                guard [.GET, .HEAD].contains(exchange.request.method) || [307, 308].contains(response.status.code)
                else {
                    throw RegistryError(
                        .server,
                        "\(registry.hostAndPort) answers a \(exchange.request.method) with the redirect "
                            + "\(response.status.code), which does not keep it",
                        remedy: "name the host that it redirects to: \(address.hostAndPort)")
                }
            case 401 where isRegistry && !isChallenged && !exchange.request.isAnonymous:
                isChallenged = true
                _ = try await response.body.collect(limit: 64 << 10)
                let challenges = AuthenticationChallenge.parse(response.headers["WWW-Authenticate"])
                authorization = try await authorizer.answer(
                    challenges, from: address, for: exchange.repository, scopes: scopes, rejected: authorization)
                address = start
            default: throw await refusal(response, of: exchange)
            }
        }
    }

    private func transportRequest(
        _ exchange: Exchange, to address: WebAddress, authorization: String?
    ) throws(RegistryError) -> TransportRequest {
        let request = exchange.request
        let isRegistry = address.origin == exchange.registry.origin
        var prepared = TransportRequest(
            method: request.method, address: address, headers: request.headers, body: request.body,
            tls: isRegistry ? exchange.endpoint.tls : try hosts.tls(for: address),
            connectTimeout: isRegistry ? exchange.endpoint.connectTimeout : nil)
        // Only the registry itself may see the login and what its settings add, never where it redirects to.
        guard isRegistry else { return prepared }
        for header in exchange.endpoint.headers { prepared.headers.add(name: header.name, value: header.value) }
        if let authorization { prepared.headers.replaceOrAdd(name: "Authorization", value: authorization) }
        return prepared
    }

    /// Where a redirect leads, if it may be followed.
    func follow(
        _ location: String?, from: WebAddress, after redirects: Int
    ) throws(RegistryError) -> WebAddress {
        let host = from.hostAndPort
        guard redirects <= Self.mostRedirects else {
            throw RegistryError(.server, "\(host) redirects more than \(Self.mostRedirects) times")
        }
        guard let location, let next = from.resolving(location) else {
            throw RegistryError(.server, "\(host) redirects, but to no usable URL")
        }
        guard next.scheme == .https || from.scheme == .http || (next.isLoopback && from.isLoopback) else {
            throw RegistryError(
                .tls, "\(host) redirects from HTTPS to plain HTTP (\(next.origin)), which is not followed",
                remedy: "have the registry's storage served with TLS")
        }
        // An address that is nobody's but the asking machine's own is no place for a registry's storage.
        guard !next.isInternal || (next.isLoopback && from.isLoopback) || next.host == from.host else {
            throw RegistryError(
                .server,
                "\(host) redirects to \(next.hostAndPort), an address inside this machine or its cloud, "
                    + "which is not followed",
                remedy: "ask the registry's operator: its storage has no public address")
        }
        return next
    }

    private func refusal(_ response: TransportResponse, of exchange: Exchange) async -> RegistryError {
        let host = response.address.hostAndPort
        // The body only explains; without it the status has to do.
        let body = (try? await response.body.collect(limit: 64 << 10)) ?? []
        guard response.address.origin == exchange.registry.origin else {
            let failure = AnswerFailure.explain(
                response, body: body, what: "\(host), where \(exchange.registry.hostAndPort) redirects to,")
            // Signed addresses expire; the registry gives out a new one when it is asked again.
            return [401, 403, 410].contains(response.status.code) ? failure.asTransient(true) : failure
        }
        guard response.status.code == 401 || response.status.code == 403 else {
            return AnswerFailure.explain(response, body: body, what: host)
        }
        let kind: RegistryError.Kind = response.status.code == 401 ? .unauthorized : .denied
        let refusal = await authorizer.refusal(of: exchange.repository, host: host, kind: kind)
        guard let said = AnswerFailure.reason(body) else { return refusal }
        return RegistryError(kind, "\(refusal.message): \(said)", remedy: refusal.remedy)
    }
}

extension RegistryError {
    /// Whether the registry itself said this, so that it was reached in the right way.
    fileprivate var isAnswer: Bool {
        switch kind {
        case .notFound, .unauthorized, .denied, .rateLimited: true
        default: false
        }
    }
}
