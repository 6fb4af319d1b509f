internal import CLibzstd

/// Zstandard (RFC 8878) by libzstd, over any number of frames; skippable frames are passed over.
final class ZstdDecoder: StreamDecoder {
    private let context: OpaquePointer
    /// Whether the last frame is complete.
    private var betweenFrames = true

    /// The largest window a frame may ask for, 128 MiB, is libzstd's own default.
    init() throws(CompressionError) {
        guard let context = ZSTD_createDCtx() else {
            throw .damaged(format: "zstd", reason: "no memory for the decoder")
        }
        self.context = context
    }

    deinit { ZSTD_freeDCtx(context) }

    func decode(
        _ input: inout UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(CompressionError) -> Int {
        var source = ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
        var target = ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
        // At a full output the decoder may hold back more even if all input is taken.
        while target.pos < target.size {
            let before = (source.pos, target.pos)
            let result = ZSTD_decompressStream(context, &target, &source)
            if ZSTD_isError(result) != 0 {
                throw .damaged(format: "zstd", reason: String(cString: ZSTD_getErrorName(result)).lowercased())
            }
            // Without progress the result speaks of a frame that has not begun.
            if before == (source.pos, target.pos) { break }
            betweenFrames = result == 0
            if source.pos == source.size && target.pos < target.size { break }
        }
        input = UnsafeRawBufferPointer(rebasing: input[source.pos...])
        return target.pos
    }

    func finish() throws(CompressionError) {
        if !betweenFrames { throw .truncated(format: "zstd") }
    }
}
