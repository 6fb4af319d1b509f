/// The parts of EROFS's on-disk format that mlrun writes (Linux Documentation/filesystems/erofs.rst): blocks of 4 KiB,
/// uncompressed, with inodes of the extended form. Everything is little-endian.
enum Erofs {
    static let blockBits = 12
    static let blockSize = 1 << blockBits
    static let superblockOffset = 1024
    static let superblockSize = 128
    static let magic: UInt32 = 0xE0F5_E1E2
    /// The superblock carries a checksum.
    static let compatibleChecksum: UInt32 = 0x1
    /// Inodes carry modification times.
    static let compatibleModificationTime: UInt32 = 0x2
    /// Some files are made of chunks.
    static let incompatibleChunkedFile: UInt32 = 0x4

    static let inodeSize = 64
    /// Inodes are found at `nid * 32`.
    static let slotBits = 5
    /// Where the number of links stands in an inode.
    static let linksOffset = 44
    /// The root's number must fit into 16 bits, so its inode follows the superblock at once.
    static let rootNID = UInt64((superblockOffset + superblockSize) >> slotBits)

    static let extendedAttributeHeaderSize = 12
    static let directoryEntrySize = 12
    /// The address of a chunk that is a hole.
    static let noBlock = UInt32.max
    /// Blocks are counted in 32 bits.
    static let largestImage = Int64(UInt32.max) << blockBits

    /// How an inode's content is stored.
    enum Layout: UInt16 {
        /// In consecutive blocks.
        case plain = 0
        /// In consecutive blocks, the incomplete last one behind the inode.
        case inline = 2
        /// In chunks whose addresses stand behind the inode.
        case chunked = 4
    }

    /// What a directory entry names (the kernel's FT_* values).
    enum FileType: UInt8 {
        case file = 1
        case directory = 2
        case characterDevice = 3
        case fifo = 5
        case symbolicLink = 7

        /// The S_IF* bits.
        var modeBits: UInt16 {
            switch self {
            case .file: 0o100000
            case .directory: 0o040000
            case .characterDevice: 0o020000
            case .fifo: 0o010000
            case .symbolicLink: 0o120000
            }
        }
    }

    /// The name prefixes that are stored as a number.
    enum AttributeIndex: UInt8 {
        case user = 1
        case trusted = 4
        case security = 6
    }

    static func roundedUp(_ value: Int, to alignment: Int) -> Int { (value + alignment - 1) & ~(alignment - 1) }
    static func roundedUp(_ value: Int64, to alignment: Int64) -> Int64 { (value + alignment - 1) & ~(alignment - 1) }
}

extension UnsafeMutableRawPointer {
    func store<Value: FixedWidthInteger>(_ value: Value, at offset: Int) {
        storeBytes(of: value.littleEndian, toByteOffset: offset, as: Value.self)
    }
}
