internal import OCISpec

/// Through which proxies registries are reached, by the rules of Go's programs and so of Docker and podman.
public struct ProxySettings: Sendable, Hashable {
    /// For `https` registries: `http://[user:password@]host[:port]` or `socks5://host[:port]`; empty for none.
    public var https: String
    /// For `http` registries.
    public var http: String
    /// Who is reached directly, separated by commas: `*`, host names with all that lies below them, `.example` for only
    /// what lies below, addresses, `10.0.0.0/8`; each with or without a port. Loopback never needs to be listed.
    public var exceptions: String

    public init(https: String = "", http: String = "", exceptions: String = "") {
        self.https = https
        self.http = http
        self.exceptions = exceptions
    }

    /// No proxy.
    public static let none = ProxySettings()

    /// `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, or the same in lower case.
    public static var environment: ProxySettings { ProxySettings(CredentialFiles.variable) }

    init(_ variable: (String) -> String?) {
        func value(_ name: String) -> String { variable(name) ?? variable(name.lowercased()) ?? "" }
        self.init(https: value("HTTPS_PROXY"), http: value("HTTP_PROXY"), exceptions: value("NO_PROXY"))
    }

    /// The proxy for a request; nil where it goes directly.
    func proxy(for address: WebAddress) throws(RegistryError) -> Proxy? {
        let (text, name) = address.scheme == .https ? (https, "HTTPS_PROXY") : (http, "HTTP_PROXY")
        guard !text.isEmpty, !isException(address) else { return nil }
        return try Proxy(parsing: text, name: name)
    }

    func isException(_ address: WebAddress) -> Bool {
        let ip = IPAddress(address.host)
        if address.host == "localhost" || ip?.isLoopback == true { return true }
        return exceptions.split(separator: ",").contains { entry in
            Self.matches(entry.drop { $0 == " " || $0 == "\t" }, address, ip)
        }
    }

    private static func matches(_ entry: Substring, _ address: WebAddress, _ ip: IPAddress?) -> Bool {
        var pattern = entry.lowercased()
        while pattern.last == " " || pattern.last == "\t" { pattern.removeLast() }
        if pattern == "*" { return true }
        if let slash = pattern.firstIndex(of: "/") {
            guard let ip, let network = IPAddress(String(pattern[..<slash])),
                let length = Int(pattern[pattern.index(after: slash)...]), length >= 0
            else { return false }
            return ip.hasPrefix(network, length)
        }
        if IPAddress(pattern) == nil, let (name, port) = splitPort(pattern) {
            guard port == address.port else { return false }
            pattern = name
        }
        if pattern.hasPrefix("["), pattern.hasSuffix("]") { pattern = String(pattern.dropFirst().dropLast()) }
        if let wanted = IPAddress(pattern) { return ip == wanted }
        if pattern.hasPrefix("*.") { pattern.removeFirst() }
        if pattern.isEmpty || pattern == "." { return false }
        if pattern.hasPrefix(".") { return address.host.hasSuffix(pattern) }
        return address.host == pattern || address.host.hasSuffix(".\(pattern)")
    }

    private static func splitPort(_ pattern: String) -> (name: String, port: Int)? {
        guard let colon = pattern.lastIndex(of: ":"), let port = Int(pattern[pattern.index(after: colon)...]) else {
            return nil
        }
        return (String(pattern[..<colon]), port)
    }
}

/// One proxy to connect through.
struct Proxy: Sendable, Hashable {
    enum Kind: Sendable, Hashable { case http, socks }

    let kind: Kind
    let host: String
    let port: Int
    /// `user:password` in base64.
    let basic: String?

    var hostAndPort: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// `name` is the setting, for errors; a password is in none of them.
    init(parsing text: String, name: String) throws(RegistryError) {
        func invalid(_ reason: String) -> RegistryError {
            RegistryError(
                .configuration, "\(name) names a proxy that cannot be used: \(reason)",
                remedy: "set it to http://[user:password@]host[:port] or socks5://host[:port]")
        }
        var rest = Substring(text)
        var scheme = "http"
        if let (before, after) = Self.split(rest, "://") {
            scheme = before.lowercased()
            rest = after
        }
        switch scheme {
        case "http": kind = .http
        case "socks5", "socks5h": kind = .socks
        case "https": throw invalid("TLS to the proxy itself is not supported")
        default: throw invalid("its scheme is \"\(scheme)\"")
        }
        rest = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        if let at = rest.lastIndex(of: "@") {
            if kind == .socks { throw invalid("a login at a SOCKS proxy is not supported") }
            guard let login = Self.decode(rest[..<at]) else {
                throw invalid("its user or password has a broken % escape")
            }
            basic = Base64.encode(login.contains(UInt8(ascii: ":")) ? login : login + [UInt8(ascii: ":")])
            rest = rest[rest.index(after: at)...]
        } else {
            basic = nil
        }
        guard let address = WebAddress(scheme: .http, registry: String(rest), target: "/") else {
            throw invalid("it has no usable host and port")
        }
        host = address.host
        let hasPort = address.port != 80 || rest.hasSuffix(":80")
        port = hasPort ? address.port : kind == .socks ? 1080 : 80
    }

    private static func split(_ text: Substring, _ separator: String) -> (Substring, Substring)? {
        var start = text.startIndex
        while start < text.endIndex {
            if text[start...].hasPrefix(separator) {
                return (text[..<start], text[text.index(start, offsetBy: separator.count)...])
            }
            start = text.index(after: start)
        }
        return nil
    }

    private static func decode(_ text: Substring) -> [UInt8]? {
        var bytes: [UInt8] = []
        var rest = ArraySlice(text.utf8)
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = String(decoding: rest.prefix(2), as: UTF8.self)
            guard digits.utf8.count == 2,
                digits.utf8.allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") }),
                let value = UInt8(digits, radix: 16)
            else { return nil }
            rest = rest.dropFirst(2)
            bytes.append(value)
        }
        return bytes
    }
}
