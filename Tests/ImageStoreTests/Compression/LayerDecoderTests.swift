import CLibzstd
import Testing

@testable import ImageStore

@Suite("decompression")
struct LayerDecoderTests {
    /// Decodes with pieces of input and output of these sizes, as awkward as they may be.
    private func decode(_ stream: [UInt8], input: Int = .max, output: Int = 1 << 16) throws(CompressionError) -> [UInt8]
    {
        var decoder = LayerDecoder()
        var result: [UInt8] = []
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: max(output, 16), alignment: 16)
        defer { room.deallocate() }
        let target = UnsafeMutableRawBufferPointer(rebasing: room[..<output])
        var start = 0
        while start < stream.count {
            let end = start + min(input, stream.count - start)
            var failure: CompressionError?
            Array(stream[start..<end]).withUnsafeBytes { bytes in
                var rest = bytes
                do throws(CompressionError) {
                    while true {
                        let written = try decoder.decode(&rest, into: target)
                        result += target[..<written]
                        if rest.isEmpty, written < output, !decoder.hasPendingHead { break }
                    }
                } catch {
                    failure = error
                }
            }
            if let failure { throw failure }
            start = end
        }
        let written = try decoder.finish(into: room)
        return result + room[..<written]
    }

    private static let text: [UInt8] = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 * $0 >> 7 ^ $0 >> 3) }

    /// Stored deflate blocks in a gzip member with all optional header fields, so that no compressor is needed.
    private func gzip(_ content: [UInt8], optionalFields: Bool = false) -> [UInt8] {
        var member: [UInt8] = [0x1F, 0x8B, 8, optionalFields ? 0x1C : 0, 0, 0, 0, 0, 0, 3]
        if optionalFields { member += [3, 0, 1, 2, 3] + Array("name\u{0}comment\u{0}".utf8) }
        var start = 0
        repeat {
            let end = min(content.count, start + 65535)
            let length = end - start
            member.append(end == content.count ? 1 : 0)
            member += [UInt8(length & 0xFF), UInt8(length >> 8), UInt8(~length & 0xFF), UInt8(~length >> 8 & 0xFF)]
            member += content[start..<end]
            start = end
        } while start < content.count
        var crc = UInt32.max
        for byte in content {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc >> 1 ^ (crc & 1 == 0 ? 0 : 0xEDB8_8320) }
        }
        for word in [~crc, UInt32(content.count)] {
            member += (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) }
        }
        return member
    }

    private func zstd(_ content: [UInt8]) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: ZSTD_compressBound(content.count))
        let size = ZSTD_compress(&result, result.count, content, content.count, 3)
        return Array(result[..<size])
    }

    private static let skippable: [UInt8] = [0x5A, 0x2A, 0x4D, 0x18, 3, 0, 0, 0, 9, 9, 9]

    @Test("gzip of one and of many members, in pieces of any size", arguments: [1, 7, 4096, Int.max], [1, 10, 65536])
    func gzipMembers(input: Int, output: Int) throws {
        let content = Array(Self.text.prefix(input == 1 || output == 1 ? 5000 : Self.text.count))
        #expect(try decode(gzip(content), input: input, output: output) == content)
        let many = gzip(content, optionalFields: true) + gzip([]) + gzip(Array(content.prefix(100))) + [0, 0, 0]
        #expect(try decode(many, input: input, output: output) == content + content.prefix(100))
    }

    @Test("zstd of many frames with skippable ones between them", arguments: [1, 7, 4096, Int.max], [1, 10, 65536])
    func zstdFrames(input: Int, output: Int) throws {
        let content = Array(Self.text.prefix(input == 1 || output == 1 ? 5000 : Self.text.count))
        let stream = Self.skippable + zstd(content) + Self.skippable + zstd([]) + zstd([1, 2, 3]) + Self.skippable
        #expect(try decode(stream, input: input, output: output) == content + [1, 2, 3])
    }

    @Test("streams that are not compressed are passed on, however short", arguments: [0, 1, 5, 6, 7, 1000])
    func plain(length: Int) throws {
        let content = Array(Self.text.prefix(length)).map { $0 | 0x80 }
        for input in [1, 3, Int.max] { #expect(try decode(content, input: input) == content) }
    }

    @Test("a stream cut anywhere is told to be cut")
    func truncated() {
        let content = Array(Self.text.prefix(200))
        for (stream, format) in [(gzip(content), "gzip"), (zstd(content), "zstd")] {
            for length in 6..<stream.count {
                #expect(throws: CompressionError.truncated(format: format)) { try decode(Array(stream[..<length])) }
            }
        }
    }

    @Test("a flipped bit in the content or checksum of gzip is found")
    func damagedGzip() {
        let stream = gzip(Array(Self.text.prefix(500)))
        for index in [20, 400, stream.count - 8, stream.count - 5, stream.count - 1] {
            var damaged = stream
            damaged[index] ^= 0x10
            #expect(throws: CompressionError.damaged(format: "gzip", reason: "the checksum is wrong"), "\(index)") {
                try decode(damaged)
            }
        }
    }

    @Test("a damaged zstd frame is found")
    func damagedZstd() {
        var damaged = zstd(Array(repeating: 1, count: 5000))
        damaged[6] ^= 0xFF
        #expect(throws: CompressionError.self) { try decode(damaged) }
    }

    @Test("garbage behind the last gzip member is refused")
    func trailingGarbage() {
        for garbage: [UInt8] in [[1], [0, 1], [0x1F], [0x1F, 0x8C], [0, 0x1F, 0x8B]] {
            #expect(throws: CompressionError.trailingGarbage) { try decode(gzip([1, 2, 3]) + garbage) }
        }
    }

    @Test("formats that are not read are named")
    func unsupported() {
        #expect(throws: CompressionError.unsupported(format: "xz")) { try decode([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0]) }
        #expect(throws: CompressionError.unsupported(format: "bzip2")) { try decode(Array("BZh9AB".utf8)) }
    }
}
