extension LayerBuilder {
    /// Adds a member to the tree; returns the inode of a file whose content is to follow.
    func add(_ entry: TarEntry, at path: UnsafeRawBufferPointer) throws(ArchiveError.Problem) -> UInt32? {
        switch try tree.place(of: path, missingParents: .make) {
        case .ignored: return nil
        case .root:
            guard entry.kind == .directory else { throw .rootNotDirectory }
            let inode = try makeInode(.directory, entry)
            tree.inodes[Int(LayerTree.root)].takeAttributes(of: inode)
            return nil
        case .name(let name, let directory):
            if name.hasPrefix(LayerTree.whiteoutPrefix) {
                try addWhiteout(name, in: directory, entry)
                return nil
            }
            return try add(entry, named: name, in: directory)
        }
    }

    private func add(
        _ entry: TarEntry, named name: UnsafeRawBufferPointer, in directory: UInt32
    ) throws(ArchiveError.Problem) -> UInt32? {
        switch entry.kind {
        case .file:
            var inode = try makeInode(.file, entry)
            inode.size = entry.size
            return try tree.place(inode, named: name, in: directory)
        case .directory: try tree.place(makeInode(.directory, entry), named: name, in: directory)
        case .symbolicLink: try tree.place(makeSymbolicLink(entry), named: name, in: directory)
        case .hardLink: try addHardLink(entry, named: name, in: directory)
        case .fifo: try tree.place(makeInode(.fifo, entry), named: name, in: directory)
        case .characterDevice:
            // overlayfs's own form of a whiteout, as some tools pack it.
            guard entry.deviceMajor == 0, entry.deviceMinor == 0 else { throw .deviceNode }
            try tree.place(makeWhiteout(entry), named: name, in: directory)
        case .blockDevice: throw .deviceNode
        }
        return nil
    }

    // MARK: Whiteouts

    /// `.wh.x` deletes x of lower layers, `.wh..wh..opq` everything of them in its directory; other names that begin
    /// with `.wh..wh.` are AUFS's own.
    private func addWhiteout(
        _ name: UnsafeRawBufferPointer, in directory: UInt32, _ entry: TarEntry
    ) throws(ArchiveError.Problem) {
        let marker = LayerTree.opaqueMarker
        if name.hasPrefix(LayerTree.bookkeepingPrefix) {
            if name.count == marker.utf8CodeUnitCount, name.hasPrefix(marker) {
                tree.inodes[Int(directory)].isOpaque = true
            }
            return
        }
        let target = UnsafeRawBufferPointer(rebasing: name[LayerTree.whiteoutPrefix.utf8CodeUnitCount...])
        let isDots = target.count <= 2 && target.allSatisfy { $0 == UInt8(ascii: ".") }
        guard !isDots, entry.kind != .directory else { throw .badWhiteout }
        try tree.place(makeWhiteout(entry), named: target, in: directory)
    }

    private func makeWhiteout(_ entry: TarEntry) -> LayerInode {
        var inode = LayerInode(.characterDevice)
        inode.modified = entry.modified
        inode.nanoseconds = entry.modifiedNanoseconds
        return inode
    }

    // MARK: Links

    private func makeSymbolicLink(_ entry: TarEntry) throws(ArchiveError.Problem) -> LayerInode {
        guard !entry.linkTarget.isEmpty else { throw .emptyLinkTarget }
        // The kernel's limit for a path, its terminating zero included.
        guard entry.linkTarget.count < ArchiveLimits.path else { throw .pathTooLong(limit: ArchiveLimits.path - 1) }
        var inode = try makeInode(.symbolicLink, entry)
        inode.mode = 0o777
        inode.size = Int64(entry.linkTarget.count)
        try tree.checkRoom(forNames: entry.linkTarget.count)
        inode.target = entry.linkTarget.withUnsafeBytes { tree.names.append($0) }
        return inode
    }

    private func addHardLink(
        _ entry: TarEntry, named name: UnsafeRawBufferPointer, in directory: UInt32
    ) throws(ArchiveError.Problem) {
        let target = try entry.linkTarget.withBytes { path throws(ArchiveError.Problem) in try find(path) }
        let printable = PrintableName.make(entry.linkTarget)
        guard let target, !tree.inodes[Int(target)].isWhiteout else { throw .linkTargetMissing(printable) }
        guard !tree.inodes[Int(target)].isDirectory else { throw .linkTargetIsDirectory(printable) }
        try tree.link(target, named: name, in: directory)
    }

    /// The inode that a hard link names.
    private func find(_ path: UnsafeRawBufferPointer) throws(ArchiveError.Problem) -> UInt32? {
        guard !path.isEmpty else { throw .emptyLinkTarget }
        let place: LayerTree.Place
        do throws(ArchiveError.Problem) {
            place = try tree.place(of: path, missingParents: .refuse)
        } catch .parentNotDirectory {
            return nil
        }
        switch place {
        case .ignored: return nil
        case .root: return LayerTree.root
        case .name(let name, let directory):
            return tree.find(name, in: directory).map { tree.entries[Int($0)].inode }
        }
    }

    // MARK: Attributes

    private func makeInode(_ type: Erofs.FileType, _ entry: TarEntry) throws(ArchiveError.Problem) -> LayerInode {
        var inode = LayerInode(type)
        inode.mode = entry.mode
        inode.uid = entry.uid
        inode.gid = entry.gid
        inode.modified = entry.modified
        inode.nanoseconds = entry.modifiedNanoseconds
        if !entry.extendedAttributes.isEmpty { try addAttributes(entry, to: &inode) }
        return inode
    }

    /// Keeps `user.*` of files and directories and the capabilities of files. Everything else is dropped: labels are
    /// given by the host, and `trusted.*` would let an archive speak to overlayfs.
    private func addAttributes(_ entry: TarEntry, to inode: inout LayerInode) throws(ArchiveError.Problem) {
        var encoded: [UInt8] = []
        var size = 0
        for attribute in entry.extendedAttributes {
            guard let (index, name) = Self.kept(attribute.name, of: inode.type) else { continue }
            guard !name.isEmpty, name.count <= ArchiveLimits.name, !name.contains(0), attribute.value.count <= 0xFFFF
            else { throw .badExtendedAttribute(PrintableName.make(attribute.name)) }
            size += attribute.name.count + attribute.value.count
            guard size <= parser.limits.extendedAttributes else {
                throw .extendedAttributesTooLarge(limit: parser.limits.extendedAttributes)
            }
            InodeRecord.appendAttribute(index, name: name, value: attribute.value, to: &encoded)
        }
        if encoded.isEmpty { return }
        if encoded != lastAttributes.encoded {
            let total = tree.attributes.count + encoded.count
            guard total <= parser.limits.attributes else { throw .attributesTooLarge(limit: parser.limits.attributes) }
            lastAttributes.place = encoded.withUnsafeBytes { tree.attributes.append($0) }
            lastAttributes.encoded = encoded
        }
        attributesWritten += Int64(encoded.count)
        inode.attributes = lastAttributes.place
        inode.attributesSize = UInt32(encoded.count)
    }

    private static func kept(
        _ name: [UInt8], of type: Erofs.FileType
    ) -> (Erofs.AttributeIndex, ArraySlice<UInt8>)? {
        if type == .file, name.elementsEqual("security.capability".utf8) {
            return (.security, name.dropFirst("security.".utf8.count))
        }
        if type == .file || type == .directory, name.starts(with: "user.".utf8) {
            return (.user, name.dropFirst("user.".utf8.count))
        }
        return nil
    }
}
