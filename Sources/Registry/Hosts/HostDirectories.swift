/// Directories with one directory of settings a registry: containerd's `certs.d/<host>/hosts.toml`, or Docker's
/// `certs.d/<host>` with `*.crt`, `*.cert` and `*.key`.
struct HostDirectories: Sendable {
    /// In the order in which they are searched.
    let paths: [String]

    /// `$MLRUN_CERTS_D`, a list separated by colons, or those of mlrun, containerd and Docker.
    static func standard(_ variable: (String) -> String?) -> [String] {
        if let list = variable("MLRUN_CERTS_D") { return list.split(separator: ":").map(String.init) }
        return ["/etc/mlrun/certs.d", "/etc/containerd/certs.d", "/etc/docker/certs.d"]
    }

    /// What is set for a registry. Its own directory, wherever it lies, goes before a `_default`.
    func settings(for registry: String) throws(RegistryError) -> HostFile? {
        if let own = try ownSettings(for: registry) { return own }
        for path in paths {
            let file = "\(path)/_default/hosts.toml"
            if let content = try SettingsFile.read(file) { return try HostFile(parsing: content, file: file) }
        }
        return nil
    }

    /// As ``settings(for:)``, but without `_default`.
    func ownSettings(for registry: String) throws(RegistryError) -> HostFile? {
        let names = Self.directoryNames(for: registry)
        for path in paths {
            for name in names {
                let directory = "\(path)/\(name)"
                guard let files = try SettingsFile.names(in: directory) else { continue }
                let file = "\(directory)/hosts.toml"
                if let content = try SettingsFile.read(file) { return try HostFile(parsing: content, file: file) }
                return try HostFile(certificatesIn: directory, files: files)
            }
        }
        return nil
    }

    /// A colon is awkward in the name of a directory, so `host:port` may be written `host_port_` too.
    static func directoryNames(for registry: String) -> [String] {
        // A registry's name becomes part of a path here.
        guard !registry.isEmpty, !registry.hasPrefix("."), !registry.contains("/"), registry != "_default" else {
            return []
        }
        guard let colon = registry.lastIndex(of: ":"), !registry.hasSuffix("]") else { return [registry] }
        return ["\(registry[..<colon])_\(registry[registry.index(after: colon)...])_", registry]
    }
}

extension HostFile {
    /// Docker's form: every `*.crt` is an authority, every `*.cert` with the `*.key` of the same name a client
    /// certificate.
    fileprivate init(certificatesIn directory: String, files: [String]) throws(RegistryError) {
        server = Host()
        for file in files {
            let path = "\(directory)/\(file)"
            if file.hasSuffix(".crt") { server.tls.authorities.append(path) }
            if file.hasSuffix(".cert") {
                let key = file.dropLast("cert".count) + "key"
                guard files.contains(String(key)) else {
                    throw RegistryError(
                        .configuration, "the client certificate \(path) lacks its key \(directory)/\(key)",
                        remedy: "add the key; the certificate of an authority is named *.crt")
                }
                server.tls.clientCertificates.append(
                    TLSSettings.ClientCertificate(certificate: path, key: "\(directory)/\(key)"))
            }
            if file.hasSuffix(".key"), !files.contains(file.dropLast("key".count) + "cert") {
                throw RegistryError(
                    .configuration, "the key \(path) lacks its client certificate \(file.dropLast("key".count))cert",
                    remedy: "add the certificate, or remove the key")
            }
        }
    }
}
