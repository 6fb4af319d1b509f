internal import NIOHTTP1
internal import OCISpec

/// What to ask a token server for, taken from a Bearer challenge (distribution's token specification).
struct TokenRequest: Sendable, Hashable {
    /// The token server's URL; its origin is the only one that sees the credentials beside the registry.
    let realm: String
    let service: String?
    /// Whose token it is: another registry that names the same token server never gets it.
    let registry: String
    private(set) var scopes: AccessScopes

    init(
        _ challenge: AuthenticationChallenge, from registry: WebAddress, repository: RegistryRepository
    ) throws(RegistryError) {
        let host = registry.hostAndPort
        guard let text = challenge.parameters["realm"] else {
            throw RegistryError(.server, "\(host) asks for a token but names no server to get it from (realm)")
        }
        guard let realm = WebAddress(parsing: text) else {
            throw RegistryError(.server, "\(host) names \"\(text)\" as its token server, which is no usable URL")
        }
        // A registry elsewhere has no business on this machine's loopback, and a login none in the clear.
        let isReachable =
            !realm.isInternal || (realm.isLoopback && registry.isLoopback) || realm.host == registry.host
        guard realm.mayCarrySecrets, isReachable else {
            throw RegistryError(
                .unauthorized, "\(host) names \(realm.origin) as its token server, where no login may be sent",
                remedy: "ask the registry's operator for a token server with TLS")
        }
        self.realm = realm.text
        service = challenge.parameters["service"]
        self.registry = repository.registry
        scopes = AccessScopes(parsing: challenge.parameters["scope"] ?? "")
    }

    func adding(_ wanted: AccessScopes) -> TokenRequest {
        var request = self
        request.scopes = scopes.union(wanted)
        return request
    }

    /// Whether a token fetched by this request also answers `other`.
    func covers(_ other: TokenRequest) -> Bool {
        realm == other.realm && service == other.service && registry == other.registry && scopes.covers(other.scopes)
    }
}

/// A token and how long it can be used.
struct BearerToken: Sendable {
    let header: String
    let expires: ContinuousClock.Instant
    /// What a later token can be had for in place of a password, where the server gave it out.
    var refresh: String?

    /// With a margin, so that a token does not expire on its way.
    var isFresh: Bool { ContinuousClock.now + .seconds(10) < expires }
}

/// Fetches tokens: with a GET, or for an identity token with the OAuth 2 form of the token specification.
struct TokenClient: Sendable {
    let transport: HTTPTransport
    let hosts: RegistryHosts

    func fetch(
        _ wanted: TokenRequest, repository: RegistryRepository, lookup: CredentialLookup, isLogin: Bool = false
    ) async throws(RegistryError) -> BearerToken {
        let request = try request(wanted, credentials: lookup.credentials, isLogin: isLogin)
        let asked = ContinuousClock.now
        let response = try await transport.open(request)
        let host = response.address.hostAndPort
        guard let body = try await response.body.collect(limit: 1 << 20) else {
            throw RegistryError(.server, "the token server \(host) sent more than 1 MiB")
        }
        switch response.status.code {
        case 200: break
        case 401, 403:
            let kind: RegistryError.Kind = response.status.code == 401 ? .unauthorized : .denied
            guard let credentials = lookup.credentials else {
                throw Refusal.noCredentials(lookup, repository, host, kind)
            }
            throw isLogin
                ? Refusal.wrongPassword(host, body) : Refusal.refused(credentials, repository, host, kind)
        default: throw AnswerFailure.explain(response, body: body, what: "the token server \(host)")
        }
        do throws(JSONError) {
            let answer = JSONCursor(try JSON(parsing: body))
            let token = try answer.optional("token")
            let accessToken = try answer.optional("access_token")
            let text = try (token ?? accessToken)?.string() ?? ""
            guard !text.isEmpty, text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
                throw answer.failure("there is no usable token or access_token")
            }
            // Shorter than the specification's default of 60 s is not believed: it would mean a token a request.
            let seconds = max(60, try answer.optional("expires_in")?.integer(Int64.self) ?? 60)
            let refresh = try answer.optional("refresh_token")?.string()
            return BearerToken(
                header: "Bearer \(text)", expires: asked + .seconds(min(seconds, 86_400)),
                refresh: refresh.flatMap { $0.isEmpty ? nil : $0 })
        } catch {
            throw RegistryError(.server, "the token server \(host) gave an answer that cannot be read: \(error)")
        }
    }

    private func request(
        _ wanted: TokenRequest, credentials: Credentials?, isLogin: Bool
    ) throws(RegistryError) -> TransportRequest {
        guard let realm = WebAddress(parsing: wanted.realm) else {
            throw RegistryError(.server, "\"\(wanted.realm)\" is no usable URL")
        }
        var fields = wanted.service.map { [("service", $0)] } ?? []
        var request = TransportRequest(address: realm, tls: try hosts.tls(for: realm))
        request.headers.add(name: "Accept", value: "application/json")
        switch credentials?.secret {
        case .identityToken(let token):
            if !wanted.scopes.isEmpty { fields.append(("scope", wanted.scopes.texts.joined(separator: " "))) }
            fields += [("grant_type", "refresh_token"), ("client_id", "mlrun"), ("refresh_token", token)]
            request.method = .POST
            request.headers.add(name: "Content-Type", value: "application/x-www-form-urlencoded")
            request.body = .bytes(Array(Self.form(fields).utf8))
        case .password(let user, _):
            fields += wanted.scopes.texts.map { ("scope", $0) }
            fields.append(("account", user))
            if isLogin { fields += [("client_id", "mlrun"), ("offline_token", "true")] }
            if let basic = credentials?.basic { request.headers.add(name: "Authorization", value: basic) }
            request.address = realm.adding(query: Self.form(fields))
        case nil:
            fields += wanted.scopes.texts.map { ("scope", $0) }
            request.address = realm.adding(query: Self.form(fields))
        }
        return request
    }

    private static func form(_ fields: [(String, String)]) -> String {
        fields.map { "\($0)=\(WebAddress.encode($1))" }.joined(separator: "&")
    }
}

extension WebAddress {
    fileprivate func adding(query: String) -> WebAddress {
        let separator = target.contains("?") ? "&" : "?"
        return WebAddress(scheme: scheme, host: host, port: port, target: target + separator + query)
    }
}
