import Glibc
import Synchronization

/// A thread of a test: what it does to itself, such as leaving a namespace, ends with it.
final class TestThread<Value: Sendable>: Sendable {
    private let thread: pthread_t
    private let outcome: Outcome

    private final class Outcome: Sendable {
        let value = Mutex<Result<Value, any Error>?>(nil)
    }

    init(_ body: @escaping @Sendable () throws -> Value) {
        let outcome = Outcome()
        self.outcome = outcome
        let run = ThreadBody {
            let result = Result { try body() }; outcome.value.withLock { $0 = result }
        }
        var thread = pthread_t()
        let failure = pthread_create(
            &thread, nil,
            { raw in
                if let raw { Unmanaged<ThreadBody>.fromOpaque(raw).takeRetainedValue().run() }
                return nil
            }, Unmanaged.passRetained(run).toOpaque())
        precondition(failure == 0)
        self.thread = thread
    }

    /// Waits for the end of the body.
    func value() throws -> Value {
        pthread_join(thread, nil)
        guard let result = outcome.value.withLock({ $0 }) else { throw CancellationError() }
        return try result.get()
    }
}

private final class ThreadBody: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}
