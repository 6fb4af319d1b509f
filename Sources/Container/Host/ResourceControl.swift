internal import CLinux
internal import Glibc
internal import LinuxSystem
public import OCISpec

/// Groups of processes that share cache and memory bandwidth: the kernel's resctrl file system (runtime-spec,
/// config-linux.md, `intelRdt`).
public struct ResourceControl: Sendable, Equatable {
    /// Where resctrl is mounted.
    public let root: String

    public init(root: String) { self.root = root }

    /// Nil where none is mounted.
    public static func discover() -> ResourceControl? {
        guard let mounts = try? File.readText("/proc/self/mountinfo") else { return nil }
        for line in mounts.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard let dash = fields.firstIndex(of: "-"), fields.count > dash + 1, dash > 4 else { continue }
            if fields[dash + 1] == "resctrl" { return ResourceControl(root: String(fields[4])) }
        }
        return nil
    }

    /// Puts a container's process where its settings say, before anything runs in it.
    /// - Returns: the groups that were made for it, to be removed with it.
    public static func join(
        _ settings: RuntimeSpec.IntelRdt, id: String, pid: Int32, _ control: ResourceControl? = discover()
    ) throws(LaunchError) -> [String] {
        guard let control else {
            throw .setting(
                path: "linux.intelRdt",
                "this host has no resctrl file system mounted (mount -t resctrl resctrl /sys/fs/resctrl)")
        }
        var made: [String] = []
        do throws(LaunchError) {
            try control.join(settings, id: id, pid: pid, &made)
            return made
        } catch {
            remove(made)
            throw error
        }
    }

    /// Puts a further process of a container where the first one was put.
    public static func admit(
        _ pid: Int32, to settings: RuntimeSpec.IntelRdt, id: String, _ control: ResourceControl? = discover()
    ) throws(LaunchError) {
        guard let control else { return }
        let group = control.group(settings, id: id)
        for place in settings.enableMonitoring ? [group, "\(group)/mon_groups/\(id)"] : [group] {
            // Whoever removed it has put the container's other processes into the default group.
            if File.exists("\(place)/tasks") { try control.put("\(pid)\n", "\(place)/tasks", "linux.intelRdt") }
        }
    }

    /// Removes groups that were made for a container; one that is gone is no error.
    public static func remove(_ groups: [String]) { for group in groups.reversed() { rmdir(group) } }

    private func group(_ settings: RuntimeSpec.IntelRdt, id: String) -> String {
        settings.closID == "/" ? root : "\(root)/\(settings.closID ?? id)"
    }

    private func join(
        _ settings: RuntimeSpec.IntelRdt, id: String, pid: Int32, _ made: inout [String]
    ) throws(LaunchError) {
        let group = group(settings, id: id)
        let lines = [settings.l3CacheSchema, settings.memBwSchema].compactMap(\.self) + settings.schemata
        if File.exists("\(group)/tasks") {
            // What others may be in is not changed, only compared.
            if settings.closID != nil { try compare(lines, group) } else { try write(lines, group) }
        } else {
            if settings.closID != nil, lines.isEmpty {
                throw .setting(
                    path: "linux.intelRdt.closID",
                    "there is no group \(group), and no schemata are given to make it with")
            }
            try make(group, "linux.intelRdt.closID")
            // Named groups outlive the container: others may have joined.
            if settings.closID == nil { made.append(group) }
            do throws(LaunchError) { try write(lines, group) } catch {
                if settings.closID != nil { rmdir(group) }
                throw error
            }
        }
        try put("\(pid)\n", "\(group)/tasks", "linux.intelRdt")
        guard settings.enableMonitoring else { return }
        let monitor = "\(group)/mon_groups/\(id)"
        try make(monitor, "linux.intelRdt.enableMonitoring")
        made.append(monitor)
        try put("\(pid)\n", "\(monitor)/tasks", "linux.intelRdt.enableMonitoring")
    }

    private func make(_ path: String, _ field: String) throws(LaunchError) {
        if mkdir(path, 0o755) == 0 { return }
        let reason = LaunchError.reason(Errno(rawValue: errno))
        throw .setting(path: field, "cannot create the group \(path): \(reason)\(lastWord)")
    }

    private func write(_ lines: [String], _ group: String) throws(LaunchError) {
        for line in lines { try put(line + "\n", "\(group)/schemata", "linux.intelRdt") }
    }

    private func put(_ text: String, _ path: String, _ field: String) throws(LaunchError) {
        do throws(SystemError) { try File.put(text, into: path) } catch {
            let shown = text.filter { $0 != "\n" }
            throw .setting(
                path: field, "cannot write \(shown) to \(path): \(LaunchError.reason(error.errno))\(lastWord)")
        }
    }

    private func compare(_ lines: [String], _ group: String) throws(LaunchError) {
        if lines.isEmpty { return }
        let present: [ResourceSchema]
        do throws(SystemError) {
            present = try File.readText("\(group)/schemata").split(separator: "\n").map { ResourceSchema(String($0)) }
        } catch { throw .system(error) }
        for line in lines {
            let wanted = ResourceSchema(line)
            if present.contains(where: { $0.covers(wanted) }) { continue }
            throw .setting(
                path: "linux.intelRdt",
                "\(line) differs from what the group \(group) has, which others may use: name another closID")
        }
    }

    /// What the kernel says of the last thing that failed.
    private var lastWord: String {
        guard let text = try? File.readText("\(root)/info/last_cmd_status") else { return "" }
        let word = text.filter { $0 != "\n" }
        return word.isEmpty || word == "ok" ? "" : " (\(word))"
    }
}

/// One line of a schemata file, such as `L3:0=7f0;1=1f`: how it is written does not matter, what it says does.
struct ResourceSchema: Equatable {
    let resource: String
    let domains: [String: String]

    init(_ line: String) {
        let parts = line.filter { !$0.isWhitespace }.split(
            separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        resource = parts.first.map(String.init) ?? ""
        var domains: [String: String] = [:]
        for entry in (parts.count > 1 ? parts[1] : "").split(separator: ";") {
            let pair = entry.split(separator: "=", maxSplits: 1).map(Self.withoutZeros)
            domains[pair.first ?? ""] = pair.count > 1 ? pair[1] : ""
        }
        self.domains = domains
    }

    /// Whether all that the other says is so here.
    func covers(_ other: ResourceSchema) -> Bool {
        resource == other.resource && other.domains.allSatisfy { domains[$0.key] == $0.value }
    }

    private static func withoutZeros(_ digits: Substring) -> String {
        let kept = digits.lowercased().drop { $0 == "0" }
        return kept.isEmpty ? "0" : String(kept)
    }
}
