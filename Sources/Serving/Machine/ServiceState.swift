/// A service as the machine sees it: a value from which everything can go on after the supervisor was killed.
public struct ServiceState: Sendable, Equatable {
    /// Of the service.
    public let name: String
    /// What to act by.
    public internal(set) var rules: ServiceRules
    /// What the user wants.
    public internal(set) var desired = Desired.stopped
    /// In the order they were made.
    public internal(set) var replicas: [ReplicaState] = []
    /// The number of the next replica.
    public internal(set) var nextNumber = 1
    /// Whether a replica was ready since the user last started the service.
    public internal(set) var wasReady = false
    /// Whether an end before the first readiness is final, because somebody waits for the start to succeed.
    public internal(set) var failsFast = false
    /// The last five times from launch to ready.
    public internal(set) var startDurations: [Duration] = []

    public init(name: String, rules: ServiceRules) {
        self.name = name
        self.rules = rules
    }

    /// What a user may want of a service.
    public enum Desired: String, Sendable { case running, stopped }

    /// The replica with this id; nil when there is none any more.
    public func replica(_ id: ReplicaID) -> ReplicaState? { replicas.first { $0.id == id } }

    /// How many replicas get requests.
    public var readyCount: Int { replicas.count { $0.phase == .ready } }

    /// No process, no mount and no cgroup of the service is left, and none will come.
    public var isAtRest: Bool { replicas.allSatisfy(\.phase.isAtRest) }

    /// One word for all replicas: the most useful state of any while it runs, the worst once it does not.
    public var status: ServiceStatus {
        let words = Set(replicas.map(\.status))
        let order: [ServiceStatus] = [
            .ready, .crashLoop, .unready, .warming, .starting, .pending, .draining, .stopping, .failed, .stopped,
        ]
        return order.first(where: words.contains) ?? .stopped
    }
}

/// The states of a service and of a replica as users read them.
///
/// A service that waits for its image is not known to the supervisor yet: pulling is shown by the program that pulls.
public enum ServiceStatus: String, Sendable, CaseIterable {
    case pending
    case starting
    case warming
    case ready
    case unready
    case draining
    case stopping
    case stopped
    case crashLoop = "crashloop"
    case failed
}
