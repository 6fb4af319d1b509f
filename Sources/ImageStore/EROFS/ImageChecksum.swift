/// The checksum by which damage to a layer's EROFS file is found: the CRC-64 of the CRC-64 of each of its pieces. What
/// the layer is was verified by its digests when it came; who can write to the store could change a digest as well.
///
/// A piece ends at each multiple of 4 MiB; the first block, which is written last, is one of its own. So it can be
/// taken while the file is written and again of a stretch that was changed afterwards, and holes cost nothing.
final class ImageChecksum {
    static let pieceSize: Int64 = 4 << 20

    private var pieces: [UInt64] = []
    private var current = CRC64()
    /// Up to where the file was taken in.
    private var position = Int64(Erofs.blockSize)

    /// Takes in what is written at `offset`, behind all before it; what is left out are zeros.
    func take(_ bytes: UnsafeRawBufferPointer, at offset: Int64) {
        // The first block comes last.
        var rest = UnsafeRawBufferPointer(
            rebasing: bytes.dropFirst(Int(max(0, min(Int64(bytes.count), Int64(Erofs.blockSize) - offset)))))
        takeZeros(upTo: offset + Int64(bytes.count - rest.count))
        while !rest.isEmpty {
            let count = Int(min(Int64(rest.count), Self.pieceSize - position % Self.pieceSize))
            current.update(UnsafeRawBufferPointer(rebasing: rest[..<count]))
            advance(Int64(count))
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    /// The pieces that hold these offsets were changed: `read` gives their content anew.
    func replace<Failure: Error>(
        piecesAt offsets: [Int64], length: Int64,
        read: (Range<Int64>, UnsafeMutableRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        let changed = Set(offsets.map { $0 / Self.pieceSize })
        if changed.isEmpty { return }
        // All that is to be replaced has to be complete.
        finishPieces(length)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(Self.pieceSize), alignment: 4096)
        defer { buffer.deallocate() }
        for index in changed.sorted() {
            let range =
                max(index * Self.pieceSize, Int64(Erofs.blockSize))..<min((index + 1) * Self.pieceSize, length)
            let room = UnsafeMutableRawBufferPointer(rebasing: buffer[..<Int(range.upperBound - range.lowerBound)])
            try read(range, room)
            pieces[Int(index)] = CRC64(of: UnsafeRawBufferPointer(room)).value
        }
    }

    /// The checksum of the whole file.
    func finish(firstBlock: UnsafeRawBufferPointer, length: Int64) -> UInt64 {
        finishPieces(length)
        return Self.checksum(first: CRC64(of: firstBlock), pieces: pieces)
    }

    /// The checksum of a file that is there. `read` fills the buffer with what stands from the offset on.
    static func compute<Failure: Error>(
        length: Int64, read: (Int64, UnsafeMutableRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) -> UInt64 {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(pieceSize), alignment: 4096)
        defer { buffer.deallocate() }
        var first = CRC64()
        var pieces: [UInt64] = []
        var offset: Int64 = 0
        while offset < length {
            let count = Int(min(pieceSize, length - offset))
            try read(offset, UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]))
            var piece = UnsafeRawBufferPointer(rebasing: buffer[..<count])
            if offset == 0 {
                first.update(UnsafeRawBufferPointer(rebasing: piece.prefix(Erofs.blockSize)))
                piece = UnsafeRawBufferPointer(rebasing: piece.dropFirst(Erofs.blockSize))
            }
            if !piece.isEmpty { pieces.append(CRC64(of: piece).value) }
            offset += Int64(count)
        }
        return checksum(first: first, pieces: pieces)
    }

    private static func checksum(first: CRC64, pieces: [UInt64]) -> UInt64 {
        var all = CRC64()
        for value in [first.value] + pieces { withUnsafeBytes(of: value.littleEndian) { all.update($0) } }
        return all.value
    }

    // MARK: Pieces

    private func takeZeros(upTo end: Int64) {
        while position < end {
            if position % Self.pieceSize == 0, end - position >= Self.pieceSize {
                pieces.append(Self.pieceOfZeros)
                position += Self.pieceSize
                continue
            }
            let count = min(end - position, Int64(Self.zeros.count), Self.pieceSize - position % Self.pieceSize)
            Self.zeros.withUnsafeBytes {
                current.update(UnsafeRawBufferPointer(rebasing: $0[..<Int(count)]))
            }
            advance(count)
        }
    }

    private func advance(_ count: Int64) {
        position += count
        if position % Self.pieceSize == 0 { closePiece() }
    }

    private func closePiece() {
        pieces.append(current.value)
        current = CRC64()
    }

    private func finishPieces(_ length: Int64) {
        takeZeros(upTo: length)
        let whole = Int((length + Self.pieceSize - 1) / Self.pieceSize)
        // A file of one block has no piece beside it.
        if pieces.count < whole, length > Int64(Erofs.blockSize) { closePiece() }
    }

    private static let zeros = [UInt8](repeating: 0, count: 64 << 10)
    private static let pieceOfZeros: UInt64 = {
        var checksum = CRC64()
        zeros.withUnsafeBytes { for _ in 0..<(Int(pieceSize) / $0.count) { checksum.update($0) } }
        return checksum.value
    }()
}
