internal import Logging
internal import OCISpec

/// Answers the challenges of registries: finds credentials, fetches tokens, keeps both for later requests, and asks
/// for each only once however many downloads wait for it.
actor Authorizer {
    private let tokens: TokenClient
    private let credentials: CredentialStore
    private let logger: Logger

    /// How a repository wants to be addressed, learnt from its last challenge.
    private var learnt: [RegistryRepository: Way] = [:]
    private var lookups: [RegistryRepository: SharedWork<CredentialLookup>] = [:]
    private var fetched: [TokenRequest: BearerToken] = [:]
    private var fetches: [TokenRequest: SharedWork<Result<BearerToken, RegistryError>>] = [:]

    private enum Way {
        case basic(String)
        case bearer(TokenRequest)
    }

    init(tokens: TokenClient, credentials: CredentialStore, logger: Logger) {
        self.tokens = tokens
        self.credentials = credentials
        self.logger = logger
    }

    /// The `Authorization` value to send unasked, a new token in place of one that has expired; nil before the first
    /// challenge.
    func known(for repository: RegistryRepository, scopes: AccessScopes) async -> String? {
        switch learnt[repository] {
        case .basic(let value): return value
        case .bearer(let request):
            // What goes wrong here comes to light with the registry's next challenge.
            return try? await bearer(request.adding(scopes), repository: repository, rejected: nil)
        case nil: return nil
        }
    }

    /// The `Authorization` value that answers a 401 from `address`; `rejected` is what was sent with the request.
    func answer(
        _ challenges: [AuthenticationChallenge], from address: WebAddress, for repository: RegistryRepository,
        scopes: AccessScopes, rejected: String?
    ) async throws(RegistryError) -> String {
        let host = address.hostAndPort
        guard address.mayCarrySecrets else {
            throw RegistryError(
                .unauthorized, "\(host) asks for a login over plain HTTP, where everybody on the way could read it",
                remedy: "serve the registry with TLS")
        }
        if let challenge = challenges.first(where: { $0.scheme == "bearer" }) {
            let request = try TokenRequest(challenge, from: address, repository: repository)
            learnt[repository] = .bearer(request)
            return try await bearer(request.adding(scopes), repository: repository, rejected: rejected)
        }
        guard challenges.contains(where: { $0.scheme == "basic" }) else {
            let names = challenges.map { "\"\($0.scheme)\"" }.joined(separator: ", ")
            let offer = names.isEmpty ? "names no way to log in" : "wants \(names), which is not supported"
            throw RegistryError(.unauthorized, "\(host) asks for a login but \(offer)")
        }
        let lookup = try await lookUp(repository)
        guard let found = lookup.credentials else { throw Refusal.noCredentials(lookup, repository, host) }
        guard let basic = found.basic else {
            throw RegistryError(
                .unauthorized, "\(host) wants a user name and password, but \(found.source) holds an identity token",
                remedy: "log in again with 'mlrun login \(repository.registry)'")
        }
        guard basic != rejected else { throw Refusal.refused(found, repository, host) }
        learnt[repository] = .basic(basic)
        return basic
    }

    /// Why a request was refused although everything known was sent along.
    func refusal(of repository: RegistryRepository, host: String, kind: RegistryError.Kind) async -> RegistryError {
        let lookup: CredentialLookup
        do throws(RegistryError) { lookup = try await lookUp(repository) } catch { return error }
        guard let found = lookup.credentials else { return Refusal.noCredentials(lookup, repository, host, kind) }
        return Refusal.refused(found, repository, host, kind)
    }

    private func bearer(
        _ request: TokenRequest, repository: RegistryRepository, rejected: String?
    ) async throws(RegistryError) -> String {
        if let token = token(for: request), token.header != rejected { return token.header }
        let fetch = fetches[request] ?? startFetch(request, for: repository)
        guard let result = await fetch.value() else { throw .cancelled("the request for a token") }
        return try result.get().header
    }

    /// One that is there already and allows at least what is wanted.
    private func token(for request: TokenRequest) -> BearerToken? {
        if let exact = fetched[request], exact.isFresh { return exact }
        return fetched.first { $0.key.covers(request) && $0.value.isFresh }?.value
    }

    private func startFetch(
        _ request: TokenRequest, for repository: RegistryRepository
    ) -> SharedWork<Result<BearerToken, RegistryError>> {
        let fetch = SharedWork { [self] in await requestToken(request, for: repository) }
        fetches[request] = fetch
        return fetch
    }

    private func requestToken(
        _ request: TokenRequest, for repository: RegistryRepository
    ) async -> Result<BearerToken, RegistryError> {
        defer { fetches[request] = nil }
        do throws(RegistryError) {
            let lookup = try await lookUp(repository)
            let token = try await tokens.fetch(request, repository: repository, lookup: lookup)
            fetched = fetched.filter { $0.value.isFresh }
            fetched[request] = token
            return .success(token)
        } catch {
            return .failure(error)
        }
    }

    /// Once for all who ask at the same time, but anew later: somebody may have logged in meanwhile.
    private func lookUp(_ repository: RegistryRepository) async throws(RegistryError) -> CredentialLookup {
        let lookup = lookups[repository] ?? startLookup(repository)
        guard let result = await lookup.value() else { throw .cancelled("the search for credentials") }
        return result
    }

    private func startLookup(_ repository: RegistryRepository) -> SharedWork<CredentialLookup> {
        let lookup = SharedWork { [self] in await search(repository) }
        lookups[repository] = lookup
        return lookup
    }

    private func search(_ repository: RegistryRepository) async -> CredentialLookup {
        defer { lookups[repository] = nil }
        let lookup = await credentials.lookUp(repository)
        for trouble in lookup.troubles {
            logger.warning("credentials could not be read", metadata: ["reason": "\(trouble)"])
        }
        return lookup
    }
}

/// The texts of a refused login: who was sent, from where, and how to log in.
enum Refusal {
    static func noCredentials(
        _ lookup: CredentialLookup, _ repository: RegistryRepository, _ host: String,
        _ kind: RegistryError.Kind = .unauthorized
    ) -> RegistryError {
        var text = "\(host) refuses anonymous access to \(repository.name), or has no such repository"
        if lookup.troubles.isEmpty {
            let places = lookup.places.joined(separator: ", ")
            text += places.isEmpty ? "" : " (no login for it in \(places))"
        } else {
            text += " (\(lookup.troubles.joined(separator: ", ")))"
        }
        return RegistryError(
            kind, text, remedy: "check the name, or log in with 'mlrun login \(repository.registry)'")
    }

    static func wrongPassword(_ host: String, _ body: [UInt8]) -> RegistryError {
        let said = AnswerFailure.reason(body).map { ": \($0)" } ?? ""
        return RegistryError(
            .unauthorized, "\(host) refuses the user name or password\(said)",
            remedy: "check both, and whether the account needs an access token in place of its password")
    }

    static func refused(
        _ credentials: Credentials, _ repository: RegistryRepository, _ host: String,
        _ kind: RegistryError.Kind = .unauthorized
    ) -> RegistryError {
        let who = "\(credentials.user) from \(credentials.source)"
        return RegistryError(
            kind, "\(host) refuses access to \(repository.name) for \(who), or has no such repository",
            remedy:
                "check the name and the account's rights, or log in again with 'mlrun login \(repository.registry)'")
    }
}
