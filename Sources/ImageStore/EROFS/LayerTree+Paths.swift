internal import Glibc

extension LayerTree {
    /// Where an archive's name leads.
    enum Place {
        case root
        /// The last component of the name, in this directory.
        case name(UnsafeRawBufferPointer, in: UInt32)
        /// Below a directory of AUFS's own bookkeeping, which no layer may bring.
        case ignored
    }

    /// What to do where a parent of a name is missing.
    enum MissingParents { case make, refuse }

    static let whiteoutPrefix: StaticString = ".wh."
    static let opaqueMarker: StaticString = ".wh..wh..opq"
    static let bookkeepingPrefix: StaticString = ".wh..wh."

    /// Follows a name of the archive from the root; its parents are made as Docker makes them, 0755 and owned by root.
    /// Leading slashes and `.` are dropped. Symbolic links of this layer are followed inside this layer.
    mutating func place(
        of path: UnsafeRawBufferPointer, missingParents: MissingParents
    ) throws(ArchiveError.Problem) -> Place {
        guard !path.isEmpty else { throw .emptyName }
        guard path.count <= ArchiveLimits.path else { throw .pathTooLong(limit: ArchiveLimits.path) }
        var directory = Self.root
        var depth = 0
        var budget = ArchiveLimits.symbolicLinks
        var last: UnsafeRawBufferPointer?
        var rest = path
        while let component = try Self.nextComponent(&rest) {
            depth += 1
            guard depth <= ArchiveLimits.depth else { throw .pathTooDeep(limit: ArchiveLimits.depth) }
            if let parent = last {
                if parent.hasPrefix(Self.bookkeepingPrefix) { return .ignored }
                if parent.hasPrefix(Self.whiteoutPrefix) { throw .badWhiteout }
                directory = try enter(parent, in: directory, missingParents, &budget)
            }
            last = component
        }
        return last.map { .name($0, in: directory) } ?? .root
    }

    /// The next component that is not empty or `.`.
    private static func nextComponent(
        _ rest: inout UnsafeRawBufferPointer
    ) throws(ArchiveError.Problem) -> UnsafeRawBufferPointer? {
        while let start = rest.baseAddress, !rest.isEmpty {
            let slash = memchr(start, 0x2F, rest.count)
            let length = slash.map { UnsafeRawPointer($0) - start } ?? rest.count
            let component = UnsafeRawBufferPointer(start: start, count: length)
            rest = UnsafeRawBufferPointer(rebasing: rest[min(length + 1, rest.count)...])
            if length == 0 || (length == 1 && component[0] == 0x2E) { continue }
            if length == 2, component[0] == 0x2E, component[1] == 0x2E { throw .parentDirectory }
            guard length <= ArchiveLimits.name else { throw .nameTooLong(limit: ArchiveLimits.name) }
            return component
        }
        return nil
    }

    /// The directory that a parent component leads to.
    private mutating func enter(
        _ name: UnsafeRawBufferPointer, in directory: UInt32, _ missing: MissingParents, _ budget: inout Int
    ) throws(ArchiveError.Problem) -> UInt32 {
        if let entry = find(name, in: directory) {
            let inode = entries[Int(entry)].inode
            switch inodes[Int(inode)].type {
            case .directory: return inode
            case .symbolicLink:
                guard let target = try follow(inode, from: directory, &budget) else {
                    throw .parentNotDirectory(PrintableName.make(name))
                }
                return target
            case .characterDevice where missing == .make:
                return try place(implicitDirectory(), named: name, in: directory)
            default: throw .parentNotDirectory(PrintableName.make(name))
            }
        }
        guard missing == .make else { throw .parentNotDirectory(PrintableName.make(name)) }
        return try place(implicitDirectory(), named: name, in: directory)
    }

    private func implicitDirectory() -> LayerInode {
        var inode = LayerInode(.directory)
        inode.mode = 0o755
        return inode
    }

    /// The directory that a symbolic link leads to inside this layer, where `..` stops at the root; nil when it leads
    /// nowhere or to something else.
    private mutating func follow(
        _ link: UInt32, from directory: UInt32, _ budget: inout Int
    ) throws(ArchiveError.Problem) -> UInt32? {
        let inode = inodes[Int(link)]
        budget -= 1
        followedBytes += inode.size
        guard budget >= 0, followedBytes <= ArchiveLimits.followedBytes else { throw .tooManySymbolicLinks }
        let target = linkTarget(of: inode)
        var current = target.first == 0x2F ? Self.root : directory
        for part in target.split(separator: 0x2F) {
            let name = UnsafeRawBufferPointer(rebasing: part)
            if name.count == 1, name[0] == 0x2E { continue }
            if name.count == 2, name[0] == 0x2E, name[1] == 0x2E {
                current = inodes[Int(current)].parent
                continue
            }
            guard name.count <= ArchiveLimits.name, let entry = find(name, in: current) else { return nil }
            let next = entries[Int(entry)].inode
            switch inodes[Int(next)].type {
            case .directory: current = next
            case .symbolicLink:
                guard let followed = try follow(next, from: current, &budget) else { return nil }
                current = followed
            default: return nil
            }
        }
        return current
    }

    // MARK: Placing

    /// Gives a name to a new inode. The last of several entries with one name wins, except that a directory stays the
    /// directory it was, and that a whiteout, which speaks of lower layers, never removes what this layer brings.
    /// - Returns: The inode that has the name now.
    @discardableResult
    mutating func place(
        _ inode: LayerInode, named name: UnsafeRawBufferPointer, in directory: UInt32
    ) throws(ArchiveError.Problem) -> UInt32 {
        guard let entry = find(name, in: directory) else {
            try checkRoom(forNames: name.count)
            let index = try addInode(inode, in: directory)
            add(name, in: directory, inode: index)
            return index
        }
        let index = entries[Int(entry)].inode
        let old = inodes[Int(index)]
        if inode.isWhiteout {
            if old.isDirectory { inodes[Int(index)].isOpaque = true }
            return index
        }
        if old.isDirectory, inode.isDirectory {
            inodes[Int(index)].takeAttributes(of: inode)
            return index
        }
        var replacement = inode
        if old.isWhiteout, inode.isDirectory { replacement.isOpaque = true }
        try checkRoom(forNames: 0)
        let new = try addInode(replacement, in: directory)
        entries[Int(entry)].inode = new
        return new
    }

    /// Gives another name to a file.
    mutating func link(
        _ target: UInt32, named name: UnsafeRawBufferPointer, in directory: UInt32
    ) throws(ArchiveError.Problem) {
        if let entry = find(name, in: directory) {
            guard entries[Int(entry)].inode != target else { throw .linkToItself }
            entries[Int(entry)].inode = target
        } else {
            try checkRoom(forNames: name.count)
            add(name, in: directory, inode: target)
        }
    }

    private mutating func addInode(_ inode: LayerInode, in directory: UInt32) throws(ArchiveError.Problem) -> UInt32 {
        var inode = inode
        if inode.isDirectory {
            inode.parent = directory
            inode.depth = inodes[Int(directory)].depth + 1
            guard inode.depth <= ArchiveLimits.depth else { throw .pathTooDeep(limit: ArchiveLimits.depth) }
        }
        return add(inode)
    }
}

extension LayerInode {
    /// What a second entry for the same directory changes.
    mutating func takeAttributes(of other: LayerInode) {
        mode = other.mode
        uid = other.uid
        gid = other.gid
        modified = other.modified
        nanoseconds = other.nanoseconds
        attributes = other.attributes
        attributesSize = other.attributesSize
    }
}

extension UnsafeRawBufferPointer {
    func hasPrefix(_ text: StaticString) -> Bool {
        count >= text.utf8CodeUnitCount && memcmp(baseAddress!, text.utf8Start, text.utf8CodeUnitCount) == 0
    }
}
