internal import CLaunch
internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import OCISpec

/// A mount namespace with next to nothing in it, kept for the containers of a host that has many mounts.
///
/// Every new mount namespace begins as a copy of another (mount_namespaces(7)), which takes the longer the more mounts that
/// one has, and as long again when they are thrown away. A container whose root and bind mounts are opened beforehand
/// needs nothing of the host's: it begins with a copy of this one. The namespace is kept by a bind mount of its file, on a
/// private mount, where the kernel takes no other.
public struct PreparedMounts: Sendable {
    /// A directory that only root can enter, made when it is needed.
    public var directory: String
    /// From how many mounts of the caller's namespace on it is worth two more.
    public var worthwhile = 256

    /// Where all of mlrun's programs keep it.
    public static let standard = PreparedMounts(directory: "/run/mlrun-mounts")

    public init(directory: String) { self.directory = directory }

    /// The namespace where it is of use: kept, or made now. Nil where it cannot be had, since every container can do without.
    func namespace() -> SharedDescriptor? {
        guard isOfUse else { return nil }
        do throws(SystemError) {
            if let kept = try kept() { return SharedDescriptor(kept) }
            let refusal = "\(directory)/refused-\(try File.status("/proc/self/ns/mnt").inode)"
            if File.exists(refusal) { return nil }
            try File.makeDirectories(directory, mode: 0o700)
            let lock = try FileLock("\(directory)/lock", exclusive: true)
            defer { withExtendedLifetime(lock) {} }
            if let kept = try kept() { return SharedDescriptor(kept) }
            let made = OwnedDescriptor(
                taking: try check(mlr_make_mount_namespace(), "make a mount namespace with nothing in it"))
            if try !keep(made.rawValue) {
                // The kernel takes a namespace only in older ones, and tells their age by numbers that each processor gives out
                // for itself: in others than the first it may be mistaken. Who asks again there would ask in vain each time.
                _ = try File.open(refusal, O_RDONLY | O_CREAT | O_NOFOLLOW, mode: 0o400)
            }
            return SharedDescriptor(made)
        } catch { return nil }
    }

    /// In other user namespaces than the first, new mounts of proc and sysfs depend on what is mounted already.
    private var isOfUse: Bool {
        guard let user = try? File.status("/proc/self/ns/user"), user.inode == 0xEFFF_FFFD else { return false }
        return mlr_count_mounts(Int32(worthwhile)) >= Int32(worthwhile)
    }

    /// Named by what is in it: another version of this program may want something else.
    private var file: String { "\(directory)/null" }

    /// Copies of the host's mount namespace do not have it: there the file is an empty one.
    private func kept() throws(SystemError) -> OwnedDescriptor? {
        guard isOwn, File.exists(file) else { return nil }
        let opened = try File.open(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        if mlr_namespace_kind(opened.rawValue) == Int32(MLR_CLONE_NEWNS) { return opened }
        return nil
    }

    /// False where the kernel does not take it.
    private func keep(_ namespace: Int32) throws(SystemError) -> Bool {
        guard isOwn else { throw SystemError("keep a namespace in", path: directory, .notPermitted) }
        if try bind(namespace) { return true }
        // It is below a mount that others would receive it from.
        try check(mlr_mount(directory, directory, nil, UInt(MLR_MS_BIND), nil), "bind to itself", path: directory)
        do throws(SystemError) {
            try check(mlr_mount(nil, directory, nil, UInt(MLR_MS_PRIVATE), nil), "make private", path: directory)
            if try bind(namespace) { return true }
        } catch {
            _ = mlr_umount(directory, Int32(MLR_MNT_DETACH))
            throw error
        }
        _ = mlr_umount(directory, Int32(MLR_MNT_DETACH))
        return false
    }

    /// Nobody but this user can have put anything into the directory.
    private var isOwn: Bool {
        guard let status = try? File.status(directory, followingLinks: false) else { return false }
        return status.mode & S_IFMT == S_IFDIR && status.mode & 0o7777 == 0o700 && status.uid == geteuid()
    }

    /// False where the kernel takes no file of a mount namespace.
    private func bind(_ namespace: Int32) throws(SystemError) -> Bool {
        _ = try File.open(file, O_RDONLY | O_CREAT | O_NOFOLLOW, mode: 0o400)
        let result = mlr_mount("/proc/self/fd/\(namespace)", file, nil, UInt(MLR_MS_BIND), nil)
        if result == -EINVAL { return false }
        try check(result, "bind a namespace to", path: file)
        return true
    }
}

extension LaunchPlan {
    /// Whether nothing but the plan's own sources, which are opened beforehand, is wanted of the host's mounts.
    var canBeginWithoutHostMounts: Bool {
        guard created.contains(.mount), !joined.contains(where: { $0.kind == .user }) else { return false }
        return steps.allSatisfy { step in
            switch step {
            // Its hooks see the host's files.
            case .hooks: false
            case .enterRoot(let pivots): pivots
            case .mount(let mount): Self.sourceless.contains(mount.type)
            default: true
            }
        }
    }

    /// Others may look up their source, or paths among their options, when they are mounted.
    private static let sourceless: Set = [
        "proc", "sysfs", "tmpfs", "ramfs", "devpts", "mqueue", "cgroup", "cgroup2", "hugetlbfs", "bpf",
    ]
}
