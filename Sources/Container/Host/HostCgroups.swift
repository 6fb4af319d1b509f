internal import CLinux
internal import Glibc
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
    @ReadWhenAsked public private(set) var legacyControllers: [String: String?]

    public init(
        layout: Layout, unifiedMount: String?, ownGroup: String?, legacyControllers: [String: String?] = [:]
    ) {
        self.layout = layout
        self.unifiedMount = unifiedMount
        self.ownGroup = ownGroup
        _legacyControllers = ReadWhenAsked(wrappedValue: legacyControllers)
    }

    /// Reads /proc/self/cgroup, and /proc/self/mountinfo, which is long where there are many mounts, only if cgroup2 is not at
    /// its usual place or somebody asks for the v1 hierarchies.
    public static func discover() throws(SystemError) -> HostCgroups {
        let selfCgroup = try File.readValue("/proc/self/cgroup")
        if let usual = HostCgroups(usualPlace: "/sys/fs/cgroup", selfCgroup: selfCgroup) { return usual }
        return HostCgroups(mountinfo: try File.readText("/proc/self/mountinfo"), selfCgroup: selfCgroup)
    }

    /// Nil unless the whole cgroup2 hierarchy is mounted at `place`. Its top alone has no type.
    private init?(usualPlace place: String, selfCgroup: String) {
        guard let mount = try? File.open(place, MLR_O_PATH | O_DIRECTORY),
            mlr_fstatfs_type(mount.rawValue) == Self.cgroup2Magic, !File.exists("\(place)/cgroup.type")
        else { return nil }
        let (own, controllers) = Self.parse(selfCgroup)
        unifiedMount = place
        ownGroup = own
        layout = controllers.isEmpty ? .unified : .hybrid
        _legacyControllers =
            controllers.isEmpty
            ? ReadWhenAsked(wrappedValue: [:])
            : ReadWhenAsked {
                let mountinfo = (try? File.readText("/proc/self/mountinfo")) ?? ""
                return HostCgroups(mountinfo: mountinfo, selfCgroup: selfCgroup).legacyControllers
            }
    }

    private static let cgroup2Magic: Int64 = 0x6367_7270

    /// This process's group of cgroup2, and the controllers that v1 hierarchies hold.
    private static func parse(_ selfCgroup: String) -> (own: String?, controllers: [String]) {
        var own: String?
        var controllers: [String] = []
        for line in selfCgroup.split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            if fields[0] == "0", fields[1].isEmpty {
                own = String(fields[2])
            } else {
                controllers += fields[1].split(separator: ",").filter { !$0.contains("=") }.map(String.init)
            }
        }
        return (own, controllers)
    }

    /// The same on the texts of proc_pid_mountinfo(5) and cgroups(7).
    public init(mountinfo: String, selfCgroup: String) {
        let mounts = MountTable(mountinfo).visible { $0.type == "cgroup" || $0.type == "cgroup2" }
            .map(CgroupMount.init)
        // Of several views of the one cgroup2 hierarchy the usual place is preferred: there everybody looks.
        let unified = mounts.filter { $0.version2 }
        let chosen = unified.last { $0.point == "/sys/fs/cgroup" } ?? unified.last

        let (own, controllers) = Self.parse(selfCgroup)
        var legacy: [String: String?] = [:]
        for controller in controllers {
            let point = mounts.last { !$0.version2 && $0.options.contains(controller) }?.point
            legacy.updateValue(point, forKey: controller)
        }

        unifiedMount = chosen?.point
        _legacyControllers = ReadWhenAsked(wrappedValue: legacy)
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

/// A mounted view of control groups.
private struct CgroupMount {
    let point: String
    let root: String
    let version2: Bool
    let options: [String]

    init(_ line: MountTable.Line) {
        version2 = line.type == "cgroup2"
        root = MountTable.unescape(line.root)
        point = MountTable.unescape(line.point)
        options = line.options.split(separator: ",").map(String.init)
    }
}
