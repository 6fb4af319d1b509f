internal import Glibc
internal import LinuxSystem
internal import OCISpec

/// Groups of cgroup v1, where each controller has a hierarchy of its own. Nothing is written outside of the directories
/// that are made here, but for the processors and memory nodes of parents that were made on the way.
enum LegacyCgroups {
    /// On hybrid hosts cgroup2 freezes and filters devices, and these two stay with whoever uses them.
    private static let doneByUnified: Set<String> = ["freezer", "devices"]

    /// The hierarchies that take the container's groups, by controller.
    static func hierarchies(_ host: HostCgroups) -> [String: String] {
        var found: [String: String] = [:]
        for case (let controller, let mount?) in host.legacyControllers {
            if host.unifiedMount != nil, doneByUnified.contains(controller) { continue }
            found[controller] = mount
        }
        return found
    }

    static func create(
        _ request: ContainerCgroup.Request, on host: HostCgroups
    ) throws(CgroupError) -> (group: ContainerCgroup, warnings: [String]) {
        let components = try CgroupPath.components(request, own: host.ownGroup, isPrivileged: geteuid() == 0)
        var made: [String] = []
        var unified: Cgroup?
        var legacy: [String: Cgroup] = [:]
        do throws(CgroupError) {
            if host.unifiedMount != nil {
                let there = try CgroupHierarchy(host).make(
                    components, wanted: CgroupLimits.controllers(of: split(request.resources, host).unified),
                    reusesEmpty: true)
                unified = there.cgroup
                made += there.directories
            }
            for (controller, mount) in hierarchies(host).sorted(by: { $0.key < $1.key }) {
                legacy[controller] = try make(components, in: mount, isCpuset: controller == "cpuset", &made)
            }
            let leaves = Set(legacy.values.map(\.path) + [unified?.path].compactMap { $0 })
            let group = ContainerCgroup(
                unified: unified, legacy: legacy, path: "/" + components.joined(separator: "/"),
                made: made.filter { !leaves.contains($0) }, found: request.found(leaves.sorted(), made: made))
            let warnings = try apply(request.resources, to: group, on: host, isLive: false)
            try group.filterDevices(request)
            return (group, warnings)
        } catch {
            for directory in made { _ = rmdir(directory) }
            throw error
        }
    }

    private static func make(
        _ components: [String], in mount: String, isCpuset: Bool, _ made: inout [String]
    ) throws(CgroupError) -> Cgroup {
        var group = Cgroup(path: mount)
        for (index, name) in components.enumerated() {
            let child = Cgroup(path: group.path + "/" + name)
            if mkdir(child.path, 0o755) == 0 {
                made.insert(child.path, at: 0)
                // Without processors and memory nodes a group of the cpuset controller takes no process.
                if isCpuset { try inherit(from: group, to: child) }
            } else if errno != EEXIST {
                throw CgroupHierarchy.creationError(child.path, Errno(rawValue: errno))
            } else if index == components.count - 1, !made.contains(child.path) {
                // Controllers that are mounted together share their groups.
                try child.checkReusable()
            }
            group = child
        }
        return group
    }

    private static func inherit(from parent: Cgroup, to child: Cgroup) throws(CgroupError) {
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let present = try child.read(file).filter { !$0.isWhitespace }
            if !present.isEmpty { continue }
            let inherited = try parent.read(file).filter { !$0.isWhitespace }
            if let errno = child.write(inherited, to: file) {
                throw CgroupError(SystemError("write \"\(inherited)\" to", path: "\(child.path)/\(file)", errno))
            }
        }
    }

    // MARK: Limits

    static func apply(
        _ resources: RuntimeSpec.Resources, to group: ContainerCgroup, on host: HostCgroups, isLive: Bool
    ) throws(CgroupError) -> [String] {
        let parts = split(resources, host)
        var warnings: [String] = CgroupLimits.ignored(resources)
        if !resources.unified.isEmpty, group.unified == nil, let name = resources.unified.keys.min() {
            throw CgroupError(
                .limit(field: "unified.\(name)", controller: String(name.prefix { $0 != "." })),
                "cannot set unified.\(name): it is about cgroup v2, and this host has version 1 only",
                remedy: "leave unified out, or boot with systemd.unified_cgroup_hierarchy=1")
        }
        let settings = try LegacyLimits.settings(for: parts.legacy) { controller, file in
            group.legacy[controller].flatMap { try? $0.readIfPresent(file) }
        }
        for setting in settings where group.legacy[setting.controller]?.has(setting.file) != true {
            if setting.holdsWithoutFile || setting.optional { continue }
            throw absence(of: setting, group, host)
        }
        if isLive {
            try group.legacy["memory"]?.checkLegacyUsage(resources.memory)
            try group.unified?.prepare(memory: parts.unified.memory)
        }
        if let unified = group.unified {
            warnings += try unified.apply(parts.unified, in: try CgroupHierarchy(host), policy: .mandatory)
        }
        for setting in settings {
            guard let directory = group.legacy[setting.controller], directory.has(setting.file) else { continue }
            if let errno = directory.write(setting.value, to: setting.file) {
                if setting.optional { continue }
                throw directory.writeError(setting, errno)
            }
        }
        return warnings
    }

    private static func absence(
        of setting: CgroupSetting, _ group: ContainerCgroup, _ host: HostCgroups
    ) -> CgroupError {
        let controller = setting.controller
        let reason: String
        let remedy: String
        if group.legacy[controller] != nil {
            reason = "this kernel's \(controller) controller of cgroup v1 has no \(setting.file)"
            remedy = "use a kernel that has it, or leave \(setting.field) out"
        } else if let mount = host.legacyControllers[controller] {
            reason =
                "the \(controller) controller belongs to cgroup v1 and is "
                + (mount.map { "at \($0), but the container has no group there" } ?? "not mounted")
            remedy = "mount it: mount -t cgroup -o \(controller) cgroup /sys/fs/cgroup/\(controller)"
        } else {
            reason = "this host has no \(controller) controller of cgroup v1"
            remedy = "look for cgroup_disable=\(controller) in /proc/cmdline, or leave \(setting.field) out"
        }
        return CgroupError(
            .limit(field: setting.field, controller: controller), "cannot set \(setting.field): \(reason)",
            remedy: remedy)
    }

    /// Which limits go to which version: a controller belongs to one of them at a time.
    static func split(
        _ resources: RuntimeSpec.Resources, _ host: HostCgroups
    ) -> (legacy: RuntimeSpec.Resources, unified: RuntimeSpec.Resources) {
        var legacy = RuntimeSpec.Resources()
        var unified = RuntimeSpec.Resources(unified: resources.unified)
        let onlyLegacy = host.unifiedMount == nil
        func isLegacy(_ controller: String) -> Bool { onlyLegacy || host.legacyControllers.keys.contains(controller) }

        if isLegacy("memory") { legacy.memory = resources.memory } else { unified.memory = resources.memory }
        if var time = resources.cpu {
            let sets = RuntimeSpec.Resources.CPU(cpus: time.cpus, mems: time.mems)
            (time.cpus, time.mems) = (nil, nil)
            for (part, controller) in [(time, "cpu"), (sets, "cpuset")] where part != .init() {
                func merge(_ target: inout RuntimeSpec.Resources.CPU?) {
                    guard controller == "cpuset", target != nil else { return target = part }
                    target?.cpus = part.cpus
                    target?.mems = part.mems
                }
                if isLegacy(controller) { merge(&legacy.cpu) } else { merge(&unified.cpu) }
            }
        }
        if isLegacy("pids") { legacy.pids = resources.pids } else { unified.pids = resources.pids }
        if isLegacy("blkio") { legacy.blockIO = resources.blockIO } else { unified.blockIO = resources.blockIO }
        if isLegacy("hugetlb") {
            legacy.hugepageLimits = resources.hugepageLimits
        } else {
            unified.hugepageLimits = resources.hugepageLimits
        }
        if isLegacy("rdma") { legacy.rdma = resources.rdma } else { unified.rdma = resources.rdma }
        // These two were never made for version 2.
        legacy.network = resources.network
        return (legacy, unified)
    }
}

extension Cgroup {
    /// As ``prepare(memory:)``. Version 1 does not kill: it refuses a limit below what it cannot take back.
    func checkLegacyUsage(_ memory: RuntimeSpec.Resources.Memory?) throws(CgroupError) {
        guard let memory, memory.checkBeforeUpdate == true, let limit = memory.limit, limit > 0,
            let used = try number("memory.usage_in_bytes"), used > UInt64(limit)
        else { return }
        throw CgroupError(
            .limit(field: "memory.limit", controller: "memory"),
            "cannot lower memory.limit to \(limit) bytes: \(used) bytes are in use",
            remedy: "choose a higher limit, or leave memory.checkBeforeUpdate out")
    }
}
