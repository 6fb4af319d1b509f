internal import NIOHTTP1

/// A user name and password to try at a registry.
public struct Login: Sendable {
    /// The registry.
    public let host: LoginHost
    /// The account.
    public let user: String
    let password: String

    public init(host: LoginHost, user: String, password: String) {
        self.host = host
        self.user = user
        self.password = password
    }
}

/// A login that its registry has accepted, in the form in which it is to be kept.
public struct VerifiedLogin: Sendable {
    /// The registry.
    public let host: LoginHost
    /// The account.
    public let user: String
    /// Whether the registry's token server gave out a token to be kept in place of the password.
    public var isToken: Bool { if case .identityToken = secret { true } else { false } }
    let secret: Credentials.Secret
}

extension RegistryClient {
    /// Asks a registry whether it accepts a login. Nothing is stored.
    ///
    /// Throws ``RegistryError/Kind/unauthorized`` where the registry says no, and the errors of the network.
    public func verify(_ login: Login) async throws(RegistryError) -> VerifiedLogin {
        let secret = try await configuration.retries.run("log in to \(login.host)") { () async throws(RegistryError) in
            try await requester.verify(login)
        }
        return VerifiedLogin(host: login.host, user: login.user, secret: secret)
    }
}

extension RegistryRequester {
    /// What to keep: the password, or the token that the registry gave out for it.
    func verify(_ login: Login) async throws(RegistryError) -> Credentials.Secret {
        let repository = login.host.repository
        guard let endpoint = try hosts.endpoints(of: repository).last else {
            throw RegistryError(.configuration, "there is no host for \(login.host)")
        }
        let password = Credentials(secret: .password(user: login.user, login.password), source: "the login")
        var request = RegistryRequest(target: .root, scopes: .none, accepted: [200, 401])
        request.isAnonymous = true
        let first = try await send(request, to: endpoint, for: repository)
        _ = try await first.body.collect(limit: 64 << 10)
        if first.status == .ok { return password.secret }
        let host = first.address.hostAndPort
        guard first.address.mayCarrySecrets else {
            throw RegistryError(
                .unauthorized, "\(host) asks for a login over plain HTTP, where everybody on the way could read it",
                remedy: "serve the registry with TLS")
        }
        let challenges = AuthenticationChallenge.parse(first.headers["WWW-Authenticate"])
        var kept = password.secret
        if let challenge = challenges.first(where: { $0.scheme == "bearer" }) {
            let wanted = try TokenRequest(challenge, from: first.address, repository: repository)
            let token = try await tokens.fetch(
                wanted, repository: repository, lookup: CredentialLookup(credentials: password), isLogin: true)
            request.authorization = token.header
            if let refresh = token.refresh { kept = .identityToken(refresh) }
        } else if challenges.contains(where: { $0.scheme == "basic" }) {
            request.authorization = password.basic
        } else {
            throw RegistryError(.unauthorized, "\(host) names no way to log in that is supported (Basic or Bearer)")
        }
        let second = try await send(request, to: endpoint, for: repository)
        let body = try await second.body.collect(limit: 64 << 10) ?? []
        guard second.status == .ok else {
            throw Refusal.wrongPassword(host, body)
        }
        return kept
    }
}
