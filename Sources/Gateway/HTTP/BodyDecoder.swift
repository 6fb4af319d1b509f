internal import NIOCore

/// Cuts a body out of the bytes of a connection, piece by piece, never holding more than one unfinished line of it.
struct BodyDecoder {
    enum Piece: Equatable {
        case data(ByteBuffer)
        /// The body is over. The trailer section's lines and their empty line, where there are any.
        case end(trailers: ByteBuffer?)
        case needsMore
    }

    private enum State: Equatable {
        case data(left: Int)
        case chunkSize
        case chunkData(left: Int)
        case chunkEnd
        case trailers
        case untilClose
        case ended
    }

    private var state: State
    private let limits: HTTPLimits
    private var scanner = HTTPHeadScanner()

    init(_ framing: HTTPFraming, limits: HTTPLimits = .standard) {
        self.limits = limits
        switch framing {
        case .none: state = .data(left: 0)
        case .length(let length): state = .data(left: length)
        case .chunked: state = .chunkSize
        case .untilClose: state = .untilClose
        }
    }

    var isUntilClose: Bool { state == .untilClose }

    /// The next piece of the body at the front of `input`, which it is taken from.
    mutating func next(from input: inout ByteBuffer) throws(HTTPFault) -> Piece {
        while true {
            switch state {
            case .data(left: 0):
                state = .ended
                return .end(trailers: nil)
            case .data(let left):
                guard let slice = input.readUpTo(left) else { return .needsMore }
                state = .data(left: left - slice.readableBytes)
                return .data(slice)
            case .untilClose:
                guard let slice = input.readUpTo(Int.max) else { return .needsMore }
                return .data(slice)
            case .chunkSize:
                guard let line = try line(from: &input, limit: limits.chunkLine) else { return .needsMore }
                let size = try chunkSize(line)
                state = size == 0 ? .trailers : .chunkData(left: size)
            case .chunkData(left: 0): state = .chunkEnd
            case .chunkData(let left):
                guard let slice = input.readUpTo(left) else { return .needsMore }
                state = .chunkData(left: left - slice.readableBytes)
                return .data(slice)
            case .chunkEnd:
                guard let end: UInt16 = input.readInteger() else { return .needsMore }
                guard end == 0x0d0a else { throw HTTPFault(400, "a chunk does not end where its size says") }
                state = .chunkSize
            case .trailers: return try trailers(from: &input)
            case .ended: return .end(trailers: nil)
            }
        }
    }

    private mutating func trailers(from input: inout ByteBuffer) throws(HTTPFault) -> Piece {
        guard let first: UInt8 = input.getInteger(at: input.readerIndex) else { return .needsMore }
        if first == .carriageReturn {
            guard let end: UInt16 = input.readInteger() else { return .needsMore }
            guard end == 0x0d0a else { throw HTTPFault(400, "the trailer section does not end in an empty line") }
            state = .ended
            return .end(trailers: nil)
        }
        var bounded = limits
        bounded.head = limits.trailers
        guard let length = try scanner.headLength(in: input, limits: bounded) else { return .needsMore }
        state = .ended
        return .end(trailers: input.readSlice(length: length))
    }

    private func line(from input: inout ByteBuffer, limit: Int) throws(HTTPFault) -> ByteBuffer? {
        let view = input.readableBytesView
        guard let end = view.prefix(limit + 2).firstIndex(of: .lineFeed) else {
            guard view.count <= limit else { throw HTTPFault(400, "a chunk size line is longer than \(limit) bytes") }
            return nil
        }
        let length = end - view.startIndex
        guard length > 0, view[end - 1] == .carriageReturn else {
            throw HTTPFault(400, "a chunk size line ends in a bare line feed")
        }
        let line = input.readSlice(length: length - 1)
        input.moveReaderIndex(forwardBy: 2)
        return line
    }

    private func chunkSize(_ line: ByteBuffer) throws(HTTPFault) -> Int {
        var size = 0
        var digits = 0
        var isExtension = false
        for byte in line.readableBytesView {
            if isExtension {
                guard byte.isFieldContent else { throw HTTPFault(400, "a chunk extension holds a control character") }
            } else if let value = byte.hexadecimalValue, digits < 15 {
                size = size << 4 | value
                digits += 1
            } else if digits > 0, byte == UInt8(ascii: ";") {
                isExtension = true
            } else {
                throw HTTPFault(400, "a chunk size is not a hexadecimal number")
            }
        }
        guard digits > 0 else { throw HTTPFault(400, "a chunk has no size") }
        return size
    }
}

extension ByteBuffer {
    /// As many bytes as there are, at most `limit`; nil when there are none. The last ones leave the buffer empty-handed
    /// so that it does not keep the memory alive.
    mutating func readUpTo(_ limit: Int) -> ByteBuffer? {
        guard readableBytes > 0 else { return nil }
        if readableBytes <= limit {
            let all = self
            self = ByteBuffer()
            return all
        }
        return readSlice(length: limit)
    }
}
