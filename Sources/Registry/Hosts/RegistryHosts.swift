internal import Synchronization

/// Which hosts serve a registry, in the order in which they are asked, and how each is spoken to. Files are read once.
final class RegistryHosts: Sendable {
    private let configuration: RegistryConfiguration
    private let directories: HostDirectories
    private let known = Mutex<[String: [RegistryEndpoint]]>([:])

    init(configuration: RegistryConfiguration) {
        self.configuration = configuration
        directories = HostDirectories(paths: configuration.hostDirectories)
    }

    /// Mirrors first, the registry itself last.
    func endpoints(of repository: RegistryRepository) throws(RegistryError) -> [RegistryEndpoint] {
        if let endpoints = known.withLock({ $0[repository.registry] }) { return endpoints }
        let settings = try directories.settings(for: repository.registry)
        let endpoints =
            (settings?.mirrors ?? []).map { mirror($0, of: repository) } + [server(settings?.server, of: repository)]
        known.withLock { $0[repository.registry] = endpoints }
        return endpoints
    }

    /// How TLS is spoken with a host that is no endpoint: a token server, or the target of a redirect.
    func tls(for address: WebAddress) throws(RegistryError) -> TLSSettings {
        let host = address.hostAndPort
        guard address.scheme == .https else { return .standard }
        guard let settings = try directories.ownSettings(for: host) else { return standardTLS(host, .standard) }
        let servers = [settings.server] + settings.mirrors
        let own = servers.first { $0.address.map { $0.origin == address.origin } ?? true }
        return standardTLS(host, own?.tls ?? .standard)
    }

    private func mirror(_ host: HostFile.Host, of repository: RegistryRepository) -> RegistryEndpoint {
        var endpoint = server(host, of: repository)
        endpoint.isMirror = true
        return endpoint
    }

    private func server(_ settings: HostFile.Host?, of repository: RegistryRepository) -> RegistryEndpoint {
        let standard = repository.connectedHost
        let host = settings?.address?.hostAndPort ?? standard
        // A login for a registry is not one for whoever stands in for it.
        var endpoint = RegistryEndpoint(
            login: host == standard ? repository.registry : host, host: host,
            schemes: settings?.address.map { [$0.scheme] } ?? schemes(of: host, settings?.tls ?? .standard))
        if host != standard { endpoint.namespace = repository.isHub ? "docker.io" : repository.registry }
        endpoint.tls = standardTLS(host, settings?.tls ?? .standard)
        guard let settings else { return endpoint }
        endpoint.path = settings.path
        endpoint.capabilities = settings.capabilities
        endpoint.headers = settings.headers
        endpoint.connectTimeout = settings.connectTimeout
        return endpoint
    }

    private func standardTLS(_ host: String, _ settings: TLSSettings) -> TLSSettings {
        var settings = settings
        if configuration.insecureRegistries.contains(host) { settings.verifiesCertificate = false }
        return settings
    }

    /// Plain HTTP first on loopback, since that is what local registries speak and it costs nothing to be wrong, but
    /// not for one that has certificates set; HTTPS first for registries declared insecure, whose certificates are
    /// then not checked.
    private func schemes(of host: String, _ tls: TLSSettings) -> [WebAddress.Scheme] {
        if WebAddress(scheme: .http, registry: host, target: "/")?.isLoopback == true {
            return tls == .standard ? [.http, .https] : [.https, .http]
        }
        return configuration.insecureRegistries.contains(host) ? [.https, .http] : [.https]
    }
}
