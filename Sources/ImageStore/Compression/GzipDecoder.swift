/// Inflates one gzip member (RFC 1952) after the other, header and checksum included.
protocol MemberInflater {
    /// Prepares for another member.
    func reset()

    /// Consumes a part of `input` and fills a part of `output`. When it leaves input behind, the output is full or the
    /// member has ended.
    func inflate(
        _ input: inout UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(CompressionError) -> (written: Int, isEnd: Bool)
}

/// gzip over any number of members, as a parallel compressor or `cat` makes them. Zeros may pad the end, as on a tape;
/// anything else behind the last member is refused.
final class GzipDecoder<Inflater: MemberInflater>: StreamDecoder {
    private let inflater: Inflater
    private var position = Position.insideMember

    private enum Position {
        case insideMember
        /// The last member is complete; nothing follows yet.
        case afterMember
        /// The first byte of another member's magic number was seen at the end of a piece of input.
        case afterMagicByte
        /// Zero padding follows the last member.
        case padding
    }

    init(_ inflater: Inflater) { self.inflater = inflater }

    func decode(
        _ input: inout UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(CompressionError) -> Int {
        var written = 0
        while try enterMember(&input) {
            let part = try inflater.inflate(&input, into: UnsafeMutableRawBufferPointer(rebasing: output[written...]))
            written += part.written
            if part.isEnd {
                position = .afterMember
            } else if input.isEmpty || written == output.count {
                return written
            }
        }
        return written
    }

    func finish() throws(CompressionError) {
        switch position {
        case .afterMember, .padding: return
        case .afterMagicByte: throw .trailingGarbage
        case .insideMember: throw .truncated(format: "gzip")
        }
    }

    /// Whether a member is open. Between members it looks for the magic number of the next one.
    private func enterMember(_ input: inout UnsafeRawBufferPointer) throws(CompressionError) -> Bool {
        while true {
            if position == .insideMember { return true }
            guard let byte = input.first else { return false }
            switch position {
            case .afterMember where byte == 0x1F: position = .afterMagicByte
            case .afterMagicByte where byte == 0x8B:
                position = .insideMember
                inflater.reset()
                try feedMagic()
            case .afterMember where byte == 0, .padding where byte == 0: position = .padding
            default: throw .trailingGarbage
            }
            input = UnsafeRawBufferPointer(rebasing: input[1...])
        }
    }

    /// Gives the inflater the two bytes that ``enterMember(_:)`` took to recognise a member.
    private func feedMagic() throws(CompressionError) {
        let magic: [UInt8] = [0x1F, 0x8B]
        try magic.withBytes { bytes throws(CompressionError) in
            var bytes = bytes
            _ = try inflater.inflate(&bytes, into: UnsafeMutableRawBufferPointer(start: nil, count: 0))
        }
    }
}

/// What is wrong with a member, in the words of either library.
extension CompressionError {
    static let wrongGzipChecksum = CompressionError.damaged(format: "gzip", reason: "the checksum is wrong")
}
