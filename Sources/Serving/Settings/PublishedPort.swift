internal import LinuxSystem

/// A port of the host that leads to a port of the service.
public struct PublishedPort: Sendable, Hashable {
    /// What the gateway speaks on a port.
    public enum TransportProtocol: String, Sendable, CaseIterable {
        /// Requests are balanced one by one, held while no replica is ready, and drained.
        case http
        /// Connections are passed through.
        case tcp
    }

    /// An address of the host: dotted IPv4, or IPv6 as RFC 5952 writes it; nil for all of the host's IPv4 ones.
    public var hostIP: String?
    /// 0 lets the kernel pick a free port.
    public var hostPort: UInt16
    /// Where the server listens in the container.
    public var containerPort: UInt16
    /// How connections are passed on.
    public var transport: TransportProtocol

    public init(
        hostIP: String? = nil, hostPort: UInt16, containerPort: UInt16, transport: TransportProtocol = .http
    ) {
        self.hostIP = hostIP
        self.hostPort = hostPort
        self.containerPort = containerPort
        self.transport = transport
    }

    private static let remedy =
        "write [ip:]host:container[/http|/tcp], such as 8080:8000, 127.0.0.1:8080:8000/tcp or [::1]:8080:8000; 8000 alone means 8000:8000"

    /// `[ip:]host:container[/http|/tcp]`, or one port for both sides.
    ///
    /// Two differences to Docker, both because a service is meant to be found: a bare `8000` publishes on 8000 and
    /// not on a random port, and the default protocol is HTTP, so that requests can be balanced and held.
    /// `0:8000` and `ip::8000` ask for a free port.
    public init(parsing text: String) throws(SettingError) {
        func invalid(_ reason: String) -> SettingError { SettingError("port", text, reason, remedy: Self.remedy) }
        var rest = Substring(text)
        transport = .http
        if let slash = rest.lastIndex(of: "/") {
            let word = String(rest[rest.index(after: slash)...])
            guard let known = TransportProtocol(rawValue: word) else {
                throw invalid(
                    word == "udp" || word == "sctp"
                        ? "\(word) is not forwarded to a service, only http and tcp are"
                        : "\"\(word)\" is no protocol")
            }
            transport = known
            rest = rest[..<slash]
        }
        if rest.hasPrefix("[") {
            guard let end = rest.firstIndex(of: "]") else { throw invalid("the address has no closing bracket") }
            let address = String(rest[rest.index(after: rest.startIndex)..<end])
            guard let canonical = IPv6Text.canonical(address) else {
                throw invalid("\"\(address)\" is no IPv6 address")
            }
            hostIP = canonical
            // From here on as with an address that has been read already.
            rest = "0.0.0.0" + rest[rest.index(after: end)...]
        }
        let parts = rest.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard parts.count <= 3 else { throw invalid("it has more than three parts") }
        if hostIP != nil, parts.count < 3 { throw invalid("behind the address, host:container is missing") }
        func number(_ text: String, _ side: String, lowest: UInt16) throws(SettingError) -> UInt16 {
            if text.isEmpty { throw invalid("the \(side) port is missing") }
            if text.contains("-") { throw invalid("port ranges are not supported, publish each port by itself") }
            guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let port = UInt16(text), port >= lowest else {
                throw invalid("the \(side) port \"\(text)\" is no number from \(lowest) to 65535")
            }
            return port
        }
        containerPort = try number(parts[parts.count - 1], "container", lowest: 1)
        switch parts.count {
        case 1: hostPort = containerPort
        case 3 where parts[1].isEmpty: hostPort = 0
        default: hostPort = try number(parts[parts.count - 2], "host", lowest: 0)
        }
        if hostIP == nil, parts.count == 3 {
            guard Self.isIPv4(parts[0]) else { throw invalid("\"\(parts[0])\" is no IPv4 address") }
            hostIP = parts[0]
        }
    }

    /// The form that ``init(parsing:)`` reads.
    public var text: String {
        (hostIP == nil ? "" : "\(shownIP):") + "\(hostPort):\(containerPort)/\(transport.rawValue)"
    }

    /// The host's address as it stands before a port.
    public var shownIP: String {
        guard let hostIP else { return "0.0.0.0" }
        return isIPv6 ? "[\(hostIP)]" : hostIP
    }

    /// Whether it is an IPv6 address that is published on.
    public var isIPv6: Bool { hostIP?.contains(":") ?? false }

    /// Where programs on this host reach it.
    var localAddress: String {
        switch hostIP {
        case nil, "0.0.0.0": "127.0.0.1"
        case "::": "[::1]"
        default: shownIP
        }
    }

    /// Whether the kernel would give one of the two its port only if the other had none of it.
    func collides(with other: PublishedPort) -> Bool {
        func address(_ port: PublishedPort) -> String { port.hostIP ?? "0.0.0.0" }
        let isWild = [address(self), address(other)].contains { $0 == "0.0.0.0" || $0 == "::" }
        return hostPort == other.hostPort && isIPv6 == other.isIPv6 && (isWild || address(self) == address(other))
    }

    /// Four decimal numbers from 0 to 255 without leading zeros.
    static func isIPv4(_ text: String) -> Bool {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4
            && parts.allSatisfy { part in
                part.utf8.allSatisfy { (0x30...0x39).contains($0) } && UInt8(part) != nil
                    && (part == "0" || !part.hasPrefix("0"))
            }
    }
}
