internal import Glibc
internal import LinuxSystem
internal import OCISpec

/// The members of a tar archive that can be read at any offset.
struct ArchiveFiles: ImageFiles {
    enum Member {
        case content(offset: Int64, size: Int64)
        /// A symbolic or hard link, to a name in the archive.
        case link(String)
        /// A blob that went into the store while the archive was still being read.
        case stored(Digest, size: Int64)
        /// One that was tried and is no layer: an error only if the image needs it.
        case refused(StoreError)
    }

    let source: String
    let file: SharedDescriptor
    var members: [String: Member] = [:]

    static var limits: ArchiveLimits {
        var limits = ArchiveLimits()
        // A layout has a few members a layer; the names are kept in memory.
        limits.entries = 100_000
        return limits
    }

    init(source: String, spool file: SharedDescriptor) {
        self.source = source
        self.file = file
    }

    /// Reads the table of contents of an archive that begins at `start` of a regular file.
    init(indexing file: SharedDescriptor, from start: Int64, source: String) throws(StoreError) {
        self.init(source: source, spool: file)
        if lseek(file.rawValue, off_t(start), SEEK_SET) < 0 {
            throw .system(SystemError("read", path: source, Errno(rawValue: errno)))
        }
        let reader = TarReader(descriptor: file.rawValue, source: source, limits: Self.limits)
        while let entry = try reader.next() {
            if let member = try Self.member(entry, at: start + entry.dataOffset, source: source) {
                members[Self.clean(entry.name)] = member
            }
        }
    }

    /// What an entry is to an importer; nil for directories.
    static func member(_ entry: TarEntry, at offset: Int64, source: String) throws(StoreError) -> Member? {
        switch entry.kind {
        case .file where entry.isSparse:
            throw .image(.notAnImageSource(source: source, reason: "\(entry.name) is stored as a sparse file"))
        case .file: return .content(offset: offset, size: entry.size)
        case .hardLink: return .link(clean(entry.linkName))
        case .symbolicLink:
            let directory = clean(entry.name).split(separator: "/").dropLast()
            return .link(clean((directory + [Substring(entry.linkName)]).joined(separator: "/")))
        case .directory: return nil
        case .characterDevice, .blockDevice, .fifo:
            throw .image(.notAnImageSource(source: source, reason: "\(entry.name) is a device or FIFO"))
        }
    }

    /// A name without `.`, with `..` resolved: names are keys here, never paths.
    static func clean(_ name: String) -> String {
        var parts: [Substring] = []
        for part in name.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        return parts.joined(separator: "/")
    }

    func file(_ name: String) throws(StoreError) -> Extent? {
        var name = Self.clean(name)
        for _ in 0..<16 {
            switch members[name] {
            case .content(let offset, let size):
                return Extent(file: file, offset: offset, size: size, name: "\(name) of \(source)")
            case .link(let target): name = target
            case .refused(let error): throw error
            case .stored, nil: return nil
            }
        }
        throw .image(.notAnImageSource(source: source, reason: "\(name) is a link that leads to itself"))
    }

    func storedLayer(_ name: String) -> (digest: Digest, size: Int64)? {
        guard case .stored(let digest, let size) = members[Self.clean(name)] else { return nil }
        return (digest, size)
    }
}
