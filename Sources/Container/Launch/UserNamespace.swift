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

    /// Writes the mappings of a new user namespace (user_namespaces(7)) through a process in it.
    static func map(
        process pid: Int32, uid: [RuntimeSpec.IDMap], gid: [RuntimeSpec.IDMap]
    ) throws(SystemError) {
        // Without CAP_SETGID outside the kernel takes a gid_map only after setgroups(2) was given up.
        if geteuid() != 0 { try File.put("deny", into: "/proc/\(pid)/setgroups") }
        try File.put(text(uid), into: "/proc/\(pid)/uid_map")
        try File.put(text(gid), into: "/proc/\(pid)/gid_map")
    }

    private static func text(_ mappings: [RuntimeSpec.IDMap]) -> String {
        mappings.map { "\($0.containerID) \($0.hostID) \($0.size)\n" }.joined()
    }
}
