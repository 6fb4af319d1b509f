internal import Crypto
internal import Glibc
internal import OCISpec

/// The digest by which a layer's EROFS file can be checked later: SHA-256 over the SHA-256 of each of its pieces.
///
/// A piece ends at each multiple of 4 MiB; the first block, which is written last, is one of its own. So a file can be
/// hashed while it is written, a stretch that was changed afterwards can be hashed again, and holes cost nothing.
final class ImageDigest {
    static let pieceSize: Int64 = 4 << 20

    private var pieces: [UInt8] = []
    private var current = SHA256()
    /// Up to where the file was hashed.
    private var position = Int64(Erofs.blockSize)

    /// Takes in what is written at `offset`, behind all before it; what is left out are zeros.
    func take(_ bytes: UnsafeRawBufferPointer, at offset: Int64) {
        // The first block comes last.
        var rest = UnsafeRawBufferPointer(
            rebasing: bytes.dropFirst(Int(max(0, min(Int64(bytes.count), Int64(Erofs.blockSize) - offset)))))
        takeZeros(upTo: offset + Int64(bytes.count - rest.count))
        while !rest.isEmpty {
            let count = Int(min(Int64(rest.count), Self.pieceSize - position % Self.pieceSize))
            current.update(bufferPointer: UnsafeRawBufferPointer(rebasing: rest[..<count]))
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
            let place = Int(index) * SHA256.byteCount
            pieces.replaceSubrange(
                place..<place + SHA256.byteCount, with: Array(SHA256.hash(bytes: UnsafeRawBufferPointer(room))))
        }
    }

    /// The digest of the whole file.
    func finish(firstBlock: UnsafeRawBufferPointer, length: Int64) -> OCISpec.Digest {
        finishPieces(length)
        return Self.digest(firstBlock: firstBlock, pieces: pieces)
    }

    /// The digest of a file that is there. `read` fills the buffer with what stands from the offset on.
    static func compute<Failure: Error>(
        length: Int64, read: (Int64, UnsafeMutableRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) -> OCISpec.Digest {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(pieceSize), alignment: 4096)
        defer { buffer.deallocate() }
        var first: [UInt8] = []
        var pieces: [UInt8] = []
        var offset: Int64 = 0
        while offset < length {
            let count = Int(min(pieceSize, length - offset))
            try read(offset, UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]))
            var piece = UnsafeRawBufferPointer(rebasing: buffer[..<count])
            if offset == 0 {
                first = Array(piece.prefix(Erofs.blockSize))
                piece = UnsafeRawBufferPointer(rebasing: piece.dropFirst(Erofs.blockSize))
            }
            if !piece.isEmpty { pieces.append(contentsOf: SHA256.hash(bytes: piece)) }
            offset += Int64(count)
        }
        return first.withUnsafeBytes { digest(firstBlock: $0, pieces: pieces) }
    }

    private static func digest(firstBlock: UnsafeRawBufferPointer, pieces: [UInt8]) -> OCISpec.Digest {
        var all = SHA256()
        all.update(data: Array(SHA256.hash(bytes: firstBlock)))
        all.update(data: pieces)
        return OCISpec.Digest(sha256: all.finalize())
    }

    // MARK: Hashing

    private func takeZeros(upTo end: Int64) {
        while position < end {
            if position % Self.pieceSize == 0, end - position >= Self.pieceSize {
                pieces.append(contentsOf: Self.pieceOfZeros)
                position += Self.pieceSize
                continue
            }
            let count = min(end - position, Int64(Self.zeros.count), Self.pieceSize - position % Self.pieceSize)
            Self.zeros.withUnsafeBytes {
                current.update(bufferPointer: UnsafeRawBufferPointer(rebasing: $0[..<Int(count)]))
            }
            advance(count)
        }
    }

    private func advance(_ count: Int64) {
        position += count
        if position % Self.pieceSize == 0 { closePiece() }
    }

    private func closePiece() {
        pieces.append(contentsOf: current.finalize())
        current = SHA256()
    }

    private func finishPieces(_ length: Int64) {
        takeZeros(upTo: length)
        let whole = Int((length + Self.pieceSize - 1) / Self.pieceSize)
        // A file of one block has no piece beside it.
        if pieces.count < whole * SHA256.byteCount, length > Int64(Erofs.blockSize) { closePiece() }
    }

    private static let zeros = [UInt8](repeating: 0, count: 64 << 10)
    private static let pieceOfZeros: [UInt8] = {
        var hash = SHA256()
        for _ in 0..<(Int(pieceSize) / zeros.count) { hash.update(data: zeros) }
        return Array(hash.finalize())
    }()
}

extension SHA256 {
    fileprivate static func hash(bytes: UnsafeRawBufferPointer) -> SHA256.Digest {
        var hash = SHA256()
        hash.update(bufferPointer: bytes)
        return hash.finalize()
    }
}
