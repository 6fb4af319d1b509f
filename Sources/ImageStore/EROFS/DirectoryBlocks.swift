internal import Glibc

/// The content of directories: blocks that each hold entries of 12 bytes, sorted by name, and the names behind them.
enum DirectoryBlocks {
    /// A name with what it stands for.
    struct Name {
        let bytes: UnsafeRawBufferPointer
        let inode: UInt32
    }

    /// Sorts the names of a directory by their bytes, as the kernel's binary search wants them.
    static func sort(_ directory: UInt32, in tree: inout LayerTree) {
        var children: [UInt32] = []
        var next = tree.inodes[Int(directory)].firstChild
        while next != LayerTree.none {
            children.append(next)
            next = tree.entries[Int(next)].next
        }
        sort(&children, in: tree)
        next = LayerTree.none
        for child in children.reversed() {
            tree.entries[Int(child)].next = next
            next = child
        }
        tree.inodes[Int(directory)].firstChild = next
    }

    private static func sort(_ children: inout [UInt32], in tree: borrowing LayerTree) {
        // A closure cannot borrow the tree, so the names are looked up before.
        let names = children.map { UInt64(tree.entries[Int($0)].name) << 8 | UInt64(tree.entries[Int($0)].nameLength) }
        let base = tree.names.bytes(at: 0, count: tree.names.count)
        func bytes(_ index: Int) -> UnsafeRawBufferPointer {
            let start = Int(names[index] >> 8)
            return UnsafeRawBufferPointer(rebasing: base[start..<(start + Int(names[index] & 0xFF))])
        }
        let order = children.indices.sorted { isOrdered(bytes($0), before: bytes($1)) }
        children = order.map { children[$0] }
    }

    static func isOrdered(_ left: UnsafeRawBufferPointer, before right: UnsafeRawBufferPointer) -> Bool {
        let common = min(left.count, right.count)
        let difference = common == 0 ? 0 : memcmp(left.baseAddress!, right.baseAddress!, common)
        return difference == 0 ? left.count < right.count : difference < 0
    }

    /// Calls `body` with every name of a sorted directory in order, `.` and `..` among them.
    static func forEachName<Failure: Error>(
        of directory: UInt32, in tree: borrowing LayerTree, _ body: (Name) throws(Failure) -> Void
    ) throws(Failure) {
        let dots = UnsafeRawBufferPointer(start: Self.dots.utf8Start, count: 2)
        let own = Name(bytes: UnsafeRawBufferPointer(rebasing: dots[..<1]), inode: directory)
        let parent = Name(bytes: dots, inode: tree.inodes[Int(directory)].parent)
        var pending = [parent, own]
        var next = tree.inodes[Int(directory)].firstChild
        while next != LayerTree.none {
            let entry = tree.entries[Int(next)]
            let name = tree.name(of: entry)
            while let dot = pending.last, isOrdered(dot.bytes, before: name) {
                try body(dot)
                pending.removeLast()
            }
            try body(Name(bytes: name, inode: entry.inode))
            next = entry.next
        }
        while let dot = pending.popLast() { try body(dot) }
    }

    private static let dots: StaticString = ".."

    /// Bytes of the directory's content: all blocks but the last are full.
    static func size(of directory: UInt32, in tree: borrowing LayerTree) -> Int64 {
        var full: Int64 = 0
        var used = 0
        forEachName(of: directory, in: tree) { name in
            let cost = Erofs.directoryEntrySize + name.bytes.count
            if used + cost > Erofs.blockSize {
                full += 1
                used = 0
            }
            used += cost
        }
        return full << Int64(Erofs.blockBits) + Int64(used)
    }

    /// Calls `body` with each block of the directory; it is valid during the call, and zero behind the bytes in use.
    static func encode<Failure: Error>(
        _ directory: UInt32, in tree: borrowing LayerTree,
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        let block = UnsafeMutableRawPointer.allocate(byteCount: Erofs.blockSize, alignment: 16)
        defer { block.deallocate() }
        var names: [(name: Name, type: UInt8, nid: UInt64)] = []
        var used = 0
        try forEachName(of: directory, in: tree) { name throws(Failure) in
            let cost = Erofs.directoryEntrySize + name.bytes.count
            if used + cost > Erofs.blockSize {
                try body(fill(block, with: names))
                names.removeAll(keepingCapacity: true)
                used = 0
            }
            let inode = tree.inodes[Int(name.inode)]
            names.append((name, inode.type.rawValue, inode.nid))
            used += cost
        }
        try body(fill(block, with: names))
    }

    private static func fill(
        _ block: UnsafeMutableRawPointer, with names: [(name: Name, type: UInt8, nid: UInt64)]
    ) -> UnsafeRawBufferPointer {
        memset(block, 0, Erofs.blockSize)
        var offset = names.count * Erofs.directoryEntrySize
        for (index, entry) in names.enumerated() {
            let record = block + index * Erofs.directoryEntrySize
            record.store(entry.nid, at: 0)
            record.store(UInt16(offset), at: 8)
            record.store(entry.type, at: 10)
            (block + offset).copyMemory(from: entry.name.bytes.baseAddress!, byteCount: entry.name.bytes.count)
            offset += entry.name.bytes.count
        }
        return UnsafeRawBufferPointer(start: block, count: offset)
    }
}
