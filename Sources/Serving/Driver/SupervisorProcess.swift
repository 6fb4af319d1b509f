internal import CLinux
internal import Glibc
public import LinuxSystem
internal import OCISpec

extension Supervisor {
    /// How long a supervisor may take until its socket answers; adopting many services takes a while.
    private static let startTimeout: UInt64 = 20_000_000_000

    /// Connects to the supervisor of these directories, and starts one first when none runs.
    ///
    /// It is started in a session of its own, with its output in `<root>/mlrund.log`, so that it outlives the caller's
    /// terminal. However many callers race, one supervisor starts: the others find its lock taken.
    ///
    /// - Parameter executable: the path of mlrund.
    public static func ensureRunning(
        _ directories: MLRunDirectories, executable: String
    ) throws(ControlError) -> ControlClient {
        if let client = try? ControlClient(directories) { return client }
        guard geteuid() == 0 else {
            throw ControlError("mlrun needs root to start services", remedy: "use sudo")
        }
        let log = "\(directories.root)/mlrund.log"
        let started: (identity: ProcessIdentity, pidfd: SharedDescriptor)
        do throws(SystemError) {
            try File.makeDirectories(directories.root, mode: 0o700)
            try File.makeDirectories(directories.state, mode: 0o711)
            let null = try File.open("/dev/null", O_RDWR)
            let output = try File.open(log, O_WRONLY | O_CREAT | O_APPEND, mode: 0o600)
            let kept = ChildProgram.environment.filter { !$0.hasPrefix("MLRUN_ROOT=") && !$0.hasPrefix("MLRUN_STATE=") }
            started = try ChildProgram.start(
                executable, [],
                environment: kept + ["MLRUN_ROOT=\(directories.root)", "MLRUN_STATE=\(directories.state)"],
                descriptors: [null.rawValue, output.rawValue, output.rawValue])
        } catch {
            throw ControlError(error, remedy: "mlrund must be beside mlrun and executable")
        }
        return try waitForAnswer(directories, started.pidfd, log: log)
    }

    private static func waitForAnswer(
        _ directories: MLRunDirectories, _ process: SharedDescriptor, log: String
    ) throws(ControlError) -> ControlClient {
        let deadline = mlr_monotonic_nanoseconds() + startTimeout
        var hasEnded = false
        while mlr_monotonic_nanoseconds() < deadline {
            if let client = try? ControlClient(directories) { return client }
            // One that ends at once has lost the race for the lock, or has said what is wrong.
            var entry = pollfd(fd: hasEnded ? -1 : process.rawValue, events: Int16(POLLIN), revents: 0)
            if poll(&entry, 1, 5) > 0 {
                hasEnded = true
                var code: Int32 = 0
                var value: Int32 = 0
                _ = mlr_wait_pidfd(process.rawValue, 0, &code, &value)
                let lockIsFree: Bool
                do throws(SystemError) {
                    let free = try FileLock(trying: directories.supervisorLock, exclusive: true)
                    lockIsFree = free != nil
                } catch {
                    throw ControlError(error)
                }
                if lockIsFree { throw ControlError(lastWords(log), remedy: "see \(log)") }
            }
        }
        throw ControlError("mlrund was started but does not answer within 20 s", remedy: "see \(log)")
    }

    private static func lastWords(_ log: String) -> String {
        let line = (try? File.readText(log))?.split(separator: "\n").last.map(String.init)
        return line ?? "mlrund ended without a word"
    }
}
