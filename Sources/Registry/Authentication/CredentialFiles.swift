internal import Glibc
internal import OCISpec

/// The files with logins: which there are, and what one says of a repository.
enum CredentialFiles {
    static func variable(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }

    static func standard(_ variable: (String) -> String?) -> [String] {
        var files: [String] = []
        if let directory = variable("DOCKER_CONFIG") {
            files.append("\(directory)/config.json")
        } else if let home = variable("HOME") {
            files.append("\(home)/.docker/config.json")
        }
        // Podman writes to one of these and reads the others too.
        if let file = variable("REGISTRY_AUTH_FILE") {
            files.append(file)
        } else {
            let runtime = variable("XDG_RUNTIME_DIR").map { "\($0)/containers" } ?? "/run/containers/\(geteuid())"
            files.append("\(runtime)/auth.json")
            let settings = variable("XDG_CONFIG_HOME") ?? variable("HOME").map { "\($0)/.config" }
            if let settings { files.append("\(settings)/containers/auth.json") }
        }
        return files
    }

    /// What one file holds for a repository.
    struct Entry: Equatable {
        var credentials: Credentials?
        /// The `<name>` of `docker-credential-<name>`, and the server to ask it for.
        var helper: (name: String, server: String)?

        static func == (left: Entry, right: Entry) -> Bool {
            left.credentials == right.credentials && left.helper?.name == right.helper?.name
                && left.helper?.server == right.helper?.server
        }
    }

    /// Docker's order: a helper for this host, the common helper, then what is written in the file itself. The most
    /// specific name wins, as containers-auth.json(5) has it: `host/team/app`, `host/team`, `host`.
    static func entry(in content: [UInt8], path: String, for repository: RegistryRepository) throws(JSONError) -> Entry
    {
        let file = JSONCursor(try JSON(parsing: content))
        let names = repository.credentialNames
        if let helpers = try file.optional("credHelpers")?.stringMap() {
            for name in names {
                if let helper = helpers.first(where: { normal($0.key) == name })?.value, !helper.isEmpty {
                    return Entry(helper: (helper, repository.helperServer))
                }
            }
        }
        if let helper = try file.optional("credsStore")?.string(), !helper.isEmpty {
            return Entry(helper: (helper, repository.helperServer))
        }
        let logins = try file.optional("auths")?.members() ?? []
        for name in names {
            guard let login = logins.first(where: { normal($0.name) == name }) else { continue }
            if let credentials = try credentials(login.cursor, source: path) { return Entry(credentials: credentials) }
        }
        return Entry()
    }

    /// One member of `auths`; nil for the empty object that marks a login kept by a helper.
    private static func credentials(_ login: JSONCursor, source: String) throws(JSONError) -> Credentials? {
        if let token = try login.optional("identitytoken")?.string(), !token.isEmpty {
            return Credentials(secret: .identityToken(token), source: source)
        }
        if let user = try login.optional("username")?.string(), !user.isEmpty {
            let password = try login.optional("password")?.string() ?? ""
            return Credentials(secret: .password(user: user, password), source: source)
        }
        guard let encoded = try login.optional("auth"), try !encoded.string().isEmpty else { return nil }
        guard let bytes = Base64.decode(try encoded.string()),
            let colon = bytes.firstIndex(of: UInt8(ascii: ":"))
        else { throw encoded.failure("is no base64 of \"user:password\"") }
        let user = String(decoding: bytes[..<colon], as: UTF8.self)
        // Old versions of docker padded the password with zero bytes.
        let password = bytes[(colon + 1)...].reversed().drop { $0 == 0 }.reversed()
        return Credentials(secret: .password(user: user, String(decoding: password, as: UTF8.self)), source: source)
    }

    /// A key of the file in one form: `https://index.docker.io/v1/` is `docker.io`, `https://host/v2/` is `host`.
    static func normal(_ key: String) -> String {
        var rest = Substring(key)
        for scheme in ["https://", "http://"] where rest.hasPrefix(scheme) { rest = rest.dropFirst(scheme.count) }
        while rest.hasSuffix("/") { rest.removeLast() }
        for version in ["/v1", "/v2"] where rest.hasSuffix(version) { rest = rest.dropLast(version.count) }
        let end = rest.firstIndex(of: "/") ?? rest.endIndex
        let host = rest[..<end].lowercased()
        return (RegistryRepository.hubNames.contains(host) ? "docker.io" : host) + rest[end...]
    }
}
