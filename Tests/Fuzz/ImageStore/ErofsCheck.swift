import CLinux
import Glibc
import LinuxSystem

/// Holds a finished image against the two that know the format: `fsck.erofs`, which reads every byte of it, and the
/// kernel. Where there is no such program, or no right to mount, that part is passed over.
enum ErofsCheck {
    static func run(_ path: String) throws(FuzzFinding) {
        if let complaint = fsck(path) { throw FuzzFinding(description: "fsck.erofs: \(complaint)") }
        if geteuid() == 0, let complaint = mountAndRead(path) {
            throw FuzzFinding(description: "the kernel: \(complaint)")
        }
    }

    private static let places: [String] = ["/usr/bin/fsck.erofs", "/sbin/fsck.erofs"]
    private static let program = places.first { File.exists($0) }

    private static func fsck(_ path: String) -> String? {
        guard let program, let output = popen("\(program) --extract \(path) 2>&1", "r") else { return nil }
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while case let got = fread(&buffer, 1, buffer.count, output), got > 0 { text += buffer[..<got] }
        return pclose(output) == 0 ? nil : String(decoding: text.suffix(500), as: UTF8.self)
    }

    private static func mountAndRead(_ path: String) -> String? {
        let context = mlr_fsopen("erofs")
        if context < 0 { return nil }
        defer { close(context) }
        guard mlr_fsconfig(context, UInt32(MLR_FSCONFIG_SET_STRING), "source", path, 0) >= 0 else { return nil }
        let created = mlr_fsconfig(context, UInt32(MLR_FSCONFIG_CMD_CREATE), nil, nil, 0)
        // Without file-backed mounts (Linux 6.12), or the right to mount, there is nothing to learn.
        if created == -ENOTBLK || created == -EPERM { return nil }
        if created < 0 { return "does not mount it: \(Errno(rawValue: -created))" }
        let mount = mlr_fsmount(context, 0)
        if mount < 0 { return "does not mount it: \(Errno(rawValue: -mount))" }
        defer { close(mount) }
        return readAll(mount)
    }

    private static func cannot(_ what: String) -> String { "cannot \(what): \(Errno(rawValue: errno))" }

    /// Reads every directory, link and file once; what went wrong.
    private static func readAll(_ directory: Int32) -> String? {
        let copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard copy >= 0, let stream = fdopendir(copy) else { return cannot("open a directory") }
        defer { closedir(stream) }
        errno = 0
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) {
                    Array(UnsafeBufferPointer(start: $0, count: 256))
                }
            }
            let type = entry.pointee.d_type
            if name[0] == 0x2E, name[1] == 0 || (name[1] == 0x2E && name[2] == 0) { continue }
            if let complaint = readOne(name, UInt32(type), in: directory) { return complaint }
            errno = 0
        }
        return errno == 0 ? nil : cannot("list a directory")
    }

    private static func readOne(_ name: [CChar], _ type: UInt32, in directory: Int32) -> String? {
        var status = stat()
        if fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) < 0 { return cannot("stat") }
        switch status.st_mode & S_IFMT {
        case S_IFDIR:
            let inner = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            if inner < 0 { return cannot("open a directory") }
            defer { close(inner) }
            return readAll(inner)
        case S_IFLNK:
            var target = [CChar](repeating: 0, count: 4096)
            let got = readlinkat(directory, name, &target, target.count)
            return got == Int(status.st_size) ? nil : "reads \(got) of \(status.st_size) bytes of a link"
        case S_IFREG:
            // Files of holes only can be huge.
            if status.st_size > 64 << 20 { return nil }
            let file = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
            if file < 0 { return cannot("open a file") }
            defer { close(file) }
            var total = 0
            var buffer = [UInt8](repeating: 0, count: 64 << 10)
            while case let got = read(file, &buffer, buffer.count), got != 0 {
                if got < 0 { return cannot("read a file") }
                total += got
            }
            return total == Int(status.st_size) ? nil : "reads \(total) of \(status.st_size) bytes of a file"
        default: return nil
        }
    }
}
