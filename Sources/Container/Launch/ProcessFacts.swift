internal import CLaunch
internal import CLinux
internal import LinuxSystem
internal import OCISpec

/// What procfs and pidfds tell of a process.
enum ProcessFacts {
    /// Field 22 of `/proc/<pid>/stat`; nil when there is no such process.
    static func startTime(of pid: Int32) throws(SystemError) -> UInt64? {
        guard let fields = try fields(of: pid) else { return nil }
        return fields.count > 19 ? UInt64(fields[19]) : nil
    }

    /// Whether a process that started then is there and no zombie that only waits to be collected by its parent.
    static func isAlive(_ pid: Int32, since startTime: UInt64) throws(SystemError) -> Bool {
        guard let fields = try fields(of: pid), fields.count > 19, UInt64(fields[19]) == startTime else { return false }
        return fields[0] != "Z" && fields[0] != "X"
    }

    /// Whether a process has executed anything since it was cloned (PF_FORKNOEXEC in field 9 is off).
    static func hasExecuted(_ pid: Int32) throws(SystemError) -> Bool {
        guard let fields = try fields(of: pid), fields.count > 6, let flags = UInt64(fields[6]) else { return false }
        return flags & 0x40 == 0
    }

    /// The number of a process in the pid namespace that it is in itself.
    static func innermostNumber(of pid: Int32) throws(SystemError) -> Int32 {
        let name = "NSpid:"
        let text = try File.readText("/proc/\(pid)/status")
        let line = text.split(separator: "\n").first { $0.hasPrefix(name) }
        let number = line?.dropFirst(name.count).split(whereSeparator: \.isWhitespace).last
        return number.flatMap { Int32($0) } ?? pid
    }

    /// From the third on; nil when there is no such process. Not being able to tell is something else.
    private static func fields(of pid: Int32) throws(SystemError) -> [Substring]? {
        let text: String
        do throws(SystemError) { text = try File.readValue("/proc/\(pid)/stat") } catch {
            if error.errno == .noSuchFile || error.errno == .noSuchProcess { return nil }
            throw error
        }
        // The name, field 2, may hold anything; what follows its last parenthesis is numbers.
        guard let end = text.lastIndex(of: ")") else { return nil }
        return text[text.index(after: end)...].split(separator: " ")
    }

    static func exitStatus(code: Int32, value: Int32) -> ExitStatus {
        if code == Int32(MLR_CLD_EXITED) { return .exited(value) }
        guard let signal = SignalName(number: value) else { return .unknown }
        return .killed(signal, coreDumped: code == Int32(MLR_CLD_DUMPED))
    }

    /// The exit status the kernel keeps with a pidfd after the process was reaped (6.15 and later).
    static func exitStatus(pidfd: Int32) -> ExitStatus? {
        let status = mlr_pidfd_exit_status(pidfd)
        guard status >= 0 else { return nil }
        if status & 0x7F == 0 { return .exited(status >> 8 & 0xFF) }
        return SignalName(number: status & 0x7F).map { .killed($0, coreDumped: status & 0x80 != 0) }
    }
}
