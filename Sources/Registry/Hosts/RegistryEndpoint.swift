internal import NIOHTTP1

/// What may be asked of a host.
struct RegistryCapabilities: OptionSet, Sendable, Hashable {
    let rawValue: UInt8

    /// Manifests and blobs by their digest.
    static let pull = RegistryCapabilities(rawValue: 1)
    /// What a tag means now. A mirror may lag behind, so not every one is trusted with that.
    static let resolve = RegistryCapabilities(rawValue: 2)
    static let push = RegistryCapabilities(rawValue: 4)
    static let referrers = RegistryCapabilities(rawValue: 8)
    static let all: RegistryCapabilities = [.pull, .resolve, .push, .referrers]
}

/// One host that serves the images of a registry: the registry's own server, or a mirror of it.
struct RegistryEndpoint: Sendable, Hashable {
    struct Header: Sendable, Hashable {
        let name: String
        let value: String
    }

    /// The name under which people log in there. Logins and tokens belong to it and go nowhere else.
    let login: String
    /// `host` or `host:port` as it is connected to.
    let host: String
    /// In the order in which they are tried.
    let schemes: [WebAddress.Scheme]
    /// Below which the repositories lie; `/v2` but where a mirror serves several registries under paths.
    var path = "/v2"
    var capabilities = RegistryCapabilities.all
    var tls = TLSSettings.standard
    /// Sent with every request of this host, and to no other.
    var headers: [Header] = []
    var connectTimeout: Duration?
    var isMirror = false
    /// The registry that a mirror is asked on behalf of, as containerd tells it (`ns`).
    var namespace: String?

    /// Where a request goes; nil if the host is malformed.
    func address(_ scheme: WebAddress.Scheme, repository: String?, _ rest: String) -> WebAddress? {
        var target = repository.map { "\(path)/\($0)/\(rest)" } ?? "\(path)/"
        if let namespace { target += "\(target.contains("?") ? "&" : "?")ns=\(WebAddress.encode(namespace))" }
        return WebAddress(scheme: scheme, registry: host, target: target)
    }
}
