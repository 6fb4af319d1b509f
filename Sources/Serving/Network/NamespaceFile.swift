internal import CLinux
internal import Glibc
internal import LinuxSystem

/// A network namespace as a file of the host: a bind mount that keeps it alive when its last process has ended.
struct NamespaceFile: Sendable {
    /// NSFS_MAGIC of linux/magic.h.
    private static let namespaceFileSystem: Int64 = 0x6E73_6673

    let path: String

    /// Whether the file is a namespace, and not what is left when the mount is gone.
    var isNamespace: Bool {
        guard let file = try? File.open(path, O_RDONLY | O_NOFOLLOW) else { return false }
        return mlr_fstatfs_type(file.rawValue) == Self.namespaceFileSystem
    }

    /// Makes the file the network namespace of a process.
    func attach(_ process: Int32) throws(SystemError) {
        try remove()
        try File.makeDirectories(File.parent(of: path), mode: 0o711)
        _ = try File.open(path, O_RDONLY | O_CREAT | O_EXCL, mode: 0o400)
        try check(
            mlr_mount("/proc/\(process)/ns/net", path, nil, UInt(MLR_MS_BIND), nil), "mount a network namespace on",
            path: path)
    }

    /// Lets go of the namespace; one that is not there is no error.
    func remove() throws(SystemError) {
        let result = mlr_umount(path, Int32(MLR_MNT_DETACH))
        // EINVAL: the file is there and no mount.
        if result < 0, result != -EINVAL, result != -ENOENT { try check(result, "unmount", path: path) }
        try File.removeIfPresent(path)
    }
}
