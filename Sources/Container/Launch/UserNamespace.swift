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
        let status = try check(mlr_run_hook(&encoded, input.rawValue, nil), "run", path: program)
        if status != 0 {
            throw SystemError("map the ids \(numbers.joined(separator: " ")) with", path: program, .notPermitted)
        }
    }
}
