internal import LinuxSystem

/// The text of a container's /etc/resolv.conf.
enum ResolverText {
    private static let hostFile = "/etc/resolv.conf"
    /// Where systemd-resolved lists the servers that it asks itself.
    private static let upstreamFile = "/run/systemd/resolve/resolv.conf"

    static func make(_ names: CNIResult.NameService) -> String {
        if !names.servers.isEmpty { return text(names) }
        return forContainer(
            host: (try? File.readText(hostFile)) ?? "", upstream: (try? File.readText(upstreamFile)) ?? "")
    }

    static func text(_ names: CNIResult.NameService) -> String {
        var lines: [String] = []
        // resolv.conf(5): domain is a search list of one, and of both the last counts.
        let search = names.search.isEmpty ? [names.domain].compactMap { $0 } : names.search
        if !search.isEmpty { lines.append("search \(search.joined(separator: " "))") }
        lines += names.servers.map { "nameserver \($0)" }
        if !names.options.isEmpty { lines.append("options \(names.options.joined(separator: " "))") }
        return lines.map { $0 + "\n" }.joined()
    }

    /// The host's, where a container can reach its servers: the host's loopback is not the container's.
    static func forContainer(host: String, upstream: String) -> String {
        let reachable = withoutLoopback(host)
        if reachable.hasServers || !host.hasServers { return reachable }
        let second = withoutLoopback(upstream)
        return second.hasServers ? second : reachable
    }

    private static func withoutLoopback(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).filter { line in
            guard let server = line.nameServer else { return true }
            return !server.hasPrefix("127.") && server != "::1"
        }.joined(separator: "\n")
    }
}

extension StringProtocol {
    /// The server that a line of resolv.conf names.
    fileprivate var nameServer: String? {
        let words = split { $0 == " " || $0 == "\t" }
        return words.count > 1 && words[0] == "nameserver" ? String(words[1]) : nil
    }

    fileprivate var hasServers: Bool { split(separator: "\n").contains { $0.nameServer != nil } }
}
