public import CLinux
public import Glibc

/// Small functions over open files and paths. Each does one thing, and names the path when it fails.
public enum File {
    /// openat(2) with O_CLOEXEC. `directory` defaults to the working directory.
    public static func open(
        _ path: String, _ flags: Int32, mode: UInt32 = 0, in directory: Int32 = AT_FDCWD
    ) throws(SystemError) -> OwnedDescriptor {
        let result = retrying { mlr_open(directory, path, flags, mode) }
        return OwnedDescriptor(taking: try check(result, "open", path: path))
    }

    /// openat2(2): resolves `path` below `root` under the given RESOLVE_ flags.
    public static func open(
        _ path: String, _ flags: Int32, mode: UInt32 = 0, in root: Int32, resolve: Int
    ) throws(SystemError) -> OwnedDescriptor {
        let flagBits = UInt64(UInt32(bitPattern: flags))
        let result = retrying { mlr_openat2(root, path, flagBits, UInt64(mode), UInt64(resolve)) }
        return OwnedDescriptor(taking: try check(result, "open", path: path))
    }

    /// Reads from the current offset to the end, at most `limit` bytes; a longer file is EFBIG. One of fewer than `expecting`
    /// bytes takes two calls.
    public static func readAll(
        _ descriptor: Int32, limit: Int = 64 << 20, path: String? = nil, expecting: Int = 4096
    ) throws(SystemError) -> [UInt8] {
        var content: [UInt8] = []
        var room = expecting
        while true {
            let start = content.count
            content.append(contentsOf: [UInt8](repeating: 0, count: room))
            let got = retrying {
                content.withUnsafeMutableBytes { bytes -> Int in
                    let got = Glibc.read(descriptor, bytes.baseAddress! + start, room)
                    return got < 0 ? -Int(errno) : got
                }
            }
            if got < 0 { throw SystemError("read", path: path, Errno(rawValue: Int32(-got))) }
            content.removeLast(room - got)
            if got == 0 { return content }
            if content.count > limit { throw SystemError("read", path: path, Errno(rawValue: EFBIG)) }
            room = min(max(room, content.count), 1 << 20)
        }
    }

    /// Fills a buffer with what stands at an offset, however many calls it takes; a file that ends before is EIO.
    public static func readAll(
        into buffer: UnsafeMutableRawBufferPointer, from descriptor: Int32, at offset: Int64, path: String? = nil
    ) throws(SystemError) {
        var done = 0
        while done < buffer.count {
            let got = retrying { () -> Int in
                let got = pread(
                    descriptor, buffer.baseAddress! + done, buffer.count - done, off_t(offset) + off_t(done))
                return got < 0 ? -Int(errno) : got
            }
            if got < 0 { throw SystemError("read", path: path, Errno(rawValue: Int32(-got))) }
            if got == 0 { throw SystemError("read", path: path, .inputOutput) }
            done += got
        }
    }

    /// The whole content of a file.
    public static func read(
        _ path: String, in directory: Int32 = AT_FDCWD, limit: Int = 64 << 20
    ) throws(SystemError) -> [UInt8] {
        let file = try open(path, O_RDONLY, in: directory)
        return try readAll(file.rawValue, limit: limit, path: path, expecting: 16 << 10)
    }

    /// The whole content of a text file, invalid UTF-8 repaired.
    public static func readText(_ path: String, in directory: Int32 = AT_FDCWD) throws(SystemError) -> String {
        String(decoding: try read(path, in: directory), as: UTF8.self)
    }

    /// A value of procfs, sysfs or cgroupfs. The kernel gives all of a short one to one read(2), since it ends early only before
    /// a line that would not fit.
    public static func readValue(_ path: String, in directory: Int32 = AT_FDCWD) throws(SystemError) -> String {
        let file = try open(path, O_RDONLY, in: directory)
        let number = file.rawValue
        var start = [UInt8](repeating: 0, count: 4096)
        let got = retrying { () -> Int in
            let got = start.withUnsafeMutableBytes { Glibc.read(number, $0.baseAddress!, $0.count) }
            return got < 0 ? -Int(errno) : got
        }
        if got < 0 { throw SystemError("read", path: path, Errno(rawValue: Int32(-got))) }
        let rest = got < 2048 ? [] : try readAll(number, path: path)
        return String(decoding: start[..<got] + rest, as: UTF8.self)
    }

    /// Writes everything, however many calls it takes.
    public static func writeAll(
        _ bytes: UnsafeRawBufferPointer, to descriptor: Int32, path: String? = nil
    ) throws(SystemError) {
        var done = 0
        while done < bytes.count {
            let written = retrying { () -> Int in
                let written = Glibc.write(descriptor, bytes.baseAddress! + done, bytes.count - done)
                return written < 0 ? -Int(errno) : written
            }
            if written < 0 { throw SystemError("write", path: path, Errno(rawValue: Int32(-written))) }
            done += written
        }
    }

    /// Writes all bytes, however many calls that takes.
    public static func writeAll(_ bytes: [UInt8], to descriptor: Int32, path: String? = nil) throws(SystemError) {
        var failure: SystemError?
        bytes.withUnsafeBytes { buffer in
            do throws(SystemError) { try writeAll(buffer, to: descriptor, path: path) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    /// Writes an existing file in one write(2), as the files of cgroupfs and procfs want it.
    public static func put(_ text: String, into path: String, in directory: Int32 = AT_FDCWD) throws(SystemError) {
        let file = try open(path, O_WRONLY, in: directory)
        try writeAll(Array(text.utf8), to: file.rawValue, path: path)
    }

    /// Writes a file that is not there yet. Until this returns it may be there in part: for what nobody looks at before.
    public static func create(_ path: String, with bytes: [UInt8], mode: UInt32 = 0o600) throws(SystemError) {
        let file = try open(path, O_WRONLY | O_CREAT | O_EXCL, mode: mode)
        try writeAll(bytes, to: file.rawValue, path: path)
    }

    /// Replaces `path` by a file with this content so that after a power cut either the old or the new one is there:
    /// temporary file, fsync(2), rename(2), fsync(2) of the directory. `durable: false` leaves both syncs out.
    public static func replace(
        _ path: String, with bytes: [UInt8], mode: UInt32 = 0o600, durable: Bool = true
    ) throws(SystemError) {
        let temporary = "\(path).\(randomName()).tmp"
        do throws(SystemError) {
            let file = try open(temporary, O_WRONLY | O_CREAT | O_EXCL, mode: mode)
            try writeAll(bytes, to: file.rawValue, path: temporary)
            if durable { try sync(file.rawValue, path: temporary) }
            try rename(temporary, to: path)
        } catch {
            _ = unlink(temporary)
            throw error
        }
        if durable { try syncDirectory(parent(of: path)) }
    }

    /// Makes the content of an open file durable (fsync(2)).
    public static func sync(_ descriptor: Int32, path: String? = nil) throws(SystemError) {
        if fsync(descriptor) < 0 { throw SystemError("flush", path: path, Errno(rawValue: errno)) }
    }

    /// Makes the names in a directory durable.
    public static func syncDirectory(_ path: String) throws(SystemError) {
        let directory = try open(path, O_RDONLY | O_DIRECTORY)
        try sync(directory.rawValue, path: path)
    }

    /// rename(2), or renameat2(2) with RENAME_NOREPLACE.
    public static func rename(_ old: String, to new: String, replacing: Bool = true) throws(SystemError) {
        let flags = replacing ? 0 : UInt32(MLR_RENAME_NOREPLACE)
        try check(mlr_renameat2(AT_FDCWD, old, AT_FDCWD, new, flags), "rename \(old) to", path: new)
    }

    /// Removes a file; one that is not there is no error.
    public static func removeIfPresent(_ path: String, in directory: Int32 = AT_FDCWD) throws(SystemError) {
        if unlinkat(directory, path, 0) < 0, errno != ENOENT {
            throw SystemError("remove", path: path, Errno(rawValue: errno))
        }
    }

    /// Creates a directory and its missing parents; one that is there is no error.
    public static func makeDirectories(_ path: String, mode: UInt32 = 0o755) throws(SystemError) {
        if mkdir(path, mode) == 0 { return }
        switch errno {
        case EEXIST: return
        case ENOENT where path.utf8.contains(UInt8(ascii: "/")):
            try makeDirectories(parent(of: path), mode: mode)
            if mkdir(path, mode) < 0, errno != EEXIST {
                throw SystemError("create the directory", path: path, Errno(rawValue: errno))
            }
        default: throw SystemError("create the directory", path: path, Errno(rawValue: errno))
        }
    }

    /// The names in an open directory without `.` and `..`, in no order.
    public static func list(_ directory: Int32, path: String? = nil) throws(SystemError) -> [String] {
        let copy = try check(mlr_open(directory, ".", O_RDONLY | O_DIRECTORY, 0), "read the directory", path: path)
        guard let stream = fdopendir(copy) else {
            _ = close(copy)
            throw SystemError("read the directory", path: path, Errno(rawValue: errno))
        }
        defer { closedir(stream) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                if errno != 0 { throw SystemError("read the directory", path: path, Errno(rawValue: errno)) }
                return names
            }
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
    }

    /// The names in a directory.
    public static func list(_ path: String) throws(SystemError) -> [String] {
        let directory = try open(path, O_RDONLY | O_DIRECTORY)
        return try list(directory.rawValue, path: path)
    }

    /// Whether something is there that can be seen; a link counts only if it leads somewhere.
    public static func exists(_ path: String, in directory: Int32 = AT_FDCWD) -> Bool {
        faccessat(directory, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0
    }

    /// Whether a file of this name is there, a link for itself. Unlike with ``exists(_:in:)``, not being able to tell is an error.
    public static func isThere(_ path: String, in directory: Int32 = AT_FDCWD) throws(SystemError) -> Bool {
        if faccessat(directory, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0 { return true }
        if errno == ENOENT || errno == ENOTDIR { return false }
        throw SystemError("look for", path: path, Errno(rawValue: errno))
    }

    /// statx(2) of a path, following a final symbolic link unless told otherwise.
    public static func status(
        _ path: String, in directory: Int32 = AT_FDCWD, followingLinks: Bool = true
    ) throws(SystemError) -> mlr_status {
        var status = mlr_status()
        let flags = followingLinks ? 0 : Int32(MLR_AT_SYMLINK_NOFOLLOW)
        try check(mlr_statx(directory, path, flags, &status), "look up", path: path)
        return status
    }

    /// statx(2) of an open file.
    public static func status(of descriptor: Int32) throws(SystemError) -> mlr_status {
        var status = mlr_status()
        try check(mlr_statx(descriptor, "", Int32(MLR_AT_EMPTY_PATH), &status), "look up an open file")
        return status
    }

    /// readlink(2).
    public static func readLink(_ path: String, in directory: Int32 = AT_FDCWD) throws(SystemError) -> String {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let got = buffer.withUnsafeMutableBytes {
            readlinkat(directory, path, $0.bindMemory(to: CChar.self).baseAddress!, $0.count)
        }
        if got < 0 { throw SystemError("read the link", path: path, Errno(rawValue: errno)) }
        return String(decoding: buffer[..<got], as: UTF8.self)
    }

    /// Everything before the last slash; `.` for a bare name, `/` at the root.
    public static func parent(of path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// Sixteen hexadecimal digits from the kernel's random source.
    public static func randomName() -> String {
        var number: UInt64 = 0
        _ = withUnsafeMutableBytes(of: &number) { mlr_getrandom($0.baseAddress, $0.count) }
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }
}

/// An advisory flock(2) on a file, freed when the value goes or its process dies.
public struct FileLock: ~Copyable, Sendable {
    private let descriptor: OwnedDescriptor

    /// Waits for the lock; the file is created when it is not there.
    public init(_ path: String, exclusive: Bool) throws(SystemError) {
        let opened = try File.open(path, O_RDWR | O_CREAT, mode: 0o600)
        let raw = opened.rawValue
        let result = retrying { flock(raw, exclusive ? LOCK_EX : LOCK_SH) < 0 ? -errno : 0 }
        try check(result, "lock", path: path)
        descriptor = opened
    }

    /// Waits for the exclusive lock on a directory, which is there; no file is left in it.
    public init(directory path: String) throws(SystemError) {
        let opened = try File.open(path, O_RDONLY | O_DIRECTORY)
        let raw = opened.rawValue
        try check(retrying { flock(raw, LOCK_EX) < 0 ? -errno : 0 }, "lock", path: path)
        descriptor = opened
    }

    /// Takes the lock only if it is free.
    public init?(trying path: String, exclusive: Bool) throws(SystemError) {
        let opened = try File.open(path, O_RDWR | O_CREAT, mode: 0o600)
        let raw = opened.rawValue
        let result = retrying { flock(raw, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) < 0 ? -errno : 0 }
        if result == -EWOULDBLOCK { return nil }
        try check(result, "lock", path: path)
        descriptor = opened
    }
}
