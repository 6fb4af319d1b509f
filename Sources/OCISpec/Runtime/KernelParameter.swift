/// Kernel parameters of /proc/sys, as `linux.sysctl` names them, and the namespaces that keep them from the host.
public enum KernelParameter {
    /// `net.ipv4.ip_forward` as `net/ipv4/ip_forward`; a name that has slashes already keeps its dots, which are part of
    /// interface names there (sysctl(8)).
    public static func path(_ name: String) -> String {
        if name.contains("/") { return name }
        return name.split(separator: ".", omittingEmptySubsequences: false).joined(separator: "/")
    }

    private static let ipc: Set<String> = [
        "kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/sem", "kernel/shmall", "kernel/shmmax",
        "kernel/shmmni", "kernel/shm_rmid_forced",
    ]

    /// The kind of namespace that keeps the parameter from the host; nil if none does.
    public static func namespace(of name: String) -> RuntimeSpec.Namespace.Kind? {
        let path = path(name)
        if path.hasPrefix("net/") { return .network }
        if path.hasPrefix("fs/mqueue/") || ipc.contains(path) { return .ipc }
        if path == "kernel/domainname" || path == "kernel/hostname" { return .uts }
        if path.hasPrefix("user/") { return .user }
        return nil
    }

    /// Why a container with these namespaces may not set this parameter, or nil if it may.
    public static func objection(_ name: String, has: (RuntimeSpec.Namespace.Kind) -> Bool) -> String? {
        let parts = path(name).split(separator: "/", omittingEmptySubsequences: false)
        if parts.contains(where: { $0.isEmpty || $0 == ".." || $0 == "." }) {
            return "is no name of a kernel parameter"
        }
        guard let kind = namespace(of: name) else {
            return "is no parameter of a namespace: it would change the whole host"
        }
        return has(kind) ? nil : "needs a \(kind.rawValue) namespace in linux.namespaces: it would change the host's"
    }
}
