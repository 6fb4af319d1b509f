internal import NIOCore

/// A request or connection that wants a replica; waits in a ``HoldQueue`` while none has room.
final class HeldRequest {
    enum Refusal {
        case queueFull
        case waitedTooLong
        case serviceRemoved
    }

    let since: NIODeadline
    /// A replica that was just tried in vain.
    var avoided: Replica?
    fileprivate(set) var isWaiting = false
    fileprivate let granted: (Replica) -> Void
    fileprivate let refused: (Refusal) -> Void

    init(since: NIODeadline, granted: @escaping (Replica) -> Void, refused: @escaping (Refusal) -> Void) {
        self.since = since
        self.granted = granted
        self.refused = refused
    }

    func grant(_ replica: Replica) {
        isWaiting = false
        granted(replica)
    }

    func refuse(_ refusal: Refusal) {
        isWaiting = false
        refused(refusal)
    }
}

/// First in, first out. Requests whose client left are skipped when their turn comes.
struct HoldQueue {
    private var entries = CircularBuffer<HeldRequest>()
    /// How many really wait.
    private(set) var count = 0

    mutating func append(_ request: HeldRequest) {
        request.isWaiting = true
        entries.append(request)
        count += 1
    }

    /// The one whose turn it is.
    mutating func first() -> HeldRequest? {
        while let first = entries.first {
            if first.isWaiting { return first }
            entries.removeFirst()
        }
        return nil
    }

    mutating func popFirst() -> HeldRequest? {
        guard let first = first() else { return nil }
        entries.removeFirst()
        count -= 1
        return first
    }

    mutating func remove(_ request: HeldRequest) {
        guard request.isWaiting else { return }
        request.isWaiting = false
        count -= 1
        // Many clients that leave behind one that stays must not pile up.
        if entries.count > 64, entries.count > 2 * count { entries = CircularBuffer(entries.filter(\.isWaiting)) }
    }
}
