/// Bytes that are only ever added, addressed by their offset: the names, link targets and attributes of a layer
/// without an allocation for each.
struct ByteArena: ~Copyable {
    private var base: UnsafeMutableRawPointer
    private var capacity: Int
    private(set) var count = 0

    init(capacity: Int = 64 << 10) {
        self.capacity = capacity
        base = .allocate(byteCount: capacity, alignment: 16)
    }

    deinit { base.deallocate() }

    /// Adds bytes and returns where they are. Offsets have 32 bits; an archive within its limits stays far below.
    mutating func append(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        let offset = count
        reserve(bytes.count)
        if let source = bytes.baseAddress { (base + count).copyMemory(from: source, byteCount: bytes.count) }
        count += bytes.count
        return UInt32(offset)
    }

    /// Valid until the next change.
    func bytes(at offset: UInt32, count: Int) -> UnsafeRawBufferPointer {
        precondition(Int(offset) + count <= self.count)
        return UnsafeRawBufferPointer(start: base + Int(offset), count: count)
    }

    private mutating func reserve(_ extra: Int) {
        guard count + extra > capacity else { return }
        capacity = max(capacity * 2, count + extra)
        let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
        larger.copyMemory(from: base, byteCount: count)
        base.deallocate()
        base = larger
    }
}
