internal import Glibc
internal import LinuxSystem
internal import NIOPosix
internal import OCISpec

/// Keeps logins where Docker, podman and mlrun look for them: with the credential helper that the first file of a
/// ``CredentialSource`` names, or in that file itself.
public struct LoginStore: Sendable {
    /// Where a login is kept.
    public enum Place: Sendable, Equatable, CustomStringConvertible {
        /// A program, by its name.
        case helper(String)
        /// A file, by its path, where everybody who can read it can read the password.
        case file(String)

        public var description: String {
            switch self {
            case .helper(let program): program
            case .file(let path): path
            }
        }
    }

    private let source: CredentialSource

    public init(_ source: CredentialSource = .environment) { self.source = source }

    /// Keeps a login that ``RegistryClient/verify(_:)`` has accepted.
    public func store(_ login: VerifiedLogin) async throws(RegistryError) -> Place {
        let path = try firstFile()
        let host = login.host
        return try await Self.blocking { () throws(RegistryError) in
            try CredentialDocument.change(path) { document throws(RegistryError) in
                guard let helper = document.helper(for: host) else {
                    document.setLogin(Self.entry(login), for: host)
                    return .file(document.path)
                }
                try Self.run(helper, path) { (helper) throws(CredentialHelper.Failure) in
                    try helper.store(login.secret, for: host.helperServer)
                }
                // What remains readable in the file would go on being found by others.
                document.setLogin(JSONObject(), for: host)
                return .helper("docker-credential-\(helper)")
            }
        }
    }

    private static func entry(_ login: VerifiedLogin) -> JSONObject {
        var entry = JSONObject()
        switch login.secret {
        case .password(let user, let password):
            entry["auth"] = .string(Base64.encode(Array("\(user):\(password)".utf8)))
        case .identityToken(let token):
            entry["auth"] = .string(Base64.encode(Array("\(login.user):".utf8)))
            entry["identitytoken"] = .string(token)
        }
        return entry
    }

    /// Removes the login of one registry, or of all, wherever it is kept; returns from where it was removed.
    public func remove(_ registry: String?) async throws(RegistryError) -> [Place] {
        let files = source.files
        let host = try registry.map { name throws(RegistryError) in try LoginHost(name) }
        return try await Self.blocking { () throws(RegistryError) in
            var places: [Place] = []
            for path in files {
                guard try SettingsFile.read(path, .configuration) != nil else { continue }
                try CredentialDocument.change(path) { document throws(RegistryError) in
                    let hosts = if let host { [host] } else { try Self.allHosts(of: document, path) }
                    for host in hosts {
                        for place in try Self.remove(host, from: &document, path) where !places.contains(place) {
                            places.append(place)
                        }
                    }
                }
            }
            return places
        }
    }

    private static func remove(
        _ host: LoginHost, from document: inout CredentialDocument, _ path: String
    ) throws(RegistryError) -> [Place] {
        var places: [Place] = []
        if let name = document.helper(for: host) {
            let isErased = try run(name, path) { (helper) throws(CredentialHelper.Failure) in
                try helper.erase(host.helperServer)
            }
            if isErased { places.append(.helper("docker-credential-\(name)")) }
        }
        if document.removeLogins(for: host) { places.append(.file(document.path)) }
        return places
    }

    private static func allHosts(of document: CredentialDocument, _ path: String) throws(RegistryError) -> [LoginHost] {
        var names = document.hosts
        if let common = document.commonHelper {
            names += try run(common, path) { (helper) throws(CredentialHelper.Failure) in try helper.list() }
        }
        var hosts: [LoginHost] = []
        for name in names {
            // A key that is no host, as podman's with a path, is removed as it stands.
            let host = LoginHost(key: name)
            if !hosts.contains(host) { hosts.append(host) }
        }
        return hosts
    }

    private func firstFile() throws(RegistryError) -> String {
        if let path = source.files.first { return path }
        throw RegistryError(
            .configuration, "there is no place to keep a login in", remedy: "set HOME or DOCKER_CONFIG")
    }

    private static func run<Value>(
        _ name: String, _ path: String, _ body: (CredentialHelper) throws(CredentialHelper.Failure) -> Value
    ) throws(RegistryError) -> Value {
        do throws(CredentialHelper.Failure) {
            return try body(CredentialHelper(name: name, timeout: .seconds(60)))
        } catch {
            throw RegistryError(
                .configuration, "\(error) (named by \(path))",
                remedy: "install or unlock the helper, or remove it from \(path)")
        }
    }

    private static func blocking<Value: Sendable>(
        _ body: @escaping @Sendable () throws(RegistryError) -> Value
    ) async throws(RegistryError) -> Value {
        do {
            return try await NIOThreadPool.singleton.runIfActive { try body() }
        } catch let error as RegistryError {
            throw error
        } catch {
            throw .cancelled("the change of logins")
        }
    }
}

/// One registry as logins know it.
public struct LoginHost: Sendable, Equatable, CustomStringConvertible {
    /// `docker.io`, `host` or `host:port`, in lower case; a key of podman's may have a path.
    let name: String

    /// Reads what a person types: Docker Hub by any of its names, a host with or without `https://`.
    public init(_ text: String) throws(RegistryError) {
        name = CredentialFiles.normal(text)
        guard !name.contains("/"), WebAddress(scheme: .https, registry: name, target: "/") != nil else {
            throw RegistryError(.configuration, "\"\(text)\" is no registry", remedy: "name it as host or host:port")
        }
    }

    init(key: String) { name = CredentialFiles.normal(key) }

    /// As a person reads it.
    public var description: String { name }

    var repository: RegistryRepository { RegistryRepository(registry: name, name: "") }
    var helperServer: String { repository.helperServer }
}
