internal import CLibz

/// Inflates by zlib: where there is no ISA-L, and to hold ISA-L against.
final class ZlibInflater: MemberInflater {
    private let stream: UnsafeMutablePointer<z_stream>
    /// 32 KiB of history, with the header and checksum of gzip.
    private static let windowBits: Int32 = 15 + 16

    init() throws(CompressionError) {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        guard inflateInit2_(stream, Self.windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
            stream.deallocate()
            throw .damaged(format: "gzip", reason: "no memory for the decoder")
        }
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
    }

    func reset() { inflateReset(stream) }

    func inflate(
        _ input: inout UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(CompressionError) -> (written: Int, isEnd: Bool) {
        var nothing: UInt8 = 0
        let offered = UInt32(clamping: input.count)
        let room = UInt32(clamping: output.count)
        let result = withUnsafeMutablePointer(to: &nothing) { place in
            stream.pointee.next_in = UnsafeMutablePointer(
                mutating: input.baseAddress?.assumingMemoryBound(to: UInt8.self))
            stream.pointee.avail_in = offered
            // zlib wants an address even for no room at all.
            stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self) ?? place
            stream.pointee.avail_out = room
            return CLibz.inflate(stream, Z_NO_FLUSH)
        }
        // Without progress for want of input or room it says so; that is no fault.
        guard result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR else {
            let reason = stream.pointee.msg.map { String(cString: $0) } ?? "decoder result \(result)"
            throw reason == "incorrect data check" ? .wrongGzipChecksum : .damaged(format: "gzip", reason: reason)
        }
        input = UnsafeRawBufferPointer(rebasing: input[Int(offered - stream.pointee.avail_in)...])
        return (Int(room - stream.pointee.avail_out), result == Z_STREAM_END)
    }
}
