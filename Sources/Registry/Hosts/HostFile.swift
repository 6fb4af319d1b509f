/// A `hosts.toml` in the form of containerd's registry configuration: which server a registry has, which mirrors are
/// asked before it, and how each is spoken to.
struct HostFile: Sendable, Equatable {
    struct Host: Sendable, Equatable {
        /// Where it is; nil for the settings at the top of a file that names no `server`.
        var address: WebAddress?
        /// Below which repositories lie; no slash at the end.
        var path = "/v2"
        var capabilities = RegistryCapabilities.all
        var tls = TLSSettings.standard
        var headers: [RegistryEndpoint.Header] = []
        var connectTimeout: Duration?
    }

    var server: Host
    /// In the order of the file.
    var mirrors: [Host] = []

    /// Reads the content of `file`, whose relative names mean files beside it. Whatever it does not know is an error:
    /// a misspelt setting would leave a connection less safe, or less fast, than its author believes.
    init(parsing bytes: [UInt8], file: String) throws(RegistryError) {
        let root: TOMLTable
        do throws(TOMLError) {
            root = try TOMLTable(parsing: bytes)
        } catch {
            throw Self.failure(file, nil, "\(error)")
        }
        let reader = HostReader(file: file)
        server = try reader.host(root, url: nil, path: "", also: ["server", "host"])
        if let entry = root["server"] {
            guard case .string(let url) = entry.value else { throw reader.wrongType("server", entry.value, "a string") }
            try reader.place(&server, at: url, key: "server", overrides: try reader.overridesPath(root, ""))
        }
        guard let hosts = root["host"] else { return }
        guard case .table(let table) = hosts.value else { throw reader.wrongType("host", hosts.value, "a table") }
        for entry in table.entries {
            let path = "host.\"\(entry.key)\""
            guard case .table(let settings) = entry.value else { throw reader.wrongType(path, entry.value, "a table") }
            mirrors.append(try reader.host(settings, url: entry.key, path: path))
        }
    }

    static func failure(_ file: String, _ key: String?, _ message: String) -> RegistryError {
        RegistryError(
            .configuration, "\(file): \(key.map { "\($0): " } ?? "")\(message)",
            remedy: "correct the file, or remove it")
    }
}

/// Reads the tables of one file.
private struct HostReader {
    let file: String

    private typealias Setter =
        @Sendable (HostReader, TOMLValue, String, inout HostFile.Host) throws(RegistryError) -> Void

    /// Every setting that a host may have.
    private static let setters: [String: Setter] = [
        "capabilities": { (reader, value, key, host) throws(RegistryError) in
            host.capabilities = try reader.capabilities(value, key)
        },
        "ca": { (reader, value, key, host) throws(RegistryError) in
            host.tls.authorities = try reader.strings(value, key).map(reader.resolve)
        },
        "client": { (reader, value, key, host) throws(RegistryError) in
            host.tls.clientCertificates = try reader.clientCertificates(value, key)
        },
        "skip_verify": { (reader, value, key, host) throws(RegistryError) in
            host.tls.verifiesCertificate = !(try reader.boolean(value, key))
        },
        "header": { (reader, value, key, host) throws(RegistryError) in host.headers = try reader.headers(value, key) },
        "override_path": { (reader, value, key, _) throws(RegistryError) in _ = try reader.boolean(value, key) },
        "dial_timeout": { (reader, value, key, host) throws(RegistryError) in
            host.connectTimeout = try reader.duration(value, key)
        },
    ]

    func host(
        _ table: TOMLTable, url: String?, path: String, also: Set<String> = []
    ) throws(RegistryError) -> HostFile.Host {
        var host = HostFile.Host()
        for entry in table.entries where !also.contains(entry.key) {
            let key = path.isEmpty ? entry.key : "\(path).\(entry.key)"
            guard let set = Self.setters[entry.key] else {
                let known = also.union(Self.setters.keys).sorted().joined(separator: ", ")
                throw HostFile.failure(file, key, "line \(entry.line): there is no such setting, only \(known)")
            }
            try set(self, entry.value, key, &host)
        }
        if let url { try place(&host, at: url, key: path, overrides: try overridesPath(table, path)) }
        return host
    }

    func overridesPath(_ table: TOMLTable, _ path: String) throws(RegistryError) -> Bool {
        guard let entry = table["override_path"] else { return false }
        return try boolean(entry.value, path.isEmpty ? entry.key : "\(path).\(entry.key)")
    }

    /// As containerd reads it: without a scheme it is HTTPS, and `/v2` is added where the path does not end with it.
    func place(_ host: inout HostFile.Host, at url: String, key: String, overrides: Bool) throws(RegistryError) {
        let text = url.hasPrefix("http://") || url.hasPrefix("https://") ? url : "https://\(url)"
        guard let address = WebAddress(parsing: text), !address.target.contains("?") else {
            throw HostFile.failure(file, key, "\"\(url)\" is no URL of the form https://host[:port][/path]")
        }
        var path = address.target
        while path.hasSuffix("/") { path.removeLast() }
        if !overrides, !path.hasSuffix("/v2") { path += "/v2" }
        host.address = address
        host.path = path
    }

    func wrongType(_ key: String, _ value: TOMLValue, _ wanted: String) -> RegistryError {
        HostFile.failure(file, key, "is \(value.typeName), not \(wanted)")
    }

    private func boolean(_ value: TOMLValue, _ key: String) throws(RegistryError) -> Bool {
        guard case .boolean(let flag) = value else { throw wrongType(key, value, "true or false") }
        return flag
    }

    private func strings(_ value: TOMLValue, _ key: String) throws(RegistryError) -> [String] {
        if case .string(let text) = value { return [text] }
        guard case .array(let elements) = value else { throw wrongType(key, value, "a string or a list of strings") }
        var texts: [String] = []
        for (index, element) in elements.enumerated() {
            guard case .string(let text) = element else { throw wrongType("\(key)[\(index)]", element, "a string") }
            texts.append(text)
        }
        return texts
    }

    private func capabilities(_ value: TOMLValue, _ key: String) throws(RegistryError) -> RegistryCapabilities {
        let known: [String: RegistryCapabilities] = [
            "pull": .pull, "resolve": .resolve, "push": .push, "referrers": .referrers,
        ]
        guard case .array = value else { throw wrongType(key, value, "a list of strings") }
        var all: RegistryCapabilities = []
        for name in try strings(value, key) {
            guard let capability = known[name.lowercased()] else {
                throw HostFile.failure(
                    file, key, "\"\(name)\" is no capability, only \(known.keys.sorted().joined(separator: ", "))")
            }
            all.insert(capability)
        }
        return all
    }

    /// A file with certificate and key, a list of those, or a list of pairs of files.
    private func clientCertificates(
        _ value: TOMLValue, _ key: String
    ) throws(RegistryError) -> [TLSSettings.ClientCertificate] {
        if case .string(let both) = value { return [pair(both, both)] }
        guard case .array(let elements) = value else {
            throw wrongType(key, value, "a string, a list of strings or a list of pairs")
        }
        var pairs: [TLSSettings.ClientCertificate] = []
        for (index, element) in elements.enumerated() {
            let names = try strings(element, "\(key)[\(index)]")
            switch names.count {
            case 1: pairs.append(pair(names[0], names[0]))
            case 2: pairs.append(pair(names[0], names[1].isEmpty ? names[0] : names[1]))
            default:
                throw HostFile.failure(
                    file, "\(key)[\(index)]", "has \(names.count) elements, not a certificate and its key")
            }
        }
        return pairs
    }

    private func pair(_ certificate: String, _ key: String) -> TLSSettings.ClientCertificate {
        TLSSettings.ClientCertificate(certificate: resolve(certificate), key: resolve(key))
    }

    private func headers(_ value: TOMLValue, _ key: String) throws(RegistryError) -> [RegistryEndpoint.Header] {
        guard case .table(let table) = value else { throw wrongType(key, value, "a table") }
        var headers: [RegistryEndpoint.Header] = []
        for entry in table.entries {
            let isName = !entry.key.isEmpty && entry.key.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != 0x3A }
            guard isName else { throw HostFile.failure(file, "\(key).\"\(entry.key)\"", "is no name of a header") }
            for text in try strings(entry.value, "\(key).\(entry.key)") {
                guard text.utf8.allSatisfy({ $0 == 0x09 || $0 >= 0x20 && $0 != 0x7F }) else {
                    throw HostFile.failure(file, "\(key).\(entry.key)", "has control characters in its value")
                }
                headers.append(RegistryEndpoint.Header(name: entry.key, value: text))
            }
        }
        return headers
    }

    /// As Go writes durations: `200ms`, `1m30s`, `1.5s`.
    private func duration(_ value: TOMLValue, _ key: String) throws(RegistryError) -> Duration {
        guard case .string(let text) = value else { throw wrongType(key, value, "a string such as \"5s\"") }
        guard let duration = Self.duration(text), duration > .zero else {
            throw HostFile.failure(file, key, "\"\(text)\" is no duration such as \"5s\", \"1m30s\" or \"500ms\"")
        }
        return duration
    }

    private static func duration(_ text: String) -> Duration? {
        let units: [(String, Double)] = [("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9), ("h", 3600), ("m", 60), ("s", 1)]
        var rest = Substring(text)
        var seconds = 0.0
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
            rest = rest[digits.endIndex...]
            guard let number = Double(digits), let (unit, factor) = units.first(where: { rest.hasPrefix($0.0) }) else {
                return nil
            }
            rest = rest.dropFirst(unit.count)
            seconds += number * factor
        }
        return !text.isEmpty && seconds.isFinite && seconds < 86_400 ? .seconds(seconds) : nil
    }

    private func resolve(_ name: String) -> String {
        if name.hasPrefix("/") { return name }
        guard let slash = file.lastIndex(of: "/") else { return name }
        return file[...slash] + name
    }
}
