/// Kernel parameters of /proc/sys that belong to a namespace.
enum Sysctl {
    /// `net.ipv4.ip_forward` as `net/ipv4/ip_forward`; a name that has slashes already keeps its dots, which are part of
    /// interface names there (sysctl(8)).
    static func path(_ name: String) -> String {
        if name.contains("/") { return name }
        return name.split(separator: ".", omittingEmptySubsequences: false).joined(separator: "/")
    }

    private static let ipc: Set<String> = [
        "kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/sem", "kernel/shmall", "kernel/shmmax",
        "kernel/shmmni", "kernel/shm_rmid_forced",
    ]

    /// Why a container with these new or joined namespaces may not set this parameter, or nil if it may.
    static func objection(_ name: String, network: Bool, ipc ownIPC: Bool, uts: Bool) -> String? {
        let path = path(name)
        if path.split(separator: "/", omittingEmptySubsequences: false).contains(where: { $0.isEmpty || $0 == ".." }) {
            return "is no name of a kernel parameter"
        }
        if path.hasPrefix("net/") {
            return network ? nil : "needs a network namespace: it would change the host's network"
        }
        if path.hasPrefix("fs/mqueue/") || ipc.contains(path) {
            return ownIPC ? nil : "needs an ipc namespace: it would change the host's"
        }
        if path == "kernel/domainname" { return uts ? nil : "needs a uts namespace: it would change the host's" }
        if path == "kernel/hostname" { return "is set by hostname" }
        return "is no parameter of a namespace: it would change the whole host"
    }
}
