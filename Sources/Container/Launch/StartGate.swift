internal import CLaunch
internal import CLinux
internal import Glibc
public import LinuxSystem

/// Where a created container waits for `start`: two FIFOs that its process holds open from its beginning, so that it can wait
/// whatever its root and its rights have become. From one comes the byte that lets it go; into the other go a byte when it has
/// come to the gate, one when it is about to execute its program, and a report if that fails. The end of the execution closes
/// the other.
public enum StartGate {
    /// The FIFO of what the container's process tells.
    static func outcome(_ path: String) -> String { "\(path).outcome" }

    /// Makes both.
    public static func make(_ path: String) throws(SystemError) {
        for path in [path, outcome(path)] where mkfifo(path, 0o600) < 0 {
            throw SystemError("create the FIFO", path: path, Errno(rawValue: errno))
        }
    }

    /// Whether the container's process is there, so that its container is complete.
    static func isReached(_ path: String) throws(SystemError) -> Bool {
        let told = try File.open(outcome(path), O_RDONLY | O_NONBLOCK)
        var entry = pollfd(fd: told.rawValue, events: Int16(POLLIN), revents: 0)
        try check(retrying { poll(&entry, 1, 0) < 0 ? -errno : 0 }, "look at", path: outcome(path))
        return entry.revents & Int16(POLLIN) != 0
    }

    /// Lets the container go and returns when its program runs. `program` names it in errors.
    public static func open(_ path: String, for process: ContainerProcess, program: String) throws(LaunchError) {
        let gate: SharedDescriptor
        let told: SharedDescriptor
        do throws(SystemError) {
            // Before it is let go: once the program runs, what the process has told is gone with its end of the FIFO. Neither
            // is waited for where the process is not there any more.
            told = SharedDescriptor(try File.open(outcome(path), O_RDONLY | O_NONBLOCK))
            gate = SharedDescriptor(try File.open(path, O_RDWR))
        } catch { throw .system(error) }
        let said: [UInt8]
        do throws(SystemError) {
            try File.writeAll([1], to: gate.rawValue, path: path)
            try check(mlr_set_nonblocking(told.rawValue, false), "read", path: path)
            said = try File.readAll(told.rawValue, limit: 4096, path: path)
        } catch {
            // It is past the gate by now, or soon: what is told to have failed must not run all the same.
            _ = try? process.kill()
            throw .system(error)
        }
        if said == Array("01".utf8) { return }
        guard said.count > MemoryLayout<mlr_report>.size else {
            let status: ExitStatus
            do throws(SystemError) { status = try process.kill() } catch { throw .system(error) }
            throw .died(status, during: nil)
        }
        let report = Array(said.suffix(MemoryLayout<mlr_report>.size))
        throw failure(report.withUnsafeBytes { $0.loadUnaligned(as: mlr_report.self) }, program)
    }

    private static func failure(_ report: mlr_report, _ program: String) -> LaunchError {
        let errno = Errno(rawValue: report.error)
        switch mlr_step_kind(report.step_kind) {
        case MLR_STEP_HOOKS: return .hook(report.hookText("startContainer"))
        case MLR_STEP_EXECUTE: return .programNotExecutable(program, errno)
        case MLR_STEP_SECCOMP: return .step(.seccomp(flags: 0, raises: false, last: true), errno, detail: report.detail)
        default: return .system(SystemError("execute \(program)", errno))
        }
    }
}
