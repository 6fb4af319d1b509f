internal import Synchronization

/// Something that several tasks wait for but that is done once. A waiter that is cancelled leaves at once; the work
/// goes on for the others.
struct SharedWork<Value: Sendable>: Sendable {
    private let task: Task<Value, Never>

    init(_ work: @escaping @Sendable () async -> Value) { task = Task { await work() } }

    /// The value, or nil if the waiting task is cancelled first.
    func value() async -> Value? {
        let waiter = Waiter()
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                guard waiter.wait(continuation) else { return continuation.resume(returning: nil) }
                Task { waiter.resume(await task.value) }
            }
        } onCancel: {
            waiter.resume(nil)
        }
    }

    /// Resumes its continuation exactly once, whoever comes first.
    private final class Waiter: Sendable {
        private enum State {
            case new
            case waiting(CheckedContinuation<Value?, Never>)
            case over
        }
        private let state = Mutex(State.new)

        /// False if it was cancelled before it began to wait.
        func wait(_ continuation: CheckedContinuation<Value?, Never>) -> Bool {
            state.withLock { state in
                guard case .new = state else { return false }
                state = .waiting(continuation)
                return true
            }
        }

        func resume(_ value: Value?) {
            let last = state.withLock { state in
                defer { state = .over }
                return state
            }
            if case .waiting(let continuation) = last { continuation.resume(returning: value) }
        }
    }
}
