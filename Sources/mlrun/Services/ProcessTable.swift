internal import CLinux
internal import Glibc
internal import LinuxSystem

/// What /proc says of a process (proc(5)).
enum ProcessTable {
    struct Row {
        let parent: Int32
        let uid: UInt32
        let threads: Int
        let cpuSeconds: Double
        /// Bytes.
        let resident: Int64
        /// Its arguments; the program's name in brackets for one without.
        let command: String
    }

    /// Nil for a process that is gone.
    static func row(_ pid: Int32) -> Row? {
        guard let stat = try? File.readText("/proc/\(pid)/stat"), let status = try? File.status("/proc/\(pid)"),
            let open = stat.firstIndex(of: "("), let close = stat.lastIndex(of: ")")
        else { return nil }
        // The name may hold anything, so the fields are counted from behind it: the third is the first here.
        let fields = stat[stat.index(after: close)...].split(separator: " ")
        guard fields.count > 21, let parent = Int32(fields[1]), let user = Double(fields[11]),
            let system = Double(fields[12]), let threads = Int(fields[17]), let pages = Int64(fields[21])
        else { return nil }
        let arguments = ((try? File.read("/proc/\(pid)/cmdline")) ?? []).split(separator: 0)
            .map { String(decoding: $0, as: UTF8.self) }
        let name = stat[stat.index(after: open)..<close]
        return Row(
            parent: parent, uid: status.uid, threads: threads,
            cpuSeconds: (user + system) / Double(sysconf(Int32(_SC_CLK_TCK))),
            resident: pages * Int64(sysconf(Int32(_SC_PAGESIZE))),
            command: arguments.isEmpty ? "[\(name)]" : arguments.joined(separator: " "))
    }
}
