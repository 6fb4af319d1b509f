internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import Synchronization

/// One GET of a registry with everything that may lie between request and content: the choice of scheme, a login,
/// redirects. Retries are the caller's.
final class RegistryRequester: Sendable {
    private let transport: HTTPTransport
    private let authorizer: Authorizer
    private let configuration: RegistryConfiguration
    /// Which scheme a host that may speak either turned out to speak.
    private let schemes = Mutex<[String: WebAddress.Scheme]>([:])
    private static let mostRedirects = 5

    init(transport: HTTPTransport, configuration: RegistryConfiguration, logger: Logger) {
        self.transport = transport
        self.configuration = configuration
        let insecure = configuration.insecureRegistries
        authorizer = Authorizer(
            tokens: TokenClient(transport: transport) { !insecure.contains($0.hostAndPort) },
            credentials: CredentialStore(source: configuration.credentials), logger: logger)
    }

    func shutdown() async { await transport.shutdown() }

    /// The answer to `GET /v2/<repository>/<path>` if it is 200 or 206.
    func get(
        _ path: String, of repository: RegistryRepository, headers: HTTPHeaders
    ) async throws(RegistryError) -> TransportResponse {
        let host = repository.connectedHost
        let candidates = candidates(for: repository)
        var first: RegistryError?
        for scheme in candidates {
            guard let address = repository.address(scheme, path) else {
                throw RegistryError(.server, "\"\(host)\" is no registry host", remedy: "check the image's name")
            }
            do throws(RegistryError) {
                let response = try await get(address, of: repository, headers: headers)
                settle(scheme, for: host, candidates)
                return response
            } catch {
                guard error.suggestsOtherScheme else {
                    if error.isAnswer { settle(scheme, for: host, candidates) }
                    throw error
                }
                // What the likelier scheme met says more than the failure of the other.
                first = first ?? error
            }
        }
        throw first ?? RegistryError(.network, "there is no way to reach \(host)")
    }

    private func settle(_ scheme: WebAddress.Scheme, for host: String, _ candidates: [WebAddress.Scheme]) {
        if candidates.count > 1 { schemes.withLock { $0[host] = scheme } }
    }

    /// Plain HTTP first on loopback, since that is what local registries speak and it costs nothing to be wrong;
    /// HTTPS first for registries declared insecure, whose certificates are then not checked.
    private func candidates(for repository: RegistryRepository) -> [WebAddress.Scheme] {
        let host = repository.connectedHost
        if let known = schemes.withLock({ $0[host] }) { return [known] }
        if WebAddress(scheme: .http, registry: host, target: "/")?.isLoopback == true { return [.http, .https] }
        return configuration.insecureRegistries.contains(host) ? [.https, .http] : [.https]
    }

    private func verifies(_ address: WebAddress, of repository: RegistryRepository) -> Bool {
        let registry = WebAddress(scheme: address.scheme, registry: repository.connectedHost, target: "/")
        return registry?.origin != address.origin
            || !configuration.insecureRegistries.contains(repository.connectedHost)
    }

    private func get(
        _ registry: WebAddress, of repository: RegistryRepository, headers: HTTPHeaders
    ) async throws(RegistryError) -> TransportResponse {
        var authorization = registry.mayCarrySecrets ? await authorizer.known(for: repository) : nil
        var isChallenged = false
        var address = registry
        var redirects = 0
        while true {
            var request = TransportRequest(
                address: address, headers: headers, verifiesCertificate: verifies(address, of: repository))
            // Only the registry itself may see the login, never where it redirects to.
            if let authorization, address.origin == registry.origin {
                request.headers.add(name: "Authorization", value: authorization)
            }
            let response = try await transport.open(request)
            switch response.status.code {
            case 200, 206: return response
            case 301, 302, 303, 307, 308:
                redirects += 1
                let location = response.headers.first(name: "Location")
                address = try follow(location, from: address, after: redirects)
            case 401 where address.origin == registry.origin && !isChallenged:
                isChallenged = true
                _ = try await response.body.collect(limit: 64 << 10)
                let challenges = AuthenticationChallenge.parse(response.headers["WWW-Authenticate"])
                authorization = try await authorizer.answer(
                    challenges, from: address, for: repository, rejected: authorization)
                address = registry
            default: throw await refusal(response, of: repository, registry: registry)
            }
        }
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
        return next
    }

    private func refusal(
        _ response: TransportResponse, of repository: RegistryRepository, registry: WebAddress
    ) async -> RegistryError {
        let host = response.address.hostAndPort
        // The body only explains; without it the status has to do.
        let body = (try? await response.body.collect(limit: 64 << 10)) ?? []
        guard response.address.origin == registry.origin else {
            return AnswerFailure.explain(
                response, body: body, what: "\(host), where \(registry.hostAndPort) redirects to,")
        }
        guard response.status.code == 401 || response.status.code == 403 else {
            return AnswerFailure.explain(response, body: body, what: host)
        }
        let kind: RegistryError.Kind = response.status.code == 401 ? .unauthorized : .denied
        let refusal = await authorizer.refusal(of: repository, host: host, kind: kind)
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
