internal import LinuxSystem

/// Writes file content into an EROFS image as it streams in. Whole blocks go straight into the image file; a small
/// rest of a file is kept with its inode, and such inodes are packed into blocks between the files.
final class ErofsWriter {
    let file: ImageFile
    /// Where the chunks of sparse files are.
    private(set) var chunkMaps: [ChunkMap] = []
    private var packer: InodePacker
    private var zeros = ZeroRun()

    private var inode: UInt32 = 0
    private var size: Int64 = 0
    /// Bytes of the file that go into whole blocks of their own.
    private var bodySize: Int64 = 0
    private var received: Int64 = 0
    private var tail: UnsafeMutableRawPointer
    private var tailFill = 0
    private var chunks: ChunkMap?

    /// Files below this size keep their last, incomplete block with the inode.
    private static let inlineLimit: Int64 = 64 << 10
    /// From this size on files begin at a multiple of 2 MiB, so that they can be mapped with huge pages.
    private static let hugeAlignmentLimit: Int64 = 64 << 20
    private static let hugeAlignment: Int64 = 2 << 20

    init(_ file: ImageFile) throws(SystemError) {
        self.file = file
        packer = InodePacker()
        tail = .allocate(byteCount: Erofs.blockSize, alignment: 16)
        // Block 0 holds the superblock and the root's inode, written last.
        try file.appendZeros(Int64(Erofs.blockSize))
    }

    deinit { tail.deallocate() }

    /// Bytes of zeros and maps that sparse files took so far beyond what the archive stored for them.
    private(set) var sparseOverhead: Int64 = 0

    /// Begins the content of a file. Exactly its size is to follow, in order; of a sparse file, parts of it.
    func begin(_ index: UInt32, in tree: inout LayerTree, isSparse: Bool, hasContent: Bool) throws(SystemError) {
        inode = index
        size = tree.inodes[Int(index)].size
        received = 0
        tailFill = 0
        chunks = nil
        if isSparse {
            chunks = ChunkMap(size: size, hasContent: hasContent)
            bodySize = size
            return
        }
        let tailSize = Int(size % Int64(Erofs.blockSize))
        let fits = InodePacker.recordSize(of: tree.inodes[Int(index)], tail: tailSize) <= Erofs.blockSize
        bodySize = tailSize > 0 && size < Self.inlineLimit && fits ? size - Int64(tailSize) : size
        zeros.begin(isEnabled: size >= ZeroRun.length)
        if size >= Self.hugeAlignmentLimit {
            try file.skip(to: Erofs.roundedUp(file.position, to: Self.hugeAlignment))
        }
        tree.inodes[Int(index)].location = bodySize > 0 ? UInt32(file.position >> Int64(Erofs.blockBits)) : 0
    }

    /// Adds content that belongs at `offset`.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(SystemError) {
        if chunks != nil { return try writeChunks(bytes, at: offset) }
        let body = Int(max(0, min(Int64(bytes.count), bodySize - received)))
        received += Int64(bytes.count)
        if body > 0 { try zeros.append(UnsafeRawBufferPointer(rebasing: bytes[..<body]), to: file) }
        if body < bytes.count, let source = bytes.baseAddress {
            (tail + tailFill).copyMemory(from: source + body, byteCount: bytes.count - body)
            tailFill += bytes.count - body
        }
    }

    /// Completes the file.
    func end(in tree: inout LayerTree) throws(SystemError) {
        if chunks != nil {
            try closeChunk()
            if let map = chunks {
                sparseOverhead += Int64(map.count) * 4
                tree.inodes[Int(inode)].layout = .chunked
                tree.inodes[Int(inode)].chunkMap = UInt32(chunkMaps.count)
                chunkMaps.append(map)
            }
            return
        }
        try zeros.end(file)
        try file.align(to: Erofs.blockSize)
        if bodySize < size {
            tree.inodes[Int(inode)].layout = .inline
            try packer.add(
                inode, tail: UnsafeRawBufferPointer(start: tail, count: tailFill), in: &tree, to: file)
        }
    }

    /// Writes the inodes that are still being packed.
    func flushPacks(in tree: inout LayerTree) throws(SystemError) { try packer.flush(in: &tree, to: file) }

    // MARK: Sparse files

    private func writeChunks(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(SystemError) {
        var rest = bytes
        var offset = offset
        while !rest.isEmpty {
            guard let map = chunks else { return }
            let chunk = offset >> Int64(map.bits)
            if chunk != map.openChunk {
                try closeChunk()
                chunks?.open(chunk, at: UInt32(file.position >> Int64(Erofs.blockBits)))
            }
            let within = offset - chunk << Int64(map.bits)
            try fillChunk(upTo: within)
            let count = Int(min(Int64(rest.count), Int64(1) << Int64(map.bits) - within))
            try file.append(UnsafeRawBufferPointer(rebasing: rest[..<count]))
            chunks?.fill += Int64(count)
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            offset += Int64(count)
        }
    }

    private func fillChunk(upTo within: Int64) throws(SystemError) {
        guard let fill = chunks?.fill, within > fill else { return }
        try file.appendZeros(within - fill)
        sparseOverhead += within - fill
        chunks?.fill = within
    }

    private func closeChunk() throws(SystemError) {
        guard let map = chunks, let chunk = map.openChunk else { return }
        let end = min(Int64(1) << Int64(map.bits), size - chunk << Int64(map.bits))
        try fillChunk(upTo: Erofs.roundedUp(end, to: Int64(Erofs.blockSize)))
        chunks?.close()
    }
}
