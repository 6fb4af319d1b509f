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
            hostsText = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\t\(name)\n"
            // Loopback only: there is no server to ask, and a resolver without servers fails at once instead of waiting.
            if network == .bridge { resolverText = hostFile("/etc/resolv.conf") ?? "" }
        case .host:
            hostsText = hostFile("/etc/hosts") ?? "127.0.0.1\tlocalhost\n"
            resolverText = hostFile("/etc/resolv.conf") ?? ""
        }
        try put(hosts, hostsText)
        try put(hostname, name + "\n")
        try put(resolver, resolverText)
    }

    private func hostFile(_ path: String) -> String? { try? File.readText(path) }

    private func put(_ path: String, _ text: String) throws(SystemError) {
        try File.replace(path, with: Array(text.utf8), mode: 0o644, durable: false)
    }
}
