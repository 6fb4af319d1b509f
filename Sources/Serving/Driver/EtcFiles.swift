internal import Glibc
internal import LinuxSystem

/// /etc/hosts, /etc/hostname and /etc/resolv.conf of a container.
struct EtcFiles {
    let directory: String

    var hosts: String { "\(directory)/hosts" }
    var hostname: String { "\(directory)/hostname" }
    var resolver: String { "\(directory)/resolv.conf" }

    func write(hostname name: String, network: ServiceSettings.Network) throws(SystemError) {
        try File.makeDirectories(directory, mode: 0o700)
        let hostsText: String
        var resolverText = ""
        switch network {
        case .private, .bridge:
            // Loopback only: there is no server to ask, and a resolver without servers fails at once instead of waiting.
            // With a bridge there will be more to say.
            hostsText = Self.hosts(name, ["127.0.1.1"])
        case .host:
            hostsText = hostFile("/etc/hosts") ?? "127.0.0.1\tlocalhost\n"
            resolverText = hostFile("/etc/resolv.conf") ?? ""
        }
        try put(hosts, hostsText)
        try put(hostname, name + "\n")
        try put(resolver, resolverText)
    }

    /// Says what only an attached network has told. The files stay the same ones, since they may be mounted already.
    func fill(hostname name: String, addresses: [String], resolver text: String) throws(SystemError) {
        let own = addresses.map { String($0.prefix { $0 != "/" }) }
        try overwrite(hosts, Self.hosts(name, own.isEmpty ? ["127.0.1.1"] : own))
        try overwrite(resolver, text)
    }

    private static func hosts(_ name: String, _ addresses: [String]) -> String {
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
            + addresses.map { "\($0)\t\(name)\n" }.joined()
    }

    private func overwrite(_ path: String, _ text: String) throws(SystemError) {
        let file = try File.open(path, O_WRONLY | O_TRUNC)
        try File.writeAll(Array(text.utf8), to: file.rawValue, path: path)
    }

    private func hostFile(_ path: String) -> String? { try? File.readText(path) }

    private func put(_ path: String, _ text: String) throws(SystemError) {
        try File.replace(path, with: Array(text.utf8), mode: 0o644, durable: false)
    }
}
