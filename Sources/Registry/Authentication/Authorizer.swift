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
    private var lookups: [RegistryRepository: Task<CredentialLookup, Never>] = [:]
    private var fetched: [TokenRequest: BearerToken] = [:]
    private var fetches: [TokenRequest: Task<Result<BearerToken, RegistryError>, Never>] = [:]

    private enum Way {
        case basic(String)
        case bearer(TokenRequest)
    }

    init(tokens: TokenClient, credentials: CredentialStore, logger: Logger) {
        self.tokens = tokens
        self.credentials = credentials
        self.logger = logger
    }

    /// The `Authorization` value to send unasked; nil before the first challenge or when the token has expired.
    func known(for repository: RegistryRepository) -> String? {
        switch learnt[repository] {
        case .basic(let value): return value
        case .bearer(let request): return fetched[request].flatMap { $0.isFresh ? $0.header : nil }
        case nil: return nil
        }
    }

    /// The `Authorization` value that answers a 401 from `address`; `rejected` is what was sent with the request.
    func answer(
        _ challenges: [AuthenticationChallenge], from address: WebAddress, for repository: RegistryRepository,
        rejected: String?
    ) async throws(RegistryError) -> String {
        let host = address.hostAndPort
        guard address.mayCarrySecrets else {
            throw RegistryError(
                .unauthorized, "\(host) asks for a login over plain HTTP, where everybody on the way could read it",
                remedy: "serve the registry with TLS")
        }
        if let challenge = challenges.first(where: { $0.scheme == "bearer" }) {
            let request = try TokenRequest(challenge, from: address, repository: repository)
            return try await bearer(request, repository: repository, rejected: rejected)
        }
        guard challenges.contains(where: { $0.scheme == "basic" }) else {
            let names = challenges.map { "\"\($0.scheme)\"" }.joined(separator: ", ")
            let offer = names.isEmpty ? "names no way to log in" : "wants \(names), which is not supported"
            throw RegistryError(.unauthorized, "\(host) asks for a login but \(offer)")
        }
        let lookup = await lookUp(repository)
        guard let found = lookup.credentials else { throw Refusal.noCredentials(lookup, repository, host) }
        guard let basic = found.basic else {
            throw RegistryError(
                .unauthorized, "\(host) wants a user name and password, but \(found.source) holds an identity token",
                remedy: "log in again with 'docker login \(repository.registry)'")
        }
        guard basic != rejected else { throw Refusal.refused(found, repository, host) }
        learnt[repository] = .basic(basic)
        return basic
    }

    /// Why a request was refused although everything known was sent along.
    func refusal(of repository: RegistryRepository, host: String, kind: RegistryError.Kind) async -> RegistryError {
        let lookup = await lookUp(repository)
        guard let found = lookup.credentials else { return Refusal.noCredentials(lookup, repository, host, kind) }
        return Refusal.refused(found, repository, host, kind)
    }

    private func bearer(
        _ request: TokenRequest, repository: RegistryRepository, rejected: String?
    ) async throws(RegistryError) -> String {
        learnt[repository] = .bearer(request)
        if let token = fetched[request], token.isFresh, token.header != rejected { return token.header }
        let fetch: Task<Result<BearerToken, RegistryError>, Never>
        if let running = fetches[request] {
            fetch = running
        } else {
            let tokens = self.tokens
            fetch = Task {
                let lookup = await lookUp(repository)
                do throws(RegistryError) {
                    return .success(try await tokens.fetch(request, repository: repository, lookup: lookup))
                } catch {
                    return .failure(error)
                }
            }
            fetches[request] = fetch
        }
        let result = await fetch.value
        if fetches[request] == fetch {
            fetches[request] = nil
            fetched[request] = try? result.get()
        }
        return try result.get().header
    }

    private func lookUp(_ repository: RegistryRepository) async -> CredentialLookup {
        if let running = lookups[repository] { return await running.value }
        let store = credentials
        let task = Task { await store.lookUp(repository) }
        lookups[repository] = task
        let lookup = await task.value
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
            kind, text, remedy: "check the name, or log in with 'docker login \(repository.registry)'")
    }

    static func refused(
        _ credentials: Credentials, _ repository: RegistryRepository, _ host: String,
        _ kind: RegistryError.Kind = .unauthorized
    ) -> RegistryError {
        let who = "\(credentials.user) from \(credentials.source)"
        return RegistryError(
            kind, "\(host) refuses access to \(repository.name) for \(who), or has no such repository",
            remedy:
                "check the name and the account's rights, or log in again with 'docker login \(repository.registry)'")
    }
}
