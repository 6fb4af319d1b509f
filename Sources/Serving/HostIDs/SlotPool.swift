internal import LinuxSystem

/// The ranges of host ids of this supervisor's replicas, the lowest free one first.
struct SlotPool {
    private let registry: HostIDRegistry
    private var owned: [Int]
    private var taken: Set<Int> = []

    init(_ registry: HostIDRegistry) throws(ControlError) {
        self.registry = registry
        owned = try registry.owned()
    }

    mutating func take() throws(ControlError) -> Int {
        try makeRoom(for: 1)
        let slot = owned.first { !taken.contains($0) }!
        taken.insert(slot)
        return slot
    }

    /// Makes sure that so many ranges can be taken.
    mutating func makeRoom(for count: Int) throws(ControlError) {
        while owned.count(where: { !taken.contains($0) }) < count {
            let more = try registry.acquire()
            owned = (owned + more).sorted()
        }
    }

    /// Takes a range that was given before. It stays the replica's even where another mlrun has been given it meanwhile,
    /// which is told: the replica's files belong to it.
    mutating func claim(_ slot: Int) throws(ControlError) {
        taken.insert(slot)
        if owned.contains(slot) { return }
        owned = (owned + (try registry.acquire(holding: slot))).sorted()
    }

    mutating func free(_ slot: Int) { taken.remove(slot) }
}
