internal import OCISpec

/// One repository of one registry, and under which names people log in there.
struct RegistryRepository: Sendable, Hashable {
    /// As in the reference: `docker.io`, `host:5000`.
    let registry: String
    let name: String

    static let hubNames: Set<String> = ["docker.io", "index.docker.io", "registry-1.docker.io"]

    init(registry: String, name: String) {
        self.registry = registry
        self.name = name
    }

    init(_ reference: ImageReference) { self.init(registry: reference.registry, name: reference.repository) }

    var isHub: Bool { Self.hubNames.contains(registry) }

    /// The host that is connected to; Docker Hub's differs from its name.
    var connectedHost: String { isHub ? "registry-1.docker.io" : registry }

    /// The same repository as an endpoint's logins know it.
    func at(_ endpoint: RegistryEndpoint) -> RegistryRepository {
        RegistryRepository(registry: endpoint.login, name: name)
    }

    /// The names to look for in a file of logins, the most specific first.
    var credentialNames: [String] {
        let host = isHub ? "docker.io" : registry.lowercased()
        let parts = name.split(separator: "/")
        return (0...parts.count).reversed().map { ([host] + parts.prefix($0).map(String.init)).joined(separator: "/") }
    }

    /// The server to name to a credential helper.
    var helperServer: String { isHub ? "https://index.docker.io/v1/" : registry }
}
