/// One step of the machine in the making.
struct Turn {
    var state: ServiceState
    let now: MonotonicTime
    let random: Double
    var actions: [ServiceAction] = []

    init(_ state: ServiceState, _ now: MonotonicTime, _ random: Double) {
        self.state = state
        self.now = now
        self.random = random
    }

    mutating func handle(_ event: ServiceEvent) {}
    mutating func resume(afterBoot: Bool) {}
    func finish(from old: ServiceState, resuming: Bool = false) -> (ServiceState, [ServiceAction]) { (state, actions) }
}
