internal import Glibc

/// The file tree of one layer, kept in memory: names from the archive are looked up here and nowhere else, so no link,
/// `..` or absolute name in an archive can reach the host.
struct LayerTree: ~Copyable {
    static let none = UInt32.max
    static let root: UInt32 = 0

    /// A name in a directory.
    struct Entry {
        let parent: UInt32
        var inode: UInt32
        let name: UInt32
        let nameLength: UInt8
        var next: UInt32
    }

    var inodes: ContiguousArray<LayerInode> = []
    var entries: ContiguousArray<Entry> = []
    var names = ByteArena()
    var attributes = ByteArena(capacity: 4096)
    /// Bytes of link targets that names of the archive were led through.
    var followedBytes: Int64 = 0
    /// Open addressing over `entries`, a power of two, at most half full.
    private var slots: ContiguousArray<UInt32>
    /// Unknown to whoever made the archive, so that names cannot be chosen to collide.
    private let seed = UInt64.random(in: 1...UInt64.max)

    private let limits: ArchiveLimits

    init(limits: ArchiveLimits = ArchiveLimits()) {
        self.limits = limits
        slots = ContiguousArray(repeating: Self.none, count: 1024)
        var root = LayerInode(.directory)
        root.mode = 0o755
        inodes.append(root)
    }

    func name(of entry: Entry) -> UnsafeRawBufferPointer { names.bytes(at: entry.name, count: Int(entry.nameLength)) }

    /// The entry with this name in a directory.
    func find(_ name: UnsafeRawBufferPointer, in directory: UInt32) -> UInt32? {
        let slot = slots[slotIndex(name, directory)]
        return slot == Self.none ? nil : slot
    }

    /// Adds a name that the directory does not have.
    @discardableResult
    mutating func add(_ name: UnsafeRawBufferPointer, in directory: UInt32, inode: UInt32) -> UInt32 {
        if (entries.count + 1) * 2 > slots.count { grow() }
        let index = UInt32(entries.count)
        entries.append(
            Entry(
                parent: directory, inode: inode, name: names.append(name), nameLength: UInt8(name.count),
                next: inodes[Int(directory)].firstChild))
        inodes[Int(directory)].firstChild = index
        slots[slotIndex(name, directory)] = index
        return index
    }

    /// Throws where one more file or directory with these many bytes of names would be too much.
    func checkRoom(forNames bytes: Int) throws(ArchiveError.Problem) {
        guard inodes.count < limits.nodes else { throw .tooManyNodes(limit: limits.nodes) }
        guard names.count + bytes <= limits.names else { throw .namesTooLarge(limit: limits.names) }
    }

    mutating func add(_ inode: LayerInode) -> UInt32 {
        inodes.append(inode)
        return UInt32(inodes.count - 1)
    }

    // MARK: Hashing

    /// The slot that holds the name, or the free one where it belongs.
    private func slotIndex(_ name: UnsafeRawBufferPointer, _ directory: UInt32) -> Int {
        let mask = slots.count - 1
        var index = Int(truncatingIfNeeded: hash(name, directory)) & mask
        while true {
            let slot = slots[index]
            if slot == Self.none { return index }
            let entry = entries[Int(slot)]
            if entry.parent == directory, Int(entry.nameLength) == name.count,
                name.isEmpty || memcmp(self.name(of: entry).baseAddress!, name.baseAddress!, name.count) == 0
            {
                return index
            }
            index = (index + 1) & mask
        }
    }

    private func hash(_ name: UnsafeRawBufferPointer, _ directory: UInt32) -> UInt64 {
        var value = seed ^ UInt64(directory) &* 0x9E37_79B9_7F4A_7C15
        func mix(_ word: UInt64) {
            let product = (value ^ word).multipliedFullWidth(by: 0xD6E8_FEB8_6659_FD93 ^ seed | 1)
            value = product.high ^ product.low
        }
        var offset = 0
        while offset + 8 <= name.count {
            mix(name.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            offset += 8
        }
        var tail = UInt64(name.count)
        while offset < name.count {
            tail = tail << 8 | UInt64(name[offset])
            offset += 1
        }
        mix(tail)
        mix(UInt64(directory))
        return value
    }

    private mutating func grow() {
        slots = ContiguousArray(repeating: Self.none, count: slots.count * 2)
        let mask = slots.count - 1
        for (number, entry) in entries.enumerated() {
            var index = Int(truncatingIfNeeded: hash(name(of: entry), entry.parent)) & mask
            while slots[index] != Self.none { index = (index + 1) & mask }
            slots[index] = UInt32(number)
        }
    }
}
