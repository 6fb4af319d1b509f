internal import CLinux
public import Glibc

extension File {
    /// Removes a directory with all it holds, following no symbolic link; one that is not there is no error.
    ///
    /// What a container wrote may be nested as deep and named with whatever bytes it liked: the depth costs neither stack
    /// nor descriptors, since directories far down are first moved up, and no name is ever decoded.
    public static func removeTree(_ path: String, in directory: Int32 = AT_FDCWD) throws(SystemError) {
        let top: DirectoryStream
        do throws(SystemError) {
            guard let stream = try DirectoryStream(path, in: directory, path: path) else { return }
            top = stream
        } catch {
            // A link, a file, or a directory that may not be read but removed; of several reasons the first tells more.
            if unlinkat(directory, path, 0) == 0 || errno == ENOENT { return }
            if errno != EISDIR && errno != EPERM { throw SystemError("remove", path: path, Errno(rawValue: errno)) }
            throw error
        }
        var removal = TreeRemoval(top: top.descriptor, path: path)
        repeat {
            removal.hasMovedUp = false
            try removal.empty(top, depth: 0)
        } while removal.hasMovedUp
        if unlinkat(directory, path, AT_REMOVEDIR) < 0, errno != ENOENT {
            throw SystemError("remove the directory", path: path, Errno(rawValue: errno))
        }
    }
}

/// One removal at work.
private struct TreeRemoval {
    /// Directories deeper than this are moved to the top before they are emptied.
    private static let deepest = 64
    /// A directory may show entries late that were there while others were removed.
    private static let passes = 4

    let top: Int32
    let path: String
    var hasMovedUp = false

    init(top: Int32, path: String) {
        self.top = top
        self.path = path
    }

    mutating func empty(_ directory: DirectoryStream, depth: Int) throws(SystemError) {
        directory.rewind()
        while let name = try directory.next(path: path) {
            if unlinkat(directory.descriptor, name, 0) == 0 || errno == ENOENT { continue }
            guard errno == EISDIR || errno == EPERM else { throw failure("remove", name) }
            try removeDirectory(name, in: directory.descriptor, depth: depth)
        }
    }

    private mutating func removeDirectory(
        _ name: UnsafePointer<CChar>, in parent: Int32, depth: Int
    ) throws(SystemError) {
        for _ in 0..<Self.passes {
            if unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT { return }
            guard errno == ENOTEMPTY || errno == EEXIST else { throw failure("remove the directory", name) }
            if depth >= Self.deepest {
                if renameat(parent, name, top, ".\(File.randomName())") < 0 { throw failure("move up", name) }
                hasMovedUp = true
                return
            }
            guard let inner = try DirectoryStream(name, in: parent, path: path) else { return }
            try empty(inner, depth: depth + 1)
        }
        if unlinkat(parent, name, AT_REMOVEDIR) < 0, errno != ENOENT { throw failure("remove the directory", name) }
    }

    private func failure(_ operation: String, _ name: UnsafePointer<CChar>) -> SystemError {
        let number = errno
        return SystemError(operation, path: "\(path)/…/\(String(cString: name))", Errno(rawValue: number))
    }
}

/// An open directory whose entries are read as the bytes they are.
final class DirectoryStream {
    let descriptor: Int32
    private static let room = 32 << 10
    private let entries: UnsafeMutableRawPointer
    private var position = 0, end = 0
    private var isAtStart = true

    /// Nil where there is nothing of that name.
    init?(_ name: UnsafePointer<CChar>, in directory: Int32, path: String) throws(SystemError) {
        let opened = mlr_open(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0)
        if opened == -ENOENT { return nil }
        descriptor = try check(opened, "open the directory", path: path)
        entries = .allocate(byteCount: Self.room, alignment: 8)
    }

    deinit {
        close(descriptor)
        entries.deallocate()
    }

    func rewind() {
        if !isAtStart { lseek(descriptor, 0, SEEK_SET) }
        (position, end, isAtStart) = (0, 0, true)
    }

    /// The next name; valid until the next call.
    func next(path: String) throws(SystemError) -> UnsafePointer<CChar>? {
        while true {
            if position == end {
                isAtStart = false
                let got = mlr_getdents(descriptor, entries, Self.room)
                // That it was removed meanwhile is its end too.
                if got == 0 || got == -Int64(ENOENT) { return nil }
                end = Int(try check(got, "read the directory", path: path))
                position = 0
            }
            // getdents64(2): the inode, an offset, the length of the entry, its type and its name.
            let entry = entries + position
            position += Int(entry.load(fromByteOffset: 16, as: UInt16.self))
            let name = UnsafePointer((entry + 19).assumingMemoryBound(to: CChar.self))
            if strcmp(name, ".") != 0, strcmp(name, "..") != 0 { return name }
        }
    }
}
