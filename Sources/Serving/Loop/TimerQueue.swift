/// Deadlines in the order they fall due: a binary heap whose entries can be cancelled.
struct TimerQueue<Payload> {
    private struct Entry {
        let deadline: UInt64
        let ticket: UInt64
    }

    private var heap: [Entry] = []
    private var payloads: [UInt64: Payload] = [:]
    private var lastTicket: UInt64 = 0

    /// The next deadline that is still wanted, in the unit it was added with.
    mutating func earliest() -> UInt64? {
        dropCancelled()
        return heap.first?.deadline
    }

    /// Returns a ticket for ``cancel(_:)``. Equal deadlines fall due in the order they were added.
    mutating func add(deadline: UInt64, _ payload: Payload) -> UInt64 {
        lastTicket += 1
        payloads[lastTicket] = payload
        heap.append(Entry(deadline: deadline, ticket: lastTicket))
        siftUp(heap.count - 1)
        return lastTicket
    }

    mutating func cancel(_ ticket: UInt64) {
        payloads[ticket] = nil
        // A cancelled entry stays in the heap until its deadline; many of them would keep it large.
        if heap.count > 64, heap.count > 4 * payloads.count { rebuild() }
    }

    /// The payload of the earliest entry due at `now`, removed.
    mutating func popDue(at now: UInt64) -> Payload? {
        dropCancelled()
        guard let first = heap.first, first.deadline <= now else { return nil }
        removeFirst()
        return payloads.removeValue(forKey: first.ticket)
    }

    private mutating func dropCancelled() {
        while let first = heap.first, payloads[first.ticket] == nil { removeFirst() }
    }

    private mutating func rebuild() {
        let live = heap.filter { payloads[$0.ticket] != nil }
        heap = []
        for entry in live {
            heap.append(entry)
            siftUp(heap.count - 1)
        }
    }

    private func isBefore(_ left: Int, _ right: Int) -> Bool {
        (heap[left].deadline, heap[left].ticket) < (heap[right].deadline, heap[right].ticket)
    }

    private mutating func removeFirst() {
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var parent = 0
        while true {
            var smallest = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && isBefore(child, smallest) {
                smallest = child
            }
            if smallest == parent { return }
            heap.swapAt(parent, smallest)
            parent = smallest
        }
    }

    private mutating func siftUp(_ start: Int) {
        var child = start
        while child > 0, isBefore(child, (child - 1) / 2) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }
}
