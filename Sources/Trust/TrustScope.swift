internal import OCISpec

/// What a rule of a policy is about.
enum TrustScope: Hashable, Sendable {
    /// Everything of one registry.
    case registry(String)
    /// Repositories below a path of a registry.
    case below(registry: String, path: String)
    case repository(registry: String, path: String)
    case tag(registry: String, path: String, tag: String)
    /// Every archive and layout, standard input among them.
    case anyLocal
    case localBelow(String)
    case localPath(String)

    /// How a rule writes a local file.
    static func local(_ path: String) -> String { "local:\(path)" }

    /// `host`, `host/path/*`, `host/path`, `host/path:tag`, `local:*`, `local:/dir/*`, `local:/path` or `local:-`.
    ///
    /// Names are written in full, so that nobody has to know which registry a short one means.
    init?(parsing text: String) {
        if text.hasPrefix("local:") {
            let path = String(text.dropFirst("local:".count))
            if path == "*" {
                self = .anyLocal
            } else if path == "-" {
                self = .localPath("-")
            } else if path.hasPrefix("/"), !path.split(separator: "/").contains("..") {
                let isBelow = path.hasSuffix("/*")
                let plain = isBelow ? String(path.dropLast(2)) : path
                if plain.contains("*") { return nil }
                self = isBelow ? .localBelow(plain) : .localPath(plain)
            } else {
                return nil
            }
            return
        }
        guard let slash = text.firstIndex(of: "/") else {
            // Any path will do to have the host looked at by the grammar of references.
            guard Self.isHost(text), let parsed = try? ImageReference(parsing: "\(text)/x/y"),
                parsed.registry == text || text == "index.docker.io"
            else { return nil }
            self = .registry(parsed.registry)
            return
        }
        guard Self.isHost(String(text[..<slash])) else { return nil }
        let isBelow = text.hasSuffix("/*")
        let plain = isBelow ? String(text.dropLast(2)) : text
        if isBelow, !plain.contains("/") {
            guard let parsed = TrustScope(parsing: plain) else { return nil }
            self = parsed
            return
        }
        guard let parsed = try? ImageReference(parsing: plain), parsed.digest == nil else { return nil }
        let names = plain.hasSuffix(":\(parsed.tag ?? "")")
        if isBelow {
            // Docker's library is not a directory that somebody wrote.
            guard !names, parsed.repository == plain[plain.index(after: slash)...] else { return nil }
            self = .below(registry: parsed.registry, path: parsed.repository)
        } else if names, let tag = parsed.tag {
            self = .tag(registry: parsed.registry, path: parsed.repository, tag: tag)
        } else {
            self = .repository(registry: parsed.registry, path: parsed.repository)
        }
    }

    private static func isHost(_ text: String) -> Bool {
        text.contains(".") || text.contains(":") || text == "localhost"
    }

    /// How closely this fits an image; nil when it does not. A longer path is closer, a repository closer than
    /// everything below one, a tag the closest.
    func specificity(for reference: ImageReference) -> Int? {
        switch self {
        case .registry(let registry): return registry == reference.registry ? 0 : nil
        case .below(let registry, let path):
            let fits = registry == reference.registry && reference.repository.hasPrefix(path + "/")
            return fits ? 1 + path.utf8.count : nil
        case .repository(let registry, let path):
            return registry == reference.registry && path == reference.repository ? 1 << 20 : nil
        case .tag(let registry, let path, let tag):
            let fits = registry == reference.registry && path == reference.repository && tag == reference.tag
            return fits ? 1 << 21 : nil
        case .anyLocal, .localBelow, .localPath: return nil
        }
    }

    /// How closely this fits a local file, nil standing for standard input.
    func specificity(forLocal path: String?) -> Int? {
        switch self {
        case .anyLocal: return 0
        case .localBelow(let directory):
            return path?.hasPrefix(directory + "/") == true ? 1 + directory.utf8.count : nil
        case .localPath(let own): return own == path ?? "-" ? 1 << 20 : nil
        case .registry, .below, .repository, .tag: return nil
        }
    }
}
