import CLinux
import Glibc
import LinuxSystem

/// Runs `body` on a thread in a mount namespace of its own: nobody else sees what it mounts, and all of it goes with the
/// thread, whatever becomes of the test.
func inPrivateMounts<Output: Sendable>(_ body: @escaping @Sendable () throws -> Output) async throws -> Output {
    try await withCheckedThrowingContinuation { continuation in
        startThread {
            continuation.resume(
                with: Result {
                    // Only this thread, and those it starts.
                    try check(mlr_unshare(0x0002_0000 /* CLONE_NEWNS */), "make a mount namespace")
                    try check(
                        mlr_mount(nil, "/", nil, UInt(MLR_MS_REC) | UInt(MLR_MS_PRIVATE), nil), "make mounts private",
                        path: "/")
                    return try body()
                })
        }
    }
}
