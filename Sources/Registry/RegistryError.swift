/// Why something could not be had from a registry: what failed and on which host, and what to do about it.
public struct RegistryError: Error, Sendable, Equatable {
    /// What a program may decide by.
    public enum Kind: String, Sendable {
        /// The registry has no such image, tag or blob.
        case notFound
        /// The registry wants credentials, and there are none or it refused them.
        case unauthorized
        /// The registry knows who asks and says no.
        case denied
        /// Too many requests; ``RegistryError/retryAfter`` says for how long, if the registry did.
        case rateLimited
        /// The registry answered with an error or against the protocol.
        case server
        /// The registry could not be reached, or the connection broke.
        case network
        /// A file of settings, such as a hosts.toml, cannot be used.
        case configuration
        /// No trusted, encrypted connection could be made.
        case tls
        /// A manifest or index cannot be understood or contradicts itself.
        case invalidManifest
        /// Content has another digest than the one it was asked for by.
        case digestMismatch
        /// Something that exists but that this client does not do, such as schema 1 or a foreign platform.
        case unsupported
        /// The registry stopped answering.
        case timeout
        /// The calling task was cancelled.
        case cancelled
    }

    /// What a program may decide by.
    public let kind: Kind
    /// One line: what failed, on which host, and why.
    public let message: String
    /// One line: what to do about it; nil where nothing can be said.
    public let remedy: String?
    /// How long the registry asked to be left alone.
    public let retryAfter: Duration?
    /// Whether the same request may succeed a little later.
    let isTransient: Bool
    /// Whether the host seems to speak the other of HTTP and HTTPS.
    let suggestsOtherScheme: Bool

    init(
        _ kind: Kind, _ message: String, remedy: String? = nil, retryAfter: Duration? = nil,
        isTransient: Bool = false, suggestsOtherScheme: Bool = false
    ) {
        self.kind = kind
        self.message = message
        self.remedy = remedy
        self.retryAfter = retryAfter
        self.isTransient = isTransient
        self.suggestsOtherScheme = suggestsOtherScheme
    }

    static func cancelled(_ what: String) -> RegistryError { RegistryError(.cancelled, "\(what) was cancelled") }

    func asTransient(_ isTransient: Bool) -> RegistryError {
        RegistryError(
            kind, message, remedy: remedy, retryAfter: retryAfter, isTransient: isTransient,
            suggestsOtherScheme: suggestsOtherScheme)
    }

    /// The same error with more of what happened.
    func adding(_ circumstance: String) -> RegistryError {
        RegistryError(
            kind, "\(message) (\(circumstance))", remedy: remedy, retryAfter: retryAfter, isTransient: isTransient,
            suggestsOtherScheme: suggestsOtherScheme)
    }

    /// The same error told of a larger undertaking.
    func inContext(_ context: String) -> RegistryError {
        RegistryError(
            kind, "\(context): \(message)", remedy: remedy, retryAfter: retryAfter, isTransient: isTransient,
            suggestsOtherScheme: suggestsOtherScheme)
    }
}

extension RegistryError: CustomStringConvertible {
    public var description: String { remedy.map { "\(message); \($0)" } ?? message }
}
