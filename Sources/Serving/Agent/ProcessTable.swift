internal import LinuxSystem

/// What procfs tells of processes that are no children (proc_pid_stat(5)).
enum ProcessTable {
    /// Field 22 of /proc/PID/stat; nil when there is no such process.
    static func startTime(of pid: Int32) -> UInt64? { field(22, of: pid).flatMap { UInt64($0) } }

    /// How a process ended that its parent has not reaped, in the form of waitpid(2); nil for any other process.
    static func zombieStatus(of identity: ProcessIdentity) -> Int32? {
        guard field(3, of: identity.pid) == "Z", let status = field(52, of: identity.pid).flatMap({ Int32($0) }),
            startTime(of: identity.pid) == identity.startTime
        else { return nil }
        return status
    }

    /// Fields are counted from 1. The second, the name, may hold anything: what follows its last parenthesis is words.
    private static func field(_ number: Int, of pid: Int32) -> Substring? {
        guard let text = try? File.readText("/proc/\(pid)/stat"), let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: end)...].split(whereSeparator: \.isWhitespace)
        return number >= 3 && fields.count > number - 3 ? fields[number - 3] : nil
    }
}
