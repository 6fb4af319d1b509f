/// Turns a compressed stream into its content, piece by piece, into memory the caller provides.
protocol StreamDecoder {
    /// Consumes a part of `input` and fills a part of `output`; returns the bytes written. When it leaves input behind,
    /// the output is full.
    mutating func decode(
        _ input: inout UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(CompressionError) -> Int

    /// Throws unless the stream may end here.
    func finish() throws(CompressionError)
}

/// Decodes a layer blob of any supported compression. The kind is taken from the content, as containerd does: media
/// types are wrong often enough, and the digests hold either way.
struct LayerDecoder: ~Copyable {
    private var decoder: (any StreamDecoder)?
    /// The first bytes, until there are enough to know what follows.
    private var head: [UInt8] = []

    /// Bytes that identify every known format.
    private static let headSize = 6

    /// As ``StreamDecoder/decode(_:into:)``.
    mutating func decode(
        _ input: inout UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(CompressionError) -> Int {
        if decoder == nil {
            let taken = min(Self.headSize - head.count, input.count)
            head.append(contentsOf: input[..<taken])
            input = UnsafeRawBufferPointer(rebasing: input[taken...])
            guard head.count == Self.headSize else { return 0 }
            decoder = try Self.makeDecoder(for: head)
        }
        if !head.isEmpty { return try decodeHead(into: output) }
        return try decoder?.decode(&input, into: output) ?? 0
    }

    /// Whether ``decode(_:into:)`` has output to give without further input.
    var hasPendingHead: Bool { decoder != nil && !head.isEmpty }

    /// Ends the input. Streams shorter than a head are decoded here; `output` must have room for them.
    mutating func finish(into output: UnsafeMutableRawBufferPointer) throws(CompressionError) -> Int {
        var written = 0
        if decoder == nil {
            decoder = try Self.makeDecoder(for: head)
            written = try decodeHead(into: output)
        }
        try decoder?.finish()
        return written
    }

    private mutating func decodeHead(into output: UnsafeMutableRawBufferPointer) throws(CompressionError) -> Int {
        var bytes = head
        head = []
        var written = 0
        var failure: CompressionError?
        bytes.withUnsafeMutableBytes { buffer in
            var rest = UnsafeRawBufferPointer(buffer)
            do throws(CompressionError) {
                written = try decoder?.decode(&rest, into: output) ?? 0
            } catch {
                failure = error
            }
            head = Array(rest)
        }
        if let failure { throw failure }
        return written
    }

    private static func makeDecoder(for head: [UInt8]) throws(CompressionError) -> any StreamDecoder {
        func begins(_ magic: [UInt8]) -> Bool { head.starts(with: magic) }
        if begins([0x1F, 0x8B]) { return try makeGzipDecoder() }
        let isSkippableFrame =
            head.count >= 4 && head[0] & 0xF0 == 0x50 && head[1...3].elementsEqual([0x2A, 0x4D, 0x18])
        if begins([0x28, 0xB5, 0x2F, 0xFD]) || isSkippableFrame { return try ZstdDecoder() }
        if begins([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00]) { throw .unsupported(format: "xz") }
        if begins([0x42, 0x5A, 0x68]) { throw .unsupported(format: "bzip2") }
        if begins([0x04, 0x22, 0x4D, 0x18]) { throw .unsupported(format: "lz4") }
        return PlainDecoder()
    }
}

extension LayerDecoder {
    private static func makeGzipDecoder() throws(CompressionError) -> any StreamDecoder {
        #if canImport(CLibisal)
            return GzipDecoder(IsalInflater())
        #else
            return GzipDecoder(try ZlibInflater())
        #endif
    }
}

/// The decoder of streams that are not compressed.
struct PlainDecoder: StreamDecoder {
    mutating func decode(
        _ input: inout UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(CompressionError) -> Int {
        let count = min(input.count, output.count)
        output.copyMemory(from: UnsafeRawBufferPointer(rebasing: input[..<count]))
        input = UnsafeRawBufferPointer(rebasing: input[count...])
        return count
    }

    func finish() throws(CompressionError) {}
}
