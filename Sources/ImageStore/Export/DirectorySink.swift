internal import CLinux
internal import Glibc
internal import LinuxSystem

/// Makes files below one directory and nowhere else: every name is a single component of a directory that is open, no
/// link is followed, nothing that exists is written to, and attributes are set on the open file.
struct DirectorySink: ~Copyable {
    /// What could not be kept.
    private(set) var report = ExportReport()
    private let root: OwnedDescriptor
    private let path: String
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)

    private static let beneath = MLR_RESOLVE_BENEATH | MLR_RESOLVE_NO_SYMLINKS | MLR_RESOLVE_NO_XDEV

    init(_ root: consuming OwnedDescriptor, path: String) {
        self.root = root
        self.path = path
    }

    deinit { buffer.deallocate() }

    var rootDescriptor: Int32 { root.rawValue }

    /// A name as the kernel takes it, and how an error calls it.
    struct Name {
        let bytes: [CChar]
        let shown: String

        init(_ bytes: [UInt8], in directory: String) {
            self.bytes = bytes.map { CChar(bitPattern: $0) } + [0]
            shown = "\(directory)/\(PrintableName.make(bytes))"
        }
    }

    // MARK: Making

    /// A directory that only its owner may enter until ``finish(_:_:_:)``.
    func makeDirectory(_ name: Name, in directory: Int32) throws(StoreError) -> OwnedDescriptor {
        try call("create the directory", name) { mkdirat(directory, name.bytes, 0o700) }
        return try open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, in: directory)
    }

    mutating func makeFile(
        _ name: Name, in directory: Int32, _ inode: ErofsReader.Inode, of image: ErofsReader
    ) throws(StoreError) {
        let file = try open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600, in: directory)
        if inode.size > 0 { try call("set the size of", name) { ftruncate(file.rawValue, off_t(inode.size)) } }
        for piece in try image.pieces(of: inode) {
            if let position = piece.position { try copy(piece, from: position, of: image, to: file.rawValue, name) }
        }
        report.files += 1
        report.bytes += inode.size
        try finish(file.rawValue, name, inode, of: image)
    }

    mutating func makeSymbolicLink(
        _ name: Name, in directory: Int32, _ inode: ErofsReader.Inode, of image: ErofsReader
    ) throws(StoreError) {
        let target = try image.target(of: inode).map { CChar(bitPattern: $0) } + [0]
        try call("create the link", name) { symlinkat(target, directory, name.bytes) }
        report.files += 1
        if fchownat(directory, name.bytes, inode.uid, inode.gid, AT_SYMLINK_NOFOLLOW) < 0 {
            try ownerFailed(errno, name)
        }
        let times = Self.times(inode)
        try call("set the time of", name) { utimensat(directory, name.bytes, times, AT_SYMLINK_NOFOLLOW) }
    }

    mutating func makeFIFO(
        _ name: Name, in directory: Int32, _ inode: ErofsReader.Inode, of image: ErofsReader
    ) throws(StoreError) {
        let result = mlr_mknodat(directory, name.bytes, S_IFIFO | 0o600, 0, 0)
        if result < 0 { throw .system(SystemError("create the FIFO", path: name.shown, Errno(rawValue: -result))) }
        // Opened without O_PATH it would wait for a writer; through /proc the very same file is meant.
        let file = try open(name, MLR_O_PATH | O_NOFOLLOW, in: directory)
        let itself = "/proc/self/fd/\(file.rawValue)"
        report.files += 1
        if chown(itself, inode.uid, inode.gid) < 0 { try ownerFailed(errno, name) }
        try call("set the mode of", name) { chmod(itself, mode_t(inode.mode & 0o7777)) }
        let times = Self.times(inode)
        try call("set the time of", name) { utimensat(AT_FDCWD, itself, times, 0) }
    }

    /// A second name for a file that was made before; `first` leads there from the root.
    mutating func link(
        _ name: Name, in directory: Int32, to first: [UInt8], identity: FileIdentity
    ) throws(StoreError) {
        let target = Name(first, in: path)
        let file = try open(target, MLR_O_PATH | O_NOFOLLOW, in: root.rawValue)
        guard try Self.identity(file.rawValue) == identity else {
            throw .system(SystemError("find again", path: target.shown, .noSuchFile))
        }
        try call("create the link", name) {
            linkat(AT_FDCWD, "/proc/self/fd/\(file.rawValue)", directory, name.bytes, AT_SYMLINK_FOLLOW)
        }
    }

    /// Which file a name stands for now.
    func identity(of name: Name, in directory: Int32) throws(StoreError) -> FileIdentity {
        let file = try open(name, MLR_O_PATH | O_NOFOLLOW, in: directory)
        return try Self.identity(file.rawValue)
    }

    private static func identity(_ descriptor: Int32) throws(StoreError) -> FileIdentity {
        do throws(SystemError) {
            let status = try File.status(of: descriptor)
            return FileIdentity(
                inode: status.inode, major: status.device_major, minor: status.device_minor)
        } catch {
            throw .system(error)
        }
    }

    struct FileIdentity: Equatable {
        var inode: UInt64
        var major: UInt32
        var minor: UInt32
    }

    // MARK: Attributes

    /// Owner first, since that clears the set-user-ID bit and capabilities; times last.
    mutating func finish(
        _ descriptor: Int32, _ name: Name, _ inode: ErofsReader.Inode, of image: ErofsReader
    ) throws(StoreError) {
        if fchown(descriptor, inode.uid, inode.gid) < 0 { try ownerFailed(errno, name) }
        try call("set the mode of", name) { fchmod(descriptor, mode_t(inode.mode & 0o7777)) }
        for attribute in try image.attributes(of: inode) {
            // overlayfs's own marks have done their work.
            if attribute.name.starts(with: "trusted.".utf8) { continue }
            let text = attribute.name.map { CChar(bitPattern: $0) } + [0]
            let result = attribute.value.withUnsafeBytes {
                mlr_set_attribute(descriptor, text, $0.baseAddress, $0.count)
            }
            if result < 0 { try attributeFailed(-result, attribute.name, name) }
        }
        let times = Self.times(inode)
        try call("set the time of", name) { futimens(descriptor, times) }
    }

    private mutating func ownerFailed(_ number: Int32, _ name: Name) throws(StoreError) {
        guard [EPERM, EINVAL, EOVERFLOW].contains(number) else {
            throw .system(SystemError("set the owner of", path: name.shown, Errno(rawValue: number)))
        }
        report.ownersNotKept += 1
    }

    private mutating func attributeFailed(_ number: Int32, _ attribute: [UInt8], _ name: Name) throws(StoreError) {
        let text = PrintableName.make(attribute)
        guard [EPERM, EOPNOTSUPP, EINVAL].contains(number) else {
            throw .system(SystemError("set the attribute \(text) of", path: name.shown, Errno(rawValue: number)))
        }
        report.attributesNotKept[text, default: 0] += 1
    }

    private static func times(_ inode: ErofsReader.Inode) -> [timespec] {
        let time = timespec(tv_sec: Int(inode.modified), tv_nsec: Int(inode.nanoseconds))
        return [time, time]
    }

    // MARK: Calls

    private func copy(
        _ piece: ErofsReader.Piece, from position: Int64, of image: ErofsReader, to file: Int32, _ name: Name
    ) throws(StoreError) {
        var done: Int64 = 0
        while done < piece.count {
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<Int(min(piece.count - done, 1 << 20))])
            try image.fill(part, from: position + done)
            var written = 0
            while written < part.count {
                let start = written
                let offset = piece.offset + done + Int64(start)
                let result = retrying { () -> Int in
                    let result = pwrite(file, part.baseAddress! + start, part.count - start, off_t(offset))
                    return result < 0 ? -Int(errno) : result
                }
                if result < 0 {
                    let error = SystemError("write", path: name.shown, Errno(rawValue: Int32(-result)))
                    throw .full(error, directory: path, needed: piece.count - done)
                }
                written += result
            }
            done += Int64(part.count)
        }
    }

    private func open(
        _ name: Name, _ flags: Int32, mode: UInt32 = 0, in directory: Int32
    ) throws(StoreError) -> OwnedDescriptor {
        let result = retrying {
            mlr_openat2(
                directory, name.bytes, UInt64(UInt32(bitPattern: flags)), UInt64(mode), UInt64(Self.beneath))
        }
        if result < 0 {
            let error = SystemError(
                flags & O_CREAT != 0 ? "create" : "open", path: name.shown, Errno(rawValue: -result))
            throw .full(error, directory: path, needed: 0)
        }
        return OwnedDescriptor(taking: result)
    }

    private func call(_ operation: String, _ name: Name, _ body: () -> Int32) throws(StoreError) {
        if body() < 0 {
            throw .full(
                SystemError(operation, path: name.shown, Errno(rawValue: errno)), directory: path, needed: 0)
        }
    }
}

/// What an export made, and what it could not keep.
public struct ExportReport: Sendable, Equatable {
    /// Files, links and FIFOs.
    public var files = 0
    /// Bytes of the content of files, holes included.
    public var bytes: Int64 = 0
    /// Files that belong to whoever exported them, since only root may give files away.
    public var ownersNotKept = 0
    /// Extended attributes that could not be set, with the number of files.
    public var attributesNotKept: [String: Int] = [:]
}
