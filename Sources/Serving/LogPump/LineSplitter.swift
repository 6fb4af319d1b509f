/// Cuts a stream of output into what becomes one log record each: lines without their line feed, and pieces of lines
/// that are too long.
enum LineSplitter {
    /// A line longer than this becomes several records (Docker's limit too).
    static let longestPiece = 16 * 1024

    struct Piece: Equatable {
        /// The bytes to log, as offsets into what was split.
        let range: Range<Int>
        /// How many bytes of the stream are used up once this piece is logged; counts the line feed.
        let end: Int
        /// More of the same line follows in the next record.
        let isPartial: Bool
    }

    /// The pieces that are complete. With `atEnd` an unfinished last line is complete too.
    static func pieces(of bytes: UnsafeRawBufferPointer, atEnd: Bool) -> [Piece] {
        var pieces: [Piece] = []
        var start = 0
        var position = 0
        while position < bytes.count {
            if bytes[position] == UInt8(ascii: "\n") {
                pieces.append(Piece(range: start..<position, end: position + 1, isPartial: false))
                start = position + 1
            } else if position - start == longestPiece {
                let cut = boundary(bytes, from: start, atMost: position)
                pieces.append(Piece(range: start..<cut, end: cut, isPartial: true))
                start = cut
            }
            position += 1
        }
        if atEnd, start < bytes.count {
            pieces.append(Piece(range: start..<bytes.count, end: bytes.count, isPartial: false))
        }
        return pieces
    }

    /// The last place at or before `limit` that does not cut a UTF-8 sequence; `limit` itself in what is not UTF-8.
    private static func boundary(_ bytes: UnsafeRawBufferPointer, from start: Int, atMost limit: Int) -> Int {
        var cut = limit
        while cut > limit - 4, cut > start, bytes[cut] & 0xC0 == 0x80 { cut -= 1 }
        return bytes[cut] & 0xC0 == 0x80 ? limit : cut
    }
}
