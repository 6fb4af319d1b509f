/// A 512-byte header block of a tar archive, in any of the dialects in use: v7, ustar (POSIX.1-1988), star, GNU.
struct TarHeader {
    /// Bytes of a block: headers are one, content is padded to whole ones.
    static let blockSize = 512

    private let block: UnsafeRawPointer

    /// How names and the space after them are laid out.
    enum Dialect { case v7, ustar, star, gnu }

    /// The block must stay valid while the header is used.
    init(_ block: UnsafeRawPointer) { self.block = block }

    var isZero: Bool {
        for word in 0..<64 where block.loadUnaligned(fromByteOffset: word * 8, as: UInt64.self) != 0 { return false }
        return true
    }

    /// The stored sum matches the bytes, summed as unsigned ones (POSIX) or as signed ones (old programs).
    var hasValidChecksum: Bool {
        guard case .some(let stored) = number(at: 148, length: 8) else { return false }
        var unsigned: Int64 = 0
        var signed: Int64 = 0
        for index in 0..<Self.blockSize {
            let byte = (148..<156).contains(index) ? 0x20 : block.load(fromByteOffset: index, as: UInt8.self)
            unsigned += Int64(byte)
            signed += Int64(Int8(bitPattern: byte))
        }
        return stored == unsigned || stored == signed
    }

    var dialect: Dialect {
        func has(_ magic: StaticString, at offset: Int) -> Bool {
            for index in 0..<magic.utf8CodeUnitCount
            where block.load(fromByteOffset: offset + index, as: UInt8.self) != magic.utf8Start[index] { return false }
            return true
        }
        if has("ustar\0", at: 257) { return has("tar\0", at: 508) ? .star : .ustar }
        if has("ustar  \0", at: 257) { return .gnu }
        return .v7
    }

    var type: UInt8 { block.load(fromByteOffset: 156, as: UInt8.self) }

    var mode: Int64? { number(at: 100, length: 8) }
    var uid: Int64? { number(at: 108, length: 8) }
    var gid: Int64? { number(at: 116, length: 8) }
    var size: Int64? { number(at: 124, length: 12) }
    var modified: Int64? { number(at: 136, length: 12) }
    var deviceMajor: Int64? { dialect == .v7 ? 0 : number(at: 329, length: 8) }
    var deviceMinor: Int64? { dialect == .v7 ? 0 : number(at: 337, length: 8) }

    /// Appends the name, joined with its prefix where the dialect has one.
    func appendPath(to path: inout [UInt8]) {
        let prefixLength =
            switch dialect {
            case .ustar: 155
            case .star: 131
            case .v7, .gnu: 0
            }
        let prefix = text(at: 345, length: prefixLength)
        if !prefix.isEmpty {
            path.append(contentsOf: prefix)
            path.append(UInt8(ascii: "/"))
        }
        path.append(contentsOf: text(at: 0, length: 100))
    }

    func appendLinkTarget(to target: inout [UInt8]) { target.append(contentsOf: text(at: 157, length: 100)) }

    // MARK: Old GNU sparse files

    /// The first four parts of a sparse file's map.
    var sparseMap: TarHeader.SparseParts { SparseParts(header: self, start: 386, room: 4) }
    /// The 21 parts of a block that continues the map.
    var sparseContinuation: TarHeader.SparseParts { SparseParts(header: self, start: 0, room: 21) }
    var sparseIsContinued: Bool { block.load(fromByteOffset: 482, as: UInt8.self) != 0 }
    var sparseContinuationIsContinued: Bool { block.load(fromByteOffset: 504, as: UInt8.self) != 0 }
    /// The size with holes.
    var sparseRealSize: Int64? { number(at: 483, length: 12) }

    /// Consecutive (offset, length) pairs of 12 bytes each.
    struct SparseParts {
        fileprivate let header: TarHeader
        fileprivate let start: Int
        let room: Int

        /// Whether the pair is in use.
        func isPresent(_ index: Int) -> Bool {
            header.block.load(fromByteOffset: start + index * 24, as: UInt8.self) != 0
        }
        func offset(_ index: Int) -> Int64? { header.number(at: start + index * 24, length: 12) }
        func length(_ index: Int) -> Int64? { header.number(at: start + index * 24 + 12, length: 12) }
    }

    // MARK: Fields

    /// The bytes of a field up to its first NUL.
    private func text(at offset: Int, length: Int) -> UnsafeRawBufferPointer {
        let field = UnsafeRawBufferPointer(start: block + offset, count: length)
        return UnsafeRawBufferPointer(rebasing: field.prefix { $0 != 0 })
    }

    /// A number in octal digits, or in base 256 (GNU, star) where the first bit is set; nil for anything else.
    private func number(at offset: Int, length: Int) -> Int64? {
        TarNumber.parse(UnsafeRawBufferPointer(start: block + offset, count: length))
    }
}

/// Numbers as tar archives write them.
enum TarNumber {
    /// Octal digits between spaces and NULs, empty meaning 0; or two's complement with the first bit set.
    static func parse(_ field: UnsafeRawBufferPointer) -> Int64? {
        guard let first = field.first else { return nil }
        return first & 0x80 != 0 ? parseBinary(field, first: first) : parseOctal(field)
    }

    private static func parseOctal(_ field: UnsafeRawBufferPointer) -> Int64? {
        var index = 0
        while index < field.count, field[index] == 0x20 || field[index] == 0 { index += 1 }
        var value: Int64 = 0
        while index < field.count, (0x30...0x37).contains(field[index]) {
            let (shifted, overflow) = value.multipliedReportingOverflow(by: 8)
            if overflow { return nil }
            value = shifted + Int64(field[index] - 0x30)
            index += 1
        }
        while index < field.count {
            if field[index] == 0 { break }
            guard field[index] == 0x20 else { return nil }
            index += 1
        }
        return value
    }

    private static func parseBinary(_ field: UnsafeRawBufferPointer, first: UInt8) -> Int64? {
        let isNegative = first & 0x40 != 0
        var value: Int64 = isNegative ? -1 : 0
        for (index, byte) in field.enumerated() {
            // The first byte carries the marker bit; sign extension stands in for it.
            let part = index == 0 ? (isNegative ? byte | 0x80 : byte & 0x7F) : byte
            let (shifted, overflow) = value.multipliedReportingOverflow(by: 256)
            if overflow { return nil }
            value = index == 0 && isNegative ? Int64(Int8(bitPattern: part)) : shifted | Int64(part)
        }
        return value
    }
}
