/// An `http` or `https` URL, taken apart once and strictly, so that what is checked is what is connected to.
struct WebAddress: Sendable, Equatable {
    enum Scheme: String, Sendable {
        case http, https
        var standardPort: Int { self == .http ? 80 : 443 }
        var other: Scheme { self == .http ? .https : .http }
    }

    let scheme: Scheme
    /// Lower case; an IPv6 address without its brackets.
    let host: String
    let port: Int
    /// Path and query; starts with a slash.
    let target: String

    init(scheme: Scheme, host: String, port: Int, target: String) {
        self.scheme = scheme
        self.host = host
        self.port = port
        self.target = target
    }

    /// Nil for anything but an absolute URL with a plain host name or IP address; user names are refused.
    init?(parsing text: String) {
        guard let separator = Self.range(of: "://", in: text) else { return nil }
        guard let scheme = Scheme(rawValue: text[..<separator.lowerBound].lowercased()) else { return nil }
        let rest = text[separator.upperBound...]
        let end = rest.firstIndex { "/?#".contains($0) } ?? rest.endIndex
        guard let (host, port) = Self.authority(rest[..<end]) else { return nil }
        guard let target = Self.target(rest[end...]) else { return nil }
        self.init(scheme: scheme, host: host, port: port ?? scheme.standardPort, target: target)
    }

    /// `host[:port]` as in an image reference; nil if malformed.
    init?(scheme: Scheme, registry: String, target: String) {
        guard let (host, port) = Self.authority(Substring(registry)), let target = Self.target(Substring(target))
        else { return nil }
        self.init(scheme: scheme, host: host, port: port ?? scheme.standardPort, target: target)
    }

    /// Where a `Location` header leads from here: an absolute URL, or an absolute or relative path.
    func resolving(_ location: String) -> WebAddress? {
        if location.hasPrefix("//") { return WebAddress(parsing: "\(scheme.rawValue):\(location)") }
        if Self.range(of: "://", in: location) != nil, !location.hasPrefix("/"), !location.hasPrefix("?") {
            return WebAddress(parsing: location)
        }
        let path: String
        if location.hasPrefix("/") {
            path = location
        } else if location.hasPrefix("?") {
            path = target.prefix { $0 != "?" } + location
        } else {
            let directory = target.prefix { $0 != "?" }
            guard let slash = directory.lastIndex(of: "/") else { return nil }
            path = directory[...slash] + location
        }
        guard let target = Self.target(Substring(path)) else { return nil }
        return WebAddress(scheme: scheme, host: host, port: port, target: target)
    }

    var text: String { origin + target }

    /// Scheme, host and port: whoever differs in one of them is somebody else.
    var origin: String { "\(scheme.rawValue)://\(hostAndPort)" }

    /// As it is written in errors and in a `Host` header: without the scheme's standard port.
    var hostAndPort: String {
        let name = host.contains(":") ? "[\(host)]" : host
        return port == scheme.standardPort ? name : "\(name):\(port)"
    }

    var isLoopback: Bool { Self.isLoopback(host) }

    /// Whether passwords and tokens may travel there: encrypted, or never leaving this machine.
    var mayCarrySecrets: Bool { scheme == .https || isLoopback }

    /// `localhost`, 127.0.0.0/8 written as a dotted quad, or `::1`.
    static func isLoopback(_ host: String) -> Bool {
        if host == "localhost" || host == "::1" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    private static func authority(_ text: Substring) -> (host: String, port: Int?)? {
        var host = text
        var port: Int?
        if let colon = text.lastIndex(of: ":"), text.last != "]" {
            let digits = text[text.index(after: colon)...]
            guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(digits),
                (1...65535).contains(number)
            else { return nil }
            port = number
            host = text[..<colon]
        }
        if host.hasPrefix("["), host.hasSuffix("]") {
            let address = host.dropFirst().dropLast().lowercased()
            let isAddress = address.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x61...0x66).contains($0) || $0 == 0x3A || $0 == 0x2E
            }
            return isAddress && address.contains(":") ? (address, port) : nil
        }
        let name = host.lowercased()
        let isName = name.utf8.allSatisfy {
            (0x30...0x39).contains($0) || (0x61...0x7A).contains($0) || $0 == 0x2D || $0 == 0x2E || $0 == 0x5F
        }
        return isName && !name.isEmpty ? (name, port) : nil
    }

    /// Printable ASCII only, fragment cut off.
    private static func target(_ text: Substring) -> String? {
        let target = text.prefix { $0 != "#" }
        guard target.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else { return nil }
        return target.hasPrefix("/") ? String(target) : "/" + target
    }

    private static func range(of needle: String, in text: String) -> Range<String.Index>? {
        var start = text.startIndex
        while start < text.endIndex {
            if text[start...].hasPrefix(needle) {
                return start..<text.index(start, offsetBy: needle.count)
            }
            start = text.index(after: start)
        }
        return nil
    }

    /// Percent-encodes everything but the unreserved characters of RFC 3986, for a query or a form.
    static func encode(_ text: String) -> String {
        text.utf8.reduce(into: "") { output, byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E:
                output.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                output += digits.utf8.count == 1 ? "%0\(digits)" : "%\(digits)"
            }
        }
    }
}
