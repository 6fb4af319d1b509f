internal import CLibisal

/// gzip (RFC 1952) by ISA-L, over any number of members.
final class GzipDecoder: StreamDecoder {
    private let state: UnsafeMutablePointer<inflate_state>
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

    init() {
        state = .allocate(capacity: 1)
        isal_inflate_init(state)
        state.pointee.crc_flag = UInt32(ISAL_GZIP)
    }

    deinit { state.deallocate() }

    func decode(
        _ input: inout UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(CompressionError) -> Int {
        var written = 0
        while true {
            if try !enterMember(&input) { return written }
            state.pointee.next_in = UnsafeMutablePointer(
                mutating: input.baseAddress?.assumingMemoryBound(to: UInt8.self))
            state.pointee.avail_in = UInt32(clamping: input.count)
            let offered = Int(state.pointee.avail_in)
            let room = UInt32(clamping: output.count - written)
            state.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self).advanced(by: written)
            state.pointee.avail_out = room
            let result = isal_inflate(state)
            guard result == ISAL_DECOMP_OK || result == ISAL_END_INPUT || result == ISAL_OUT_OVERFLOW else {
                throw .damaged(format: "gzip", reason: Self.reason(result))
            }
            input = UnsafeRawBufferPointer(rebasing: input[(offered - Int(state.pointee.avail_in))...])
            written += Int(room - state.pointee.avail_out)
            if state.pointee.block_state == ISAL_BLOCK_FINISH {
                position = .afterMember
            } else if state.pointee.avail_in == 0 || written == output.count {
                return written
            }
        }
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
                isal_inflate_reset(state)
                state.pointee.crc_flag = UInt32(ISAL_GZIP)
                position = .insideMember
                try feedMagic()
            case .afterMember where byte == 0, .padding where byte == 0: position = .padding
            default: throw .trailingGarbage
            }
            input = UnsafeRawBufferPointer(rebasing: input[1...])
        }
    }

    /// Gives the decoder the two bytes that ``enterMember(_:)`` took to recognise it.
    private func feedMagic() throws(CompressionError) {
        var magic: (UInt8, UInt8) = (0x1F, 0x8B)
        let result = withUnsafeMutableBytes(of: &magic) { bytes in
            state.pointee.next_in = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
            state.pointee.avail_in = 2
            state.pointee.avail_out = 0
            return isal_inflate(state)
        }
        guard result == ISAL_DECOMP_OK || result == ISAL_END_INPUT, state.pointee.avail_in == 0 else {
            throw .damaged(format: "gzip", reason: Self.reason(result))
        }
    }

    private static func reason(_ result: Int32) -> String {
        switch result {
        case ISAL_INVALID_BLOCK: "a block has an unknown type or length"
        case ISAL_INVALID_SYMBOL: "a code stands for nothing"
        case ISAL_INVALID_LOOKBACK: "a match reaches back before the start"
        case ISAL_INVALID_WRAPPER: "a member's header is malformed"
        case ISAL_UNSUPPORTED_METHOD: "a member is not compressed with deflate"
        case ISAL_INCORRECT_CHECKSUM: "the checksum is wrong"
        default: "decoder result \(result)"
        }
    }
}
