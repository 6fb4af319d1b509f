import CLinux
import Glibc
import LinuxSystem
import Synchronization

/// Runs `body` on a thread in a mount namespace of its own: nobody else sees what it mounts, and all of it goes with the
/// thread, whatever becomes of the test.
func inPrivateMounts<Output: Sendable>(_ body: @escaping @Sendable () throws -> Output) async throws -> Output {
    try await withCheckedThrowingContinuation { continuation in
        startThread {
            // Another thread than that which goes on with the test: going on may start a thread of the pool, which would
            // stay in the namespace.
            let outcome = Outcome<Output>()
            startThread { outcome.give(Result { try enter(body) }) }
            continuation.resume(with: outcome.take())
        }
    }
}

private func enter<Output>(_ body: () throws -> Output) throws -> Output {
    // Only this thread, and those it starts.
    try check(mlr_unshare(0x0002_0000 /* CLONE_NEWNS */), "make a mount namespace")
    try check(
        mlr_mount(nil, "/", nil, UInt(MLR_MS_REC) | UInt(MLR_MS_PRIVATE), nil), "make mounts private", path: "/")
    return try body()
}

/// What one thread waits for and another gives.
private final class Outcome<Output: Sendable>: Sendable {
    private let result = Mutex<Result<Output, any Error>?>(nil)

    func give(_ result: Result<Output, any Error>) { self.result.withLock { $0 = result } }

    func take() -> Result<Output, any Error> {
        while true {
            if let result = result.withLock({ $0 }) { return result }
            usleep(2000)
        }
    }
}
