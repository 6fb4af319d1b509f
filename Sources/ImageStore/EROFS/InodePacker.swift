internal import LinuxSystem

/// Collects inodes that carry the end of their file into blocks. A few blocks are open at once, so that an inode that
/// does not fit into one may still fit into another.
struct InodePacker: ~Copyable {
    private static let openBlocks = 4

    private struct Pack {
        let bytes: UnsafeMutableRawPointer
        var fill = 0
        /// The inodes in the block and where they begin.
        var members: [(inode: UInt32, offset: Int)] = []
    }

    private var packs: [Pack]

    init() {
        packs = (0..<Self.openBlocks).map { _ in
            let bytes = UnsafeMutableRawPointer.allocate(byteCount: Erofs.blockSize, alignment: 32)
            bytes.initializeMemory(as: UInt8.self, repeating: 0, count: Erofs.blockSize)
            return Pack(bytes: bytes)
        }
    }

    deinit { for pack in packs { pack.bytes.deallocate() } }

    /// Bytes of an inode with its attributes and the end of its file.
    static func recordSize(of inode: LayerInode, tail: Int) -> Int {
        Erofs.inodeSize + InodeRecord.attributesSize(of: inode) + tail
    }

    /// Adds an inode; `file` is at the end of a block.
    mutating func add(
        _ index: UInt32, tail: UnsafeRawBufferPointer, in tree: inout LayerTree, to file: ImageFile
    ) throws(SystemError) {
        let size = Self.recordSize(of: tree.inodes[Int(index)], tail: tail.count)
        var best: Int?
        for candidate in packs.indices where packs[candidate].fill + size <= Erofs.blockSize {
            if best.map({ packs[candidate].fill > packs[$0].fill }) ?? true { best = candidate }
        }
        let chosen: Int
        if let best {
            chosen = best
        } else {
            chosen = packs.indices.max { packs[$0].fill < packs[$1].fill } ?? 0
            try flush(chosen, in: &tree, to: file)
        }
        let offset = packs[chosen].fill
        let record = packs[chosen].bytes + offset
        let written = InodeRecord.encode(index, in: tree, links: 1, into: record)
        if let source = tail.baseAddress { (record + written).copyMemory(from: source, byteCount: tail.count) }
        packs[chosen].members.append((index, offset))
        packs[chosen].fill = min(Erofs.roundedUp(offset + size, to: 1 << Erofs.slotBits), Erofs.blockSize)
    }

    mutating func flush(in tree: inout LayerTree, to file: ImageFile) throws(SystemError) {
        for index in packs.indices { try flush(index, in: &tree, to: file) }
    }

    private mutating func flush(_ index: Int, in tree: inout LayerTree, to file: ImageFile) throws(SystemError) {
        guard packs[index].fill > 0 else { return }
        let position = file.position
        try file.append(UnsafeRawBufferPointer(start: packs[index].bytes, count: packs[index].fill))
        try file.align(to: Erofs.blockSize)
        for member in packs[index].members {
            tree.inodes[Int(member.inode)].nid = UInt64(position + Int64(member.offset)) >> UInt64(Erofs.slotBits)
        }
        packs[index].members.removeAll(keepingCapacity: true)
        packs[index].fill = 0
        // What an earlier record left behind the next one must not reach the disk.
        packs[index].bytes.initializeMemory(as: UInt8.self, repeating: 0, count: Erofs.blockSize)
    }
}
