internal import CLaunch
internal import CLinux
internal import Glibc
public import LinuxSystem
public import OCISpec

/// User namespaces that hold no process, as idmapped mounts want them (mount_setattr(2), MOUNT_ATTR_IDMAP).
public enum UserNamespace {
    /// Makes a user namespace with these mappings and returns it open. The caller needs CAP_SYS_ADMIN, CAP_SETUID and
    /// CAP_SETGID for mappings of other users' ids.
    public static func make(
        uid: [RuntimeSpec.IDMap], gid: [RuntimeSpec.IDMap]
    ) throws(SystemError) -> OwnedDescriptor {
        var holder = mlr_holder()
        try check(mlr_hold_namespaces(&holder, UInt64(MLR_CLONE_NEWUSER)), "create a user namespace")
        defer { mlr_release_namespaces(&holder) }
        try map(process: holder.pid, uid: uid, gid: gid)
        return try File.open("/proc/\(holder.pid)/ns/user", O_RDONLY)
    }

    /// A mount namespace with a copy of this process's mounts, locked as for a less privileged owner (mount_namespaces(7)).
    static func lockedMounts() throws(SystemError) -> SharedDescriptor {
        var holder = mlr_holder()
        let kinds = UInt64(MLR_CLONE_NEWUSER) | RuntimeSpec.Namespace.Kind.mount.cloneFlag
        try check(mlr_hold_namespaces(&holder, kinds), "copy the host's mounts for a user namespace")
        defer { mlr_release_namespaces(&holder) }
        return SharedDescriptor(try File.open("/proc/\(holder.pid)/ns/mnt", O_RDONLY))
    }

    /// The mappings of a user namespace that is there, with the ids that this process knows on their outer side.
    static func mappings(
        of namespace: Int32
    ) throws(SystemError) -> (uid: [RuntimeSpec.IDMap], gid: [RuntimeSpec.IDMap]) {
        var holder = mlr_holder()
        try check(mlr_hold_user_namespace(&holder, namespace), "enter a user namespace")
        defer { mlr_release_namespaces(&holder) }
        return (try read("/proc/\(holder.pid)/uid_map"), try read("/proc/\(holder.pid)/gid_map"))
    }

    private static func read(_ path: String) throws(SystemError) -> [RuntimeSpec.IDMap] {
        try File.readText(path).split(separator: "\n").compactMap { line in
            let numbers = line.split(separator: " ").compactMap { UInt32($0) }
            return numbers.count == 3
                ? .init(containerID: numbers[0], hostID: numbers[1], size: numbers[2]) : nil
        }
    }

    /// A namespace that is joined has its mappings already. Callers that know of it name them again; others would not come true.
    static func refuseOtherMappings(_ plan: LaunchPlan, of namespace: Int32, _ path: String) throws(LaunchError) {
        if plan.uidMappings.isEmpty, plan.gidMappings.isEmpty { return }
        let present: (uid: [RuntimeSpec.IDMap], gid: [RuntimeSpec.IDMap])
        do throws(SystemError) { present = try mappings(of: namespace) } catch {
            throw .step(.join(.init(.user, path: path)), error.errno, detail: "")
        }
        for (name, asked, present) in [
            ("uidMappings", plan.uidMappings, present.uid), ("gidMappings", plan.gidMappings, present.gid),
        ] where !asked.isEmpty && ranges(asked) != ranges(present) {
            let list = text(present).split(separator: "\n").joined(separator: ", ")
            throw .setting(
                path: "linux.\(name)",
                "are not those of the user namespace \(path), which is joined (\(list)); leave them out, or name these")
        }
    }

    /// In one order, and those that go on where another ends as one with it: whoever made the namespace may have written them
    /// otherwise.
    private static func ranges(_ mappings: [RuntimeSpec.IDMap]) -> [[UInt64]] {
        var ranges: [[UInt64]] = []
        for map in mappings.sorted(by: { $0.containerID < $1.containerID }) {
            let (inner, outer, size) = (UInt64(map.containerID), UInt64(map.hostID), UInt64(map.size))
            if let last = ranges.last, last[0] + last[2] == inner, last[1] + last[2] == outer {
                ranges[ranges.count - 1][2] += size
            } else {
                ranges.append([inner, outer, size])
            }
        }
        return ranges
    }

    /// Sets the mappings of a new user namespace (user_namespaces(7)) through a process in it.
    static func map(
        process pid: Int32, uid: [RuntimeSpec.IDMap], gid: [RuntimeSpec.IDMap]
    ) throws(SystemError) {
        if geteuid() == 0 {
            try File.put(text(uid), into: "/proc/\(pid)/uid_map")
            return try File.put(text(gid), into: "/proc/\(pid)/gid_map")
        }
        if isOwn(uid, geteuid()) {
            try File.put(text(uid), into: "/proc/\(pid)/uid_map")
        } else {
            try run("newuidmap", pid, uid)
        }
        if isOwn(gid, getegid()) {
            // Without CAP_SETGID outside the kernel takes a gid_map only after setgroups(2) was given up.
            try File.put("deny", into: "/proc/\(pid)/setgroups")
            try File.put(text(gid), into: "/proc/\(pid)/gid_map")
        } else {
            try run("newgidmap", pid, gid)
        }
    }

    /// The one mapping that takes no right.
    private static func isOwn(_ mappings: [RuntimeSpec.IDMap], _ id: UInt32) -> Bool {
        mappings.count == 1 && mappings[0].hostID == id && mappings[0].size == 1
    }

    private static func text(_ mappings: [RuntimeSpec.IDMap]) -> String {
        mappings.map { "\($0.containerID) \($0.hostID) \($0.size)\n" }.joined()
    }

    /// The programs that know which ids a user was given (subuid(5)).
    private static func run(_ name: String, _ pid: Int32, _ mappings: [RuntimeSpec.IDMap]) throws(SystemError) {
        let places = ["/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin"].map { "\($0)/\(name)" }
        guard let program = places.first(where: { access($0, X_OK) == 0 }) else {
            throw SystemError("map ids that are not one's own without \(name), which is not installed", .noSuchFile)
        }
        let numbers = mappings.flatMap { ["\($0.containerID)", "\($0.hostID)", "\($0.size)"] }
        let hook = RuntimeSpec.Hook(path: program, args: [name, "\(pid)"] + numbers, timeout: 30)
        let arena = PlayerArena()
        var encoded = HookRunner.encode(hook, in: arena)
        let input = OwnedDescriptor(taking: try check(mlr_memfd_create("input", 0), "create a memory file"))
        let (outcome, said) = HookRunner.run(&encoded, input.rawValue, nil)
        let status = try check(outcome, "run", path: program)
        if status != 0 {
            let cause = said.isEmpty ? "" : " (\(said))"
            throw SystemError(
                "map the ids \(numbers.joined(separator: " "))\(cause) with", path: program, .notPermitted)
        }
    }
}
