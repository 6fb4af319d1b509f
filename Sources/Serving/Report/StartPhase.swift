/// The steps from a reference to a service that answers, in their order.
public enum StartPhase: String, Sendable, CaseIterable {
    /// Reference to digest.
    case resolve
    case pull
    case verify
    case unpack
    case mount
    /// Namespaces, cgroup, seccomp.
    case isolate
    /// The CNI plugins.
    case network
    case exec
    /// The first connection that was accepted.
    case portOpen = "port open"
    case ready
}
