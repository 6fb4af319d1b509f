internal import CLinux
internal import Glibc
internal import LinuxSystem

/// Reads an uncompressed EROFS image without mounting it. Every offset is checked against the file: a damaged image is
/// an error that says so.
final class ErofsReader {
    /// An inode, as far as it is needed to make the file anew.
    struct Inode: Equatable {
        var nid: UInt64
        /// With the S_IF* bits.
        var mode: UInt16
        var uid: UInt32
        var gid: UInt32
        var size: Int64
        var links: UInt32
        var modified: Int64
        var nanoseconds: UInt32
        /// The first block, the format of chunks, or the number of a device.
        var location: UInt32
        var layout: UInt16
        /// Where the extended attributes begin, and their bytes.
        var attributesAt: Int64
        var attributesSize: Int64

        var kind: UInt16 { mode & 0o170000 }
        var isDirectory: Bool { kind == 0o040000 }
        /// A character device 0/0: overlayfs's way to delete a name of lower layers.
        var isWhiteout: Bool { kind == 0o020000 && location == 0 }
    }

    /// A stretch of a file's content; without a place it is a hole.
    struct Piece {
        var offset: Int64
        var count: Int64
        var position: Int64?
    }

    struct Attribute: Equatable {
        /// With its namespace.
        var name: [UInt8]
        var value: [UInt8]
    }

    let path: String
    let root: UInt64
    private let file: SharedDescriptor
    private let size: Int64
    private let metadata: Int64
    private let sharedAttributes: Int64
    private let buildTime: Int64
    private let buildNanoseconds: UInt32

    private static let blockSize = Int64(Erofs.blockSize)
    /// Directories are read whole.
    private static let largestDirectory: Int64 = 1 << 30
    private static let longestTarget: Int64 = 4096

    init(_ file: SharedDescriptor, path: String) throws(StoreError) {
        self.file = file
        self.path = path
        do throws(SystemError) { size = Int64(try File.status(of: file.rawValue).size) } catch { throw .system(error) }
        func damaged(_ reason: String) -> StoreError { .image(.damaged(path: path, reason: reason)) }
        let block = try Self.read(file, Int64(Erofs.superblockOffset), Erofs.superblockSize, size, path)
        guard block.integer(at: 0, UInt32.self) == Erofs.magic else { throw damaged("it is no EROFS image") }
        guard block[12] == UInt8(Erofs.blockBits) else { throw damaged("its blocks are not of 4096 bytes") }
        let features = block.integer(at: 80, UInt32.self)
        guard features & ~Erofs.incompatibleChunkedFile == 0 else {
            throw damaged("it needs features \(features) that are not read here")
        }
        root = UInt64(block.integer(at: 14, UInt16.self))
        metadata = Int64(block.integer(at: 40, UInt32.self)) * Self.blockSize
        sharedAttributes = Int64(block.integer(at: 44, UInt32.self)) * Self.blockSize
        buildTime = Int64(bitPattern: block.integer(at: 24, UInt64.self))
        buildNanoseconds = block.integer(at: 32, UInt32.self)
    }

    // MARK: Inodes

    func inode(_ nid: UInt64) throws(StoreError) -> Inode {
        guard nid < UInt64(size) >> UInt64(Erofs.slotBits) else { throw damaged("inode \(nid) is beyond its end") }
        let position = metadata + Int64(nid) << Int64(Erofs.slotBits)
        let head = try read(position, 32)
        let format = head.integer(at: 0, UInt16.self)
        guard format & ~0xF == 0 else { throw damaged("inode \(nid) has the format \(format)") }
        let count = Int64(head.integer(at: 2, UInt16.self))
        let attributes = count == 0 ? 0 : Int64(Erofs.extendedAttributeHeaderSize) + (count - 1) * 4
        var inode = Inode(
            nid: nid, mode: head.integer(at: 4, UInt16.self), uid: 0, gid: 0, size: 0, links: 0, modified: buildTime,
            nanoseconds: buildNanoseconds, location: head.integer(at: 16, UInt32.self), layout: format >> 1,
            attributesAt: 0, attributesSize: attributes)
        if format & 1 == 0 {
            inode.links = UInt32(head.integer(at: 6, UInt16.self))
            inode.size = Int64(head.integer(at: 8, UInt32.self))
            inode.uid = UInt32(head.integer(at: 24, UInt16.self))
            inode.gid = UInt32(head.integer(at: 26, UInt16.self))
            inode.attributesAt = position + 32
        } else {
            let rest = try read(position + 32, 32)
            guard let size = Int64(exactly: head.integer(at: 8, UInt64.self)) else {
                throw damaged("inode \(nid) has an impossible size")
            }
            inode.size = size
            inode.uid = head.integer(at: 24, UInt32.self)
            inode.gid = head.integer(at: 28, UInt32.self)
            inode.modified = Int64(bitPattern: rest.integer(at: 0, UInt64.self))
            inode.nanoseconds = rest.integer(at: 8, UInt32.self)
            inode.links = rest.integer(at: 12, UInt32.self)
            inode.attributesAt = position + 64
        }
        guard inode.nanoseconds < 1_000_000_000 else { throw damaged("inode \(nid) has an impossible time") }
        return inode
    }

    /// The names of a directory without `.` and `..`, as stored.
    func entries(of directory: Inode) throws(StoreError) -> [(name: [UInt8], nid: UInt64)] {
        guard directory.isDirectory, directory.size <= Self.largestDirectory else {
            throw damaged("inode \(directory.nid) is no directory")
        }
        var entries: [(name: [UInt8], nid: UInt64)] = []
        var offset: Int64 = 0
        while offset < directory.size {
            let count = Int(min(Self.blockSize, directory.size - offset))
            let block = try content(of: directory, at: offset, count: count)
            let first = block.count >= Erofs.directoryEntrySize ? Int(block.integer(at: 8, UInt16.self)) : 0
            guard first >= Erofs.directoryEntrySize, first % Erofs.directoryEntrySize == 0, first <= block.count else {
                throw damaged("the directory \(directory.nid) is malformed")
            }
            let number = first / Erofs.directoryEntrySize
            for index in 0..<number {
                let record = index * Erofs.directoryEntrySize
                let start = Int(block.integer(at: record + 8, UInt16.self))
                let end =
                    index + 1 < number
                    ? Int(block.integer(at: record + Erofs.directoryEntrySize + 8, UInt16.self)) : block.count
                guard start >= first, start < end, end <= block.count else {
                    throw damaged("the directory \(directory.nid) is malformed")
                }
                let name = Array(block[start..<end].prefix { $0 != 0 })
                if name == [0x2E] || name == [0x2E, 0x2E] { continue }
                guard (1...255).contains(name.count), !name.contains(UInt8(ascii: "/")) else {
                    throw damaged("the directory \(directory.nid) has an impossible name")
                }
                entries.append((name, block.integer(at: record, UInt64.self)))
            }
            offset += Int64(count)
        }
        return entries
    }

    /// Where a symbolic link points.
    func target(of link: Inode) throws(StoreError) -> [UInt8] {
        guard (1...Self.longestTarget).contains(link.size) else { throw damaged("the link \(link.nid) is malformed") }
        let target = try content(of: link, at: 0, count: Int(link.size))
        guard !target.contains(0) else { throw damaged("the link \(link.nid) is malformed") }
        return target
    }

    // MARK: Content

    /// The stretches of a file's content in order, holes among them.
    func pieces(of inode: Inode) throws(StoreError) -> [Piece] {
        let start = Int64(inode.location) * Self.blockSize
        let behind = inode.attributesAt + inode.attributesSize
        switch Erofs.Layout(rawValue: inode.layout) {
        case .plain:
            return inode.size == 0 ? [] : [try piece(0, inode.size, at: start)]
        case .inline:
            let whole = inode.size & ~(Self.blockSize - 1)
            var pieces: [Piece] = []
            if whole > 0 { pieces.append(try piece(0, whole, at: start)) }
            if whole < inode.size { pieces.append(try piece(whole, inode.size - whole, at: behind)) }
            return pieces
        case .chunked: return try chunks(of: inode, behind)
        case nil: throw damaged("inode \(inode.nid) has the layout \(inode.layout)")
        }
    }

    private func chunks(of inode: Inode, _ behind: Int64) throws(StoreError) -> [Piece] {
        let format = inode.location
        guard format & ~0x3F == 0, inode.size < 1 << 60 else { throw damaged("inode \(inode.nid) has bad chunks") }
        let bits = Int64(format & 0x1F) + Int64(Erofs.blockBits)
        let isIndexed = format & 0x20 != 0
        let unit: Int64 = isIndexed ? 8 : 4
        let count = (inode.size + (1 << bits) - 1) >> bits
        let map = Erofs.roundedUp(behind, to: unit)
        guard count <= (size - min(map, size)) / unit else { throw damaged("inode \(inode.nid) has bad chunks") }
        var pieces: [Piece] = []
        var done: Int64 = 0
        while done < count {
            let part = min(count - done, 64 << 10)
            let table = try read(map + done * unit, Int(part * unit))
            for index in 0..<part {
                let block = table.integer(at: Int(index * unit) + (isIndexed ? 4 : 0), UInt32.self)
                let offset = (done + index) << bits
                let length = min(1 << bits, inode.size - offset)
                let position = block == Erofs.noBlock ? nil : Int64(block) * Self.blockSize
                if let last = pieces.last, last.position.map({ $0 + last.count }) == position {
                    pieces[pieces.count - 1].count += length
                } else {
                    pieces.append(Piece(offset: offset, count: length, position: position))
                }
            }
            done += part
        }
        for piece in pieces {
            if let position = piece.position { _ = try self.piece(piece.offset, piece.count, at: position) }
        }
        return pieces
    }

    private func piece(_ offset: Int64, _ count: Int64, at position: Int64) throws(StoreError) -> Piece {
        guard count >= 0, position >= 0, position <= size, count <= size - position else {
            throw damaged("the content of a file is beyond its end")
        }
        return Piece(offset: offset, count: count, position: position)
    }

    /// Fills `buffer` from a place in the image, which is within it.
    func fill(_ buffer: UnsafeMutableRawBufferPointer, from position: Int64) throws(StoreError) {
        try Self.fill(buffer, file, position, path)
    }

    private func content(of inode: Inode, at offset: Int64, count: Int) throws(StoreError) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: count)
        for piece in try pieces(of: inode) {
            let from = max(piece.offset, offset)
            let to = min(piece.offset + piece.count, offset + Int64(count))
            guard from < to, let position = piece.position else { continue }
            let part = try read(position + from - piece.offset, Int(to - from))
            result.replaceSubrange(Int(from - offset)..<Int(to - offset), with: part)
        }
        return result
    }

    // MARK: Extended attributes

    func attributes(of inode: Inode) throws(StoreError) -> [Attribute] {
        if inode.attributesSize == 0 { return [] }
        let bytes = try read(inode.attributesAt, Int(inode.attributesSize))
        var attributes: [Attribute] = []
        let shared = Int(bytes[4])
        var offset = Erofs.extendedAttributeHeaderSize + shared * 4
        guard offset <= bytes.count else { throw damaged("inode \(inode.nid) has bad attributes") }
        for index in 0..<shared {
            let number = bytes.integer(at: Erofs.extendedAttributeHeaderSize + index * 4, UInt32.self)
            let position = sharedAttributes + Int64(number) * 4
            let head = try read(position, 4)
            let length = 4 + Int(head[0]) + Int(head.integer(at: 2, UInt16.self))
            attributes.append(try attribute(try read(position, length), at: 0, inode.nid).attribute)
        }
        while offset + 4 <= bytes.count, bytes[offset] != 0 || bytes[offset + 1] != 0 {
            let (attribute, end) = try attribute(bytes, at: offset, inode.nid)
            attributes.append(attribute)
            offset = Erofs.roundedUp(end, to: 4)
        }
        return attributes
    }

    private func attribute(
        _ bytes: [UInt8], at offset: Int, _ nid: UInt64
    ) throws(StoreError) -> (attribute: Attribute, end: Int) {
        let prefix: String
        switch Erofs.AttributeIndex(rawValue: bytes[offset + 1]) {
        case .user: prefix = "user."
        case .trusted: prefix = "trusted."
        case .security: prefix = "security."
        case nil: throw damaged("inode \(nid) has an attribute of an unknown kind")
        }
        let value = offset + 4 + Int(bytes[offset])
        let end = value + Int(bytes.integer(at: offset + 2, UInt16.self))
        guard end <= bytes.count else { throw damaged("inode \(nid) has bad attributes") }
        return (
            Attribute(name: Array(prefix.utf8) + bytes[(offset + 4)..<value], value: Array(bytes[value..<end])), end
        )
    }

    // MARK: Reading

    private func read(_ position: Int64, _ count: Int) throws(StoreError) -> [UInt8] {
        try Self.read(file, position, count, size, path)
    }

    private static func read(
        _ file: SharedDescriptor, _ position: Int64, _ count: Int, _ size: Int64, _ path: String
    ) throws(StoreError) -> [UInt8] {
        guard position >= 0, position <= size, Int64(count) <= size - position else {
            throw .image(.damaged(path: path, reason: "it ends too early"))
        }
        var bytes = [UInt8](repeating: 0, count: count)
        var failure: StoreError?
        bytes.withUnsafeMutableBytes { buffer in
            do throws(StoreError) { try fill(buffer, file, position, path) } catch { failure = error }
        }
        if let failure { throw failure }
        return bytes
    }

    private static func fill(
        _ buffer: UnsafeMutableRawBufferPointer, _ file: SharedDescriptor, _ position: Int64, _ path: String
    ) throws(StoreError) {
        var filled = 0
        while filled < buffer.count {
            let start = filled
            let got = retrying { () -> Int in
                let got = pread(
                    file.rawValue, buffer.baseAddress! + start, buffer.count - start, off_t(position) + start)
                return got < 0 ? -Int(errno) : got
            }
            if got < 0 { throw .system(SystemError("read", path: path, Errno(rawValue: Int32(-got)))) }
            if got == 0 { throw .image(.damaged(path: path, reason: "it ends too early")) }
            filled += got
        }
    }

    private func damaged(_ reason: String) -> StoreError { .image(.damaged(path: path, reason: reason)) }
}

extension [UInt8] {
    /// A little-endian number.
    fileprivate func integer<Number: FixedWidthInteger>(at offset: Int, _ type: Number.Type) -> Number {
        withUnsafeBytes { Number(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: type)) }
    }
}
