/// The on-disk form of an inode in its 64-byte form, with the extended attributes that follow it.
enum InodeRecord {
    /// overlayfs's mark of a directory that hides those of lower layers: `trusted.overlay.opaque` is `y`.
    static let opaqueName = Array("overlay.opaque".utf8)
    static let opaqueSize = attributeSize(name: opaqueName.count, value: 1)

    /// Bytes of one attribute, padded to whole words.
    static func attributeSize(name: Int, value: Int) -> Int { Erofs.roundedUp(4 + name + value, to: 4) }

    /// Bytes of all attributes with their header; 0 without any.
    static func attributesSize(of inode: LayerInode) -> Int {
        let entries = entriesSize(of: inode)
        return entries == 0 ? 0 : Erofs.extendedAttributeHeaderSize + entries
    }

    static func entriesSize(of inode: LayerInode) -> Int {
        Int(inode.attributesSize) + (inode.isOpaque ? opaqueSize : 0)
    }

    /// Encodes one attribute behind others.
    static func appendAttribute(
        _ index: Erofs.AttributeIndex, name: some Collection<UInt8>, value: some Collection<UInt8>,
        to bytes: inout [UInt8]
    ) {
        bytes.append(UInt8(name.count))
        bytes.append(index.rawValue)
        bytes.append(UInt8(truncatingIfNeeded: value.count))
        bytes.append(UInt8(truncatingIfNeeded: value.count >> 8))
        bytes.append(contentsOf: name)
        bytes.append(contentsOf: value)
        while bytes.count % 4 != 0 { bytes.append(0) }
    }

    /// Encodes inode and attributes into zeroed memory with room for them; returns their size.
    @discardableResult
    static func encode(
        _ index: UInt32, in tree: borrowing LayerTree, links: UInt32, into record: UnsafeMutableRawPointer
    ) -> Int {
        let inode = tree.inodes[Int(index)]
        let size = attributesSize(of: inode)
        encodeFixedPart(inode, number: index, links: links, attributesSize: size, into: record)
        if size > 0 { encodeEntries(of: inode, in: tree, into: record + headerEnd) }
        return Erofs.inodeSize + size
    }

    /// Encodes an inode whose attributes are `shared` ones elsewhere, at these word offsets.
    static func encode(
        _ index: UInt32, in tree: borrowing LayerTree, links: UInt32, shared: [UInt32],
        into record: UnsafeMutableRawPointer
    ) {
        let size = Erofs.extendedAttributeHeaderSize + shared.count * 4
        encodeFixedPart(
            tree.inodes[Int(index)], number: index, links: links, attributesSize: size, into: record)
        record.store(UInt8(shared.count), at: Erofs.inodeSize + 4)
        for (position, offset) in shared.enumerated() { record.store(offset, at: headerEnd + position * 4) }
    }

    /// The attributes of an inode without their header.
    static func encodeEntries(
        of inode: LayerInode, in tree: borrowing LayerTree, into target: UnsafeMutableRawPointer
    ) {
        let own = tree.attributes.bytes(at: inode.attributes, count: Int(inode.attributesSize))
        if let source = own.baseAddress { target.copyMemory(from: source, byteCount: own.count) }
        guard inode.isOpaque else { return }
        var opaque: [UInt8] = []
        appendAttribute(.trusted, name: opaqueName, value: CollectionOfOne(UInt8(ascii: "y")), to: &opaque)
        (target + own.count).copyMemory(from: opaque, byteCount: opaque.count)
    }

    private static let headerEnd = Erofs.inodeSize + Erofs.extendedAttributeHeaderSize

    private static func encodeFixedPart(
        _ inode: LayerInode, number: UInt32, links: UInt32, attributesSize: Int, into record: UnsafeMutableRawPointer
    ) {
        // Attributes are counted in words behind their header, which counts as one.
        let attributeWords =
            attributesSize == 0 ? 0 : (attributesSize - Erofs.extendedAttributeHeaderSize) / 4 + 1
        record.store(inode.layout.rawValue << 1 | 1, at: 0)
        record.store(UInt16(attributeWords), at: 2)
        record.store(inode.type.modeBits | inode.mode, at: 4)
        record.store(UInt64(inode.size), at: 8)
        record.store(inode.location, at: 16)
        record.store(number &+ 1, at: 20)
        record.store(inode.uid, at: 24)
        record.store(inode.gid, at: 28)
        record.store(UInt64(bitPattern: inode.modified), at: 32)
        record.store(inode.nanoseconds, at: 40)
        record.store(links, at: Erofs.linksOffset)
    }
}
