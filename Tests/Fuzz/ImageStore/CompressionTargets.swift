import CLibz
import CLibzstd

@testable import ImageStore

extension FuzzTarget {
    /// ISA-L and zlib inflate the same, and what was deflated comes back whatever members and pieces it is cut into.
    static let gzip = FuzzTarget(name: "gzip") { bytes throws(FuzzFinding) in
        let fast = Content(of: GzipDecoder(try inflater(IsalInflater())), bytes, room: 1000)
        let slow = Content(of: GzipDecoder(try inflater(try? ZlibInflater())), bytes, room: 997)
        // Which of two faults is met first is the library's business, and so is how much of a bad stream it gives out.
        if let fast = fast.complete, let slow = slow.complete {
            try promise(fast == slow, "ISA-L inflates \(fast.count) bytes, zlib other \(slow.count)")
        }
        guard let shape = bytes.first else { return }
        let content = Array(bytes.dropFirst())
        let cut = content.count * Int(shape & 0x1F) / 31
        var stream = try deflated(content[..<cut], level: Int32(shape >> 5) % 10)
        stream += try deflated(content[cut...], level: Int32(shape >> 6))
        if shape & 1 == 1 { stream += [UInt8](repeating: 0, count: Int(shape)) }
        try comesBack(content, from: stream, endsAnywhere: shape & 1 == 1 || cut == 0)
    }

    /// What was compressed comes back whatever frames it is cut into, with skippable frames between.
    static let zstd = FuzzTarget(name: "zstd") { bytes throws(FuzzFinding) in
        guard let shape = bytes.first else { return }
        let content = Array(bytes.dropFirst())
        let cut = content.count * Int(shape & 0x1F) / 31
        let skipped: [UInt8] = [0x50 | shape & 0xF, 0x2A, 0x4D, 0x18, shape >> 4, 0, 0, 0]
        var stream = shape & 0x20 != 0 ? skipped + [UInt8](repeating: 0xFD, count: Int(shape >> 4)) : []
        stream += try framed(content[..<cut], level: Int32(shape >> 5), checksum: shape & 2 != 0)
        if shape & 0x40 != 0 { stream += skipped + [UInt8](repeating: 0x28, count: Int(shape >> 4)) }
        let last = try framed(content[cut...], level: Int32(shape >> 6), checksum: shape & 4 != 0)
        try comesBack(content, from: stream + last, endsAnywhere: false, lastFrame: last.count)
    }

    private static func comesBack(
        _ content: [UInt8], from stream: [UInt8], endsAnywhere: Bool, lastFrame: Int = 1
    ) throws(FuzzFinding) {
        let whole = Content(of: try decoder(stream), stream, room: 64 << 10)
        try promise(whole.complete == content, "\(content.count) bytes do not come back: \(whole)")
        let pieces = Content(of: try decoder(stream), stream, pieces: stream.pieces, room: 251)
        try promise(pieces.complete == content, "\(content.count) bytes do not come back in pieces: \(pieces)")
        if endsAnywhere { return }
        let cut = Content(of: try decoder(stream), Array(stream.dropLast(1)), room: 64 << 10)
        try promise(cut.complete == nil, "a stream of \(stream.count) bytes can do without its last one")
    }

    private static func decoder(_ stream: [UInt8]) throws(FuzzFinding) -> any StreamDecoder {
        if stream.starts(with: [0x1F, 0x8B]) { return GzipDecoder(IsalInflater()) }
        guard let decoder = try? ZstdDecoder() else { throw FuzzFinding(description: "no memory") }
        return decoder
    }

    private static func inflater<Inflater>(_ inflater: Inflater?) throws(FuzzFinding) -> Inflater {
        guard let inflater else { throw FuzzFinding(description: "no memory") }
        return inflater
    }

    // MARK: Compressing

    private static func deflated(_ content: ArraySlice<UInt8>, level: Int32) throws(FuzzFinding) -> [UInt8] {
        var stream = z_stream()
        let size = Int32(MemoryLayout<z_stream>.size)
        guard deflateInit2_(&stream, level, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, size) == Z_OK else {
            throw FuzzFinding(description: "zlib cannot compress")
        }
        defer { deflateEnd(&stream) }
        var input = Array(content)
        var output = [UInt8](repeating: 0, count: Int(deflateBound(&stream, UInt(input.count))) + 64)
        let ended = input.withUnsafeMutableBufferPointer { input in
            output.withUnsafeMutableBufferPointer { output in
                stream.next_in = input.baseAddress
                stream.avail_in = UInt32(input.count)
                stream.next_out = output.baseAddress
                stream.avail_out = UInt32(output.count)
                return deflate(&stream, Z_FINISH)
            }
        }
        guard ended == Z_STREAM_END else { throw FuzzFinding(description: "zlib cannot compress: \(ended)") }
        return Array(output[..<Int(stream.total_out)])
    }

    private static func framed(
        _ content: ArraySlice<UInt8>, level: Int32, checksum: Bool
    ) throws(FuzzFinding) -> [UInt8] {
        let context = ZSTD_createCCtx()
        defer { ZSTD_freeCCtx(context) }
        ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level)
        ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, checksum ? 1 : 0)
        let input = Array(content)
        var output = [UInt8](repeating: 0, count: ZSTD_compressBound(input.count))
        let size = ZSTD_compress2(context, &output, output.count, input, input.count)
        guard ZSTD_isError(size) == 0 else { throw FuzzFinding(description: "zstd cannot compress") }
        return Array(output[..<size])
    }
}

/// What a decoder makes of a stream, and how that ended.
private struct Content: CustomStringConvertible {
    private var bytes: [UInt8] = []
    private var fault: CompressionError?
    private static let most = 1 << 20

    /// The content of a stream that is whole; nil for any other.
    var complete: [UInt8]? { fault == nil ? bytes : nil }
    var description: String { "\(bytes.count) bytes\(fault.map { ", then \($0)" } ?? "")" }

    init(of decoder: any StreamDecoder, _ stream: [UInt8], pieces: [ArraySlice<UInt8>]? = nil, room: Int) {
        var decoder = decoder
        let output = UnsafeMutableRawBufferPointer.allocate(byteCount: room, alignment: 1)
        defer { output.deallocate() }
        do throws(CompressionError) {
            for piece in pieces ?? [stream[...]] {
                let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: piece.count, alignment: 1)
                defer { memory.deallocate() }
                memory.copyBytes(from: piece)
                var input = UnsafeRawBufferPointer(memory)
                while true {
                    let written = try decoder.decode(&input, into: output)
                    bytes.append(contentsOf: output[..<written])
                    if bytes.count > Self.most { throw .expandsTooMuch(limit: Int64(Self.most)) }
                    if input.isEmpty, written < room { break }
                }
            }
            try decoder.finish()
        } catch {
            fault = error
        }
    }
}
