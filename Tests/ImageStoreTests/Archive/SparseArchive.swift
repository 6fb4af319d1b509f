/// One sparse file, "ab" at 1000 and "cde" at 8192 of 9000 bytes, in the four ways GNU tar has written them.
enum SparseArchive {
    enum Format: CaseIterable { case old, pax00, pax01, pax10 }

    static let content: [UInt8] = {
        var content = [UInt8](repeating: 0, count: 9000)
        content.replaceSubrange(1000..<1002, with: Array("ab".utf8))
        content.replaceSubrange(8192..<8195, with: Array("cde".utf8))
        return content
    }()

    static func make(_ format: Format) -> [UInt8] {
        var tar = CraftedTar()
        let data = Array("abcde".utf8)
        switch format {
        case .old: tar.addRaw(oldHeader() + data + [UInt8](repeating: 0, count: 507))
        case .pax00:
            tar.add(pax: [
                ("GNU.sparse.size", "9000"), ("GNU.sparse.numblocks", "2"), ("GNU.sparse.offset", "1000"),
                ("GNU.sparse.numbytes", "2"), ("GNU.sparse.offset", "8192"), ("GNU.sparse.numbytes", "3"),
            ])
            tar.add(CraftedTar.Header("sparse"), content: data)
        case .pax01:
            tar.add(pax: [
                ("GNU.sparse.size", "9000"), ("GNU.sparse.name", "sparse"),
                ("GNU.sparse.map", "1000,2,8192,3"),
            ])
            tar.add(CraftedTar.Header("GNUSparseFile.1/sparse"), content: data)
        case .pax10:
            tar.add(pax: [
                ("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.name", "sparse"),
                ("GNU.sparse.realsize", "9000"),
            ])
            let map = Array("2\n1000\n2\n8192\n3\n".utf8)
            tar.add(
                CraftedTar.Header("GNUSparseFile.1/sparse"),
                content: map + [UInt8](repeating: 0, count: 512 - map.count) + data)
        }
        tar.add(file: "after", "end")
        return tar.finished()
    }

    /// A GNU header whose map continues in a second block.
    private static func oldHeader() -> [UInt8] {
        var inner = CraftedTar()
        var header = CraftedTar.Header("sparse", type: "S")
        header.magic = Array("ustar  \u{0}".utf8)
        header.size = CraftedTar.octal(5, width: 12)
        inner.add(header)
        var block = Array(inner.bytes.prefix(512))
        func put(_ number: Int, at offset: Int) {
            block.replaceSubrange(offset..<(offset + 11), with: CraftedTar.octal(number, width: 12))
        }
        put(1000, at: 386)
        put(2, at: 398)
        block[482] = 1
        put(9000, at: 483)
        for index in 148..<156 { block[index] = 0x20 }
        let sum = block.reduce(0) { $0 + Int($1) }
        block.replaceSubrange(148..<155, with: CraftedTar.octal(sum, width: 7) + [0])
        var continuation = [UInt8](repeating: 0, count: 512)
        continuation.replaceSubrange(0..<11, with: CraftedTar.octal(8192, width: 12))
        continuation.replaceSubrange(12..<23, with: CraftedTar.octal(3, width: 12))
        return block + continuation
    }
}
