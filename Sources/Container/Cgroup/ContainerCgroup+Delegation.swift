internal import Glibc
internal import LinuxSystem
internal import OCISpec

extension ContainerCgroup {
    /// Files that a new owner of a group needs besides its directory; what older kernels do not list.
    private static let alwaysDelegated = ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"]

    /// Gives a new group to the user that runs in it, so that systemd or another engine can make groups of its own there.
    /// Its limits stay out of reach, since their files are not among those that the kernel names. Groups of version 1 cannot be
    /// given away safely, and one that somebody else made is theirs to give.
    /// - Returns: a warning if this process may not give anything away.
    func delegate(_ request: Request) throws(CgroupError) -> [String] {
        guard let owner = request.owner, owner != geteuid(), let unified, legacy.isEmpty, found.isEmpty else {
            return []
        }
        let listed = (try? File.readText("/sys/kernel/cgroup/delegate"))?.split(separator: "\n").map(String.init)
        for file in [""] + (listed ?? Self.alwaysDelegated).map({ "/" + $0 }) {
            if lchown(unified.path + file, owner, .max) == 0 || errno == ENOENT { continue }
            let error = SystemError("give the container its cgroup", path: unified.path + file, Errno(rawValue: errno))
            guard error.errno == .notPermitted else { throw CgroupError(error) }
            return ["the container cannot make cgroups: \(error)"]
        }
        return []
    }
}

extension RuntimeSpec {
    /// Who gets the container's group: the host's id of its user, if the container sees its groups, and those alone, in a file
    /// system that it may write to (config-linux.md, cgroup ownership).
    var ownerOfCgroup: UInt32? {
        guard let linux, let user = process?.user.uid else { return nil }
        func makes(_ kind: Namespace.Kind) -> Bool { linux.namespaces.contains { $0.kind == kind && $0.path == nil } }
        guard makes(.user), makes(.cgroup) else { return nil }
        let isWritable = mounts.contains { mount in
            let isOfGroups = ["cgroup", "cgroup2"].contains(mount.type ?? mount.source ?? "")
            let isReadOnly = MountOptions(mount.options).attributes.set & MountAttributes.readOnly != 0
            return isOfGroups && mount.destination.cleanPath == "/sys/fs/cgroup" && !isReadOnly
        }
        guard isWritable else { return nil }
        let ids = linux.uidMappings.first { user >= $0.containerID && user - $0.containerID < $0.size }
        return ids.flatMap { UInt32(exactly: UInt64($0.hostID) + UInt64(user - $0.containerID)) }
    }
}
