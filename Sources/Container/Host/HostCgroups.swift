public import LinuxSystem

/// How this host arranges control groups (cgroups(7)), as seen from this process.
public struct HostCgroups: Sendable, Equatable {
    /// Which versions of control groups are there.
    public enum Layout: String, Sendable {
        /// One cgroup2 hierarchy holds every controller.
        case unified
        /// A cgroup2 hierarchy beside v1 hierarchies that hold some or all controllers.
        case hybrid
        /// Only v1 hierarchies.
        case legacy
        /// No control groups are mounted here.
        case none
    }

    /// Which versions of control groups are there.
    public let layout: Layout
    /// Where the cgroup2 hierarchy is mounted.
    public let unifiedMount: String?
    /// This process's group as a path below ``unifiedMount``, `/` for its top; nil if the group lies outside the mount.
    public let ownGroup: String?
    /// Controllers bound to a v1 hierarchy, and where that is mounted, if it is.
    public let legacyControllers: [String: String?]

    public init(
        layout: Layout, unifiedMount: String?, ownGroup: String?, legacyControllers: [String: String?] = [:]
    ) {
        self.layout = layout
        self.unifiedMount = unifiedMount
        self.ownGroup = ownGroup
        self.legacyControllers = legacyControllers
    }

    /// Reads /proc/self/mountinfo and /proc/self/cgroup.
    public static func discover() throws(SystemError) -> HostCgroups {
        HostCgroups(
            mountinfo: try File.readText("/proc/self/mountinfo"), selfCgroup: try File.readText("/proc/self/cgroup"))
    }

    /// The same on the texts of proc_pid_mountinfo(5) and cgroups(7).
    public init(mountinfo: String, selfCgroup: String) {
        let mounts = mountinfo.split(separator: "\n").compactMap(CgroupMount.init)
        // Of several views of the one cgroup2 hierarchy the usual place is preferred: there everybody looks.
        let unified = mounts.filter { $0.version2 }
        let chosen = unified.last { $0.point == "/sys/fs/cgroup" } ?? unified.last

        var own: String?
        var legacy: [String: String?] = [:]
        for line in selfCgroup.split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            if fields[0] == "0", fields[1].isEmpty {
                own = String(fields[2])
                continue
            }
            for controller in fields[1].split(separator: ",").map(String.init) where !controller.contains("=") {
                let point = mounts.last { !$0.version2 && $0.options.contains(controller) }?.point
                legacy.updateValue(point, forKey: controller)
            }
        }

        unifiedMount = chosen?.point
        legacyControllers = legacy
        if let chosen, let own { ownGroup = Self.path(own, below: chosen.root) } else { ownGroup = nil }
        if chosen != nil {
            layout = legacy.isEmpty ? .unified : .hybrid
        } else {
            layout = mounts.isEmpty && legacy.values.allSatisfy { $0 == nil } ? .none : .legacy
        }
    }

    /// A group's path below a mount that shows the hierarchy from `root` on.
    private static func path(_ group: String, below root: String) -> String? {
        if root == "/" { return group }
        if group == root { return "/" }
        return group.hasPrefix(root + "/") ? String(group.dropFirst(root.utf8.count)) : nil
    }
}

/// One line of mountinfo that is about control groups.
private struct CgroupMount {
    let point: String
    let root: String
    let version2: Bool
    let options: [String]

    init?(_ line: Substring) {
        let fields = line.split(separator: " ")
        guard let dash = fields.firstIndex(of: "-"), dash >= 6, fields.count > dash + 3 else { return nil }
        guard fields[dash + 1] == "cgroup" || fields[dash + 1] == "cgroup2" else { return nil }
        version2 = fields[dash + 1] == "cgroup2"
        root = Self.unescape(fields[3])
        point = Self.unescape(fields[4])
        options = fields[dash + 3].split(separator: ",").map(String.init)
    }

    /// Space, tab, newline and backslash are written as three octal digits.
    private static func unescape(_ field: Substring) -> String {
        guard field.contains("\\") else { return String(field) }
        var bytes: [UInt8] = []
        var rest = Substring(field).utf8
        while let byte = rest.first {
            let digits = Substring(rest.dropFirst().prefix(3))
            if byte == UInt8(ascii: "\\"), digits.utf8.count == 3, let value = UInt8(digits, radix: 8) {
                bytes.append(value)
                rest = rest.dropFirst(4)
            } else {
                bytes.append(byte)
                rest = rest.dropFirst()
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
