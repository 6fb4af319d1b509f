internal import CLaunch
internal import CLinux
internal import Glibc
public import LinuxSystem

/// The FIFO at which a created container waits for `start`.
public enum StartGate {
    /// Makes the FIFO; `owner` and `group` are those of the container's root, who opens it.
    public static func make(_ path: String, owner: UInt32, group: UInt32) throws(SystemError) {
        if mkfifo(path, 0o622) < 0 { throw SystemError("create the FIFO", path: path, Errno(rawValue: errno)) }
        // Without privileges it stays the caller's, and the mode alone lets the container open it. mkfifo(3) heeds the caller's umask, and the container's user may be neither owner nor group.
        if chmod(path, 0o622) < 0 || (chown(path, owner, group) < 0 && errno != EPERM) {
            throw SystemError("set the owner of", path: path, Errno(rawValue: errno))
        }
    }

    /// Lets the container go and returns when its program runs. `program` names it in errors.
    public static func open(_ path: String, for process: ContainerProcess, program: String) throws(LaunchError) {
        let gate: OwnedDescriptor
        do throws(SystemError) { gate = try File.open(path, O_RDONLY | O_NONBLOCK) } catch { throw .system(error) }
        let said: [UInt8]
        do throws(SystemError) {
            guard try wait(gate.rawValue, process) else { throw SystemError("wait for the container", .noSuchProcess) }
            try check(mlr_set_nonblocking(gate.rawValue, false), "read", path: path)
            said = try File.readAll(gate.rawValue, limit: 4096, path: path)
        } catch {
            // It is past the gate by now, or soon: what is told to have failed must not run all the same.
            _ = try? process.kill()
            throw .system(error)
        }
        // One byte for having passed the gate, one for being about to execute the program, and a report if that failed.
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

    /// False when the process ended instead of coming to the gate.
    private static func wait(_ gate: Int32, _ process: ContainerProcess) throws(SystemError) -> Bool {
        var entries = [
            pollfd(fd: gate, events: Int16(POLLIN), revents: 0),
            pollfd(fd: process.pidfd, events: Int16(POLLIN), revents: 0),
        ]
        let result = retrying { poll(&entries, 2, -1) < 0 ? -errno : 0 }
        try check(result, "wait for process \(process.pid)")
        return entries[0].revents != 0
    }
}
