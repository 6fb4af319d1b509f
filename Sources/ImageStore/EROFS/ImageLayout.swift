internal import LinuxSystem

/// Completes an image once all file content is in it: finds where each remaining inode will stand, then writes
/// directories, long link targets and inodes behind the content, and the superblock in front of it.
struct ImageLayout: ~Copyable {
    private let writer: ErofsWriter
    private let file: ImageFile
    /// Inodes still to be written, with the bytes where they begin; directories before what they contain.
    private var order: [(inode: UInt32, position: Int64)] = []
    /// Inodes that were written with one link but have more.
    private var linked: [UInt32] = []
    private var fileCount: UInt64 = 0
    private var contentEnd: Int64 = 0
    private var inodesEnd: Int64 = 0

    init(_ writer: ErofsWriter) {
        self.writer = writer
        file = writer.file
    }

    /// Writes everything that is missing. The identifier becomes the file system's UUID.
    mutating func complete(_ tree: inout LayerTree, identifier: [UInt8]) throws(SystemError) {
        try writer.flushPacks(in: &tree)
        collect(&tree)
        placeContent(&tree)
        placeInodes(&tree)
        try writeContent(tree)
        let shared = rootNeedsSharedAttributes(tree)
        let rootAttributes = Erofs.roundedUp(inodesEnd, to: Int64(Erofs.blockSize))
        try writeInodes(tree)
        try file.align(to: Erofs.blockSize)
        var sharedOffsets: [UInt32] = []
        if shared {
            sharedOffsets = try writeSharedAttributes(tree)
            try file.align(to: Erofs.blockSize)
        }
        try file.flush()
        for inode in linked {
            let record = Int64(tree.inodes[Int(inode)].nid << UInt64(Erofs.slotBits))
            try file.patch(tree.inodes[Int(inode)].links, at: record + Int64(Erofs.linksOffset))
        }
        let first = UnsafeMutableRawBufferPointer.allocate(byteCount: Erofs.blockSize, alignment: 16)
        defer { first.deallocate() }
        encodeFirstBlock(
            tree, shared: sharedOffsets, sharedBlock: shared ? rootAttributes : 0, identifier: identifier, into: first)
        try file.finish(firstBlock: UnsafeRawBufferPointer(first))
    }

    // MARK: Finding out what there is

    /// Walks the tree from the root, so that whatever was replaced by a later entry is left out.
    private mutating func collect(_ tree: inout LayerTree) {
        var directories = [LayerTree.root]
        var next = 0
        while next < directories.count {
            let directory = directories[next]
            next += 1
            DirectoryBlocks.sort(directory, in: &tree)
            tree.inodes[Int(directory)].links += 2
            if directory != LayerTree.root { order.append((directory, 0)) }
            var child = tree.inodes[Int(directory)].firstChild
            while child != LayerTree.none {
                let entry = tree.entries[Int(child)]
                if tree.inodes[Int(entry.inode)].isDirectory {
                    tree.inodes[Int(directory)].links += 1
                    directories.append(entry.inode)
                } else {
                    count(entry.inode, &tree)
                }
                child = entry.next
            }
        }
        fileCount += UInt64(directories.count)
    }

    private mutating func count(_ inode: UInt32, _ tree: inout LayerTree) {
        tree.inodes[Int(inode)].links += 1
        let isPlaced = tree.inodes[Int(inode)].nid != 0
        switch tree.inodes[Int(inode)].links {
        case 1:
            fileCount += 1
            if !isPlaced { order.append((inode, 0)) }
        case 2 where isPlaced: linked.append(inode)
        default: break
        }
    }

    // MARK: Placing

    /// Whole blocks of directories and link targets, which come first.
    private mutating func placeContent(_ tree: inout LayerTree) {
        var block = file.position >> Int64(Erofs.blockBits)
        for index in [LayerTree.root] + order.map(\.inode) {
            let blocks = setLayout(of: index, &tree)
            if blocks > 0 {
                tree.inodes[Int(index)].location = UInt32(truncatingIfNeeded: block)
                block += blocks
            }
        }
        contentEnd = block << Int64(Erofs.blockBits)
    }

    /// Decides how a directory or link is stored; returns its whole blocks.
    private func setLayout(of index: UInt32, _ tree: inout LayerTree) -> Int64 {
        let inode = tree.inodes[Int(index)]
        switch inode.type {
        case .directory: tree.inodes[Int(index)].size = DirectoryBlocks.size(of: index, in: tree)
        case .symbolicLink: break
        default: return 0
        }
        let size = tree.inodes[Int(index)].size
        let tail = Int(size % Int64(Erofs.blockSize))
        let isInline =
            tail > 0 && index != LayerTree.root
            && InodePacker.recordSize(of: inode, tail: tail) <= Erofs.blockSize
        tree.inodes[Int(index)].layout = isInline ? .inline : .plain
        let whole = size >> Int64(Erofs.blockBits)
        return isInline || tail == 0 ? whole : whole + 1
    }

    private mutating func placeInodes(_ tree: inout LayerTree) {
        var position = contentEnd
        let slot = Int64(1 << Erofs.slotBits)
        for index in order.indices {
            let inode = tree.inodes[Int(order[index].inode)]
            position = Erofs.roundedUp(position, to: slot)
            let within = Int(position % Int64(Erofs.blockSize))
            let undivided = inode.layout == .inline ? recordSize(inode) : Erofs.inodeSize
            if within + undivided > Erofs.blockSize {
                position = Erofs.roundedUp(position, to: Int64(Erofs.blockSize))
            }
            order[index].position = position
            tree.inodes[Int(order[index].inode)].nid = UInt64(position) >> UInt64(Erofs.slotBits)
            position += Int64(recordSize(inode))
        }
        inodesEnd = position
        tree.inodes[Int(LayerTree.root)].nid = Erofs.rootNID
    }

    /// Bytes of an inode with all that stands behind it.
    private func recordSize(_ inode: LayerInode) -> Int {
        let fixed = Erofs.inodeSize + InodeRecord.attributesSize(of: inode)
        switch inode.layout {
        case .plain: return fixed
        case .inline: return fixed + Int(inode.size % Int64(Erofs.blockSize))
        case .chunked: return fixed + writer.chunkMaps[Int(inode.chunkMap)].count * 4
        }
    }

    // MARK: Writing

    private func writeContent(_ tree: borrowing LayerTree) throws(SystemError) {
        try writeContent(of: LayerTree.root, tree)
        for (index, _) in order { try writeContent(of: index, tree) }
    }

    private func writeContent(of index: UInt32, _ tree: borrowing LayerTree) throws(SystemError) {
        let inode = tree.inodes[Int(index)]
        if inode.isDirectory {
            let whole = inode.size >> Int64(Erofs.blockBits)
            guard whole > 0 || inode.layout == .plain else { return }
            var number: Int64 = 0
            try DirectoryBlocks.encode(index, in: tree) { block throws(SystemError) in
                if number < whole || inode.layout == .plain {
                    try file.append(block)
                    try file.align(to: Erofs.blockSize)
                }
                number += 1
            }
        } else if inode.type == .symbolicLink, inode.layout == .plain {
            try file.append(tree.linkTarget(of: inode))
            try file.align(to: Erofs.blockSize)
        }
    }

    private func writeInodes(_ tree: borrowing LayerTree) throws(SystemError) {
        let record = UnsafeMutableRawBufferPointer.allocate(byteCount: 128 << 10, alignment: 32)
        defer { record.deallocate() }
        guard let start = record.baseAddress else { return }
        for (index, position) in order {
            try file.appendZeros(position - file.position)
            let inode = tree.inodes[Int(index)]
            let size = Erofs.inodeSize + InodeRecord.attributesSize(of: inode)
            start.initializeMemory(as: UInt8.self, repeating: 0, count: size)
            encode(index, tree, into: start)
            try file.append(UnsafeRawBufferPointer(start: start, count: size))
            switch inode.layout {
            case .plain: break
            case .inline: try writeTail(of: index, tree)
            case .chunked: try writeChunkMap(writer.chunkMaps[Int(inode.chunkMap)])
            }
        }
    }

    private func encode(_ index: UInt32, _ tree: borrowing LayerTree, into record: UnsafeMutableRawPointer) {
        let inode = tree.inodes[Int(index)]
        InodeRecord.encode(index, in: tree, links: inode.links, into: record)
        if inode.layout == .chunked { record.store(writer.chunkMaps[Int(inode.chunkMap)].format, at: 16) }
    }

    private func writeTail(of index: UInt32, _ tree: borrowing LayerTree) throws(SystemError) {
        let inode = tree.inodes[Int(index)]
        if inode.type == .symbolicLink { return try file.append(tree.linkTarget(of: inode)) }
        let whole = inode.size >> Int64(Erofs.blockBits)
        var number: Int64 = 0
        try DirectoryBlocks.encode(index, in: tree) { block throws(SystemError) in
            if number == whole { try file.append(block) }
            number += 1
        }
    }

    private func writeChunkMap(_ map: ChunkMap) throws(SystemError) {
        try map.forEachAddress { address throws(SystemError) in
            try withUnsafeBytes(of: address.littleEndian) { bytes throws(SystemError) in try file.append(bytes) }
        }
    }

    // MARK: The first block

    /// The root's inode has only the rest of the first block for its attributes.
    private func rootNeedsSharedAttributes(_ tree: borrowing LayerTree) -> Bool {
        let room = Erofs.blockSize - Erofs.superblockOffset - Erofs.superblockSize - Erofs.inodeSize
        return InodeRecord.attributesSize(of: tree.inodes[Int(LayerTree.root)]) > room
    }

    /// Writes the root's attributes; returns where each begins, in words.
    private func writeSharedAttributes(_ tree: borrowing LayerTree) throws(SystemError) -> [UInt32] {
        let root = tree.inodes[Int(LayerTree.root)]
        let size = InodeRecord.entriesSize(of: root)
        let entries = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 4)
        defer { entries.deallocate() }
        guard let start = entries.baseAddress else { return [] }
        InodeRecord.encodeEntries(of: root, in: tree, into: start)
        try file.append(UnsafeRawBufferPointer(entries))
        var offsets: [UInt32] = []
        var offset = 0
        while offset < size {
            offsets.append(UInt32(offset / 4))
            let value = Int(entries[offset + 2]) | Int(entries[offset + 3]) << 8
            offset += InodeRecord.attributeSize(name: Int(entries[offset]), value: value)
        }
        return offsets
    }

    private func encodeFirstBlock(
        _ tree: borrowing LayerTree, shared: [UInt32], sharedBlock: Int64, identifier: [UInt8],
        into block: UnsafeMutableRawBufferPointer
    ) {
        guard let start = block.baseAddress else { return }
        start.initializeMemory(as: UInt8.self, repeating: 0, count: block.count)
        let superblock = start + Erofs.superblockOffset
        superblock.store(Erofs.magic, at: 0)
        superblock.store(Erofs.compatibleChecksum | Erofs.compatibleModificationTime, at: 8)
        superblock.store(UInt8(Erofs.blockBits), at: 12)
        superblock.store(UInt16(Erofs.rootNID), at: 14)
        superblock.store(fileCount, at: 16)
        superblock.store(UInt32(file.position >> Int64(Erofs.blockBits)), at: 36)
        superblock.store(UInt32(sharedBlock >> Int64(Erofs.blockBits)), at: 44)
        for (index, byte) in identifier.prefix(16).enumerated() { superblock.store(byte, at: 48 + index) }
        superblock.store(writer.chunkMaps.isEmpty ? 0 : Erofs.incompatibleChunkedFile, at: 80)
        let root = superblock + Erofs.superblockSize
        let links = tree.inodes[Int(LayerTree.root)].links
        if shared.isEmpty {
            InodeRecord.encode(LayerTree.root, in: tree, links: links, into: root)
        } else {
            InodeRecord.encode(LayerTree.root, in: tree, links: links, shared: shared, into: root)
        }
        let covered = UnsafeRawBufferPointer(start: superblock, count: Erofs.blockSize - Erofs.superblockOffset)
        superblock.store(CRC32C.checksum(covered), at: 4)
    }
}

extension LayerTree {
    func linkTarget(of inode: LayerInode) -> UnsafeRawBufferPointer {
        names.bytes(at: inode.target, count: Int(inode.size))
    }
}
