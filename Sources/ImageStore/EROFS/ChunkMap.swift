/// Where the chunks of a sparse file are in the image; chunks that are not there are holes.
struct ChunkMap {
    /// Chunks that follow each other in the file and in the image.
    struct Run {
        let chunk: Int64
        let block: UInt32
        var count: Int64
    }

    /// The binary logarithm of the bytes in a chunk.
    let bits: Int
    /// Chunks in the file, holes included.
    let count: Int
    private(set) var runs: [Run] = []
    /// The chunk being written.
    private(set) var openChunk: Int64?
    /// Bytes of the open chunk that are written.
    var fill: Int64 = 0

    private static let mostChunks: Int64 = 1 << 20
    private static let mostBits = 30

    /// Chunks are as small as a block unless the map would become larger than 4 MiB.
    init(size: Int64, hasContent: Bool) {
        var bits = Erofs.blockBits
        let most = hasContent ? Self.mostChunks : 1
        while bits < Self.mostBits, size > most << Int64(bits) { bits += 1 }
        self.bits = bits
        count = Int((size + (1 << Int64(bits)) - 1) >> Int64(bits))
    }

    /// The `format` field of the inode.
    var format: UInt32 { UInt32(bits - Erofs.blockBits) }

    mutating func open(_ chunk: Int64, at block: UInt32) {
        openChunk = chunk
        fill = 0
        let blocksPerChunk = Int64(1) << Int64(bits - Erofs.blockBits)
        if let last = runs.last, last.chunk + last.count == chunk,
            Int64(last.block) + last.count * blocksPerChunk == Int64(block)
        {
            runs[runs.count - 1].count += 1
        } else {
            runs.append(Run(chunk: chunk, block: block, count: 1))
        }
    }

    mutating func close() { openChunk = nil }

    /// Calls `body` with the address of every chunk in order.
    func forEachAddress<Failure: Error>(_ body: (UInt32) throws(Failure) -> Void) throws(Failure) {
        let blocksPerChunk = Int64(1) << Int64(bits - Erofs.blockBits)
        var next: Int64 = 0
        for run in runs {
            while next < run.chunk {
                try body(Erofs.noBlock)
                next += 1
            }
            for index in 0..<run.count { try body(UInt32(Int64(run.block) + index * blocksPerChunk)) }
            next += run.count
        }
        while next < Int64(count) {
            try body(Erofs.noBlock)
            next += 1
        }
    }
}
