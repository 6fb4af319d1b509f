internal import CLaunch
internal import CLinux
internal import Glibc
public import LinuxSystem

/// The FIFO at which a created container waits for `start`.
public enum StartGate {
    /// Makes the FIFO; `owner` and `group` are those of the container's root, who opens it.
    public static func make(_ path: String, owner: UInt32, group: UInt32) throws(SystemError) {
        if mkfifo(path, 0o622) < 0 { throw SystemError("create the FIFO", path: path, Errno(rawValue: errno)) }
        // mkfifo(3) heeds the caller's umask, and the container's user may be neither owner nor group.
        if chmod(path, 0o622) < 0 || chown(path, owner, group) < 0 {
            throw SystemError("set the owner of", path: path, Errno(rawValue: errno))
        }
    }

    /// Lets the container go and returns when its program runs. `program` names it in errors.
    public static func open(_ path: String, for process: ContainerProcess, program: String) throws(LaunchError) {
        do throws(SystemError) {
            let gate = try File.open(path, O_RDONLY | O_NONBLOCK)
            guard try wait(gate.rawValue, process) else { throw SystemError("wait for the container", .noSuchProcess) }
            try check(mlr_set_nonblocking(gate.rawValue, false), "read", path: path)
            let said = try File.readAll(gate.rawValue, limit: 4096, path: path)
            // One byte for having passed the gate; more only if the execution failed.
            guard said.count > 1 else { return }
            let failure = said.dropFirst().withUnsafeBytes { $0.loadUnaligned(as: mlr_report.self) }
            throw SystemError(failure.detail, path: "", Errno(rawValue: failure.error))
        } catch {
            if error.path == "" { throw .programNotExecutable(program, error.errno) }
            throw .system(error)
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
