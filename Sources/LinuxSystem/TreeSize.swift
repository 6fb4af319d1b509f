internal import CLinux
internal import Glibc

extension File {
    /// Bytes that a file, or a directory with all it holds, takes on the disk. What has several names counts once, other
    /// file systems mounted below do not count, and what vanishes meanwhile is no error.
    ///
    /// A container may have nested directories as deep as it liked: what lies deeper than 256 does not count.
    public static func diskUsage(of path: String) throws(SystemError) -> Int64 {
        var size = TreeSize(path: path)
        try size.add(path, in: AT_FDCWD, depth: 0)
        return size.bytes
    }
}

/// One measurement at work.
private struct TreeSize {
    private static let deepest = 256

    private struct Identity: Hashable {
        let device: UInt64
        let inode: UInt64
    }

    let path: String
    private(set) var bytes: Int64 = 0
    private var device: UInt64?
    private var counted: Set<Identity> = []

    init(path: String) { self.path = path }

    mutating func add(_ name: UnsafePointer<CChar>, in directory: Int32, depth: Int) throws(SystemError) {
        var status = mlr_status()
        let result = mlr_statx(directory, name, Int32(MLR_AT_SYMLINK_NOFOLLOW), &status)
        if result == -ENOENT { return }
        try check(result, "look up", path: path)
        let device = UInt64(status.device_major) << 32 | UInt64(status.device_minor)
        if self.device == nil { self.device = device }
        guard self.device == device else { return }
        let isDirectory = status.mode & UInt32(S_IFMT) == UInt32(S_IFDIR)
        if !isDirectory, status.links > 1,
            !counted.insert(Identity(device: device, inode: status.inode)).inserted
        {
            return
        }
        bytes += Int64(status.blocks) * 512
        guard isDirectory, depth < Self.deepest else { return }
        guard let stream = try DirectoryStream(name, in: directory, path: path) else { return }
        while let entry = try stream.next(path: path) { try add(entry, in: stream.descriptor, depth: depth + 1) }
    }
}
