import NIOCore
import Testing

@testable import Gateway

@Suite struct BodyDecoderTests {
    /// Everything a decoder makes of `text` when it comes in pieces of `size` bytes, and what it leaves.
    private func decode(
        _ text: String, _ framing: HTTPFraming, pieces size: Int
    ) throws -> (body: String, ended: Bool, trailers: String?, left: Int) {
        var decoder = BodyDecoder(framing)
        var buffer = ByteBuffer()
        var body = ""
        var rest = Array(text.utf8)[...]
        while true {
            switch try decoder.next(from: &buffer) {
            case .data(let bytes): body += String(buffer: bytes)
            case .end(let trailers):
                return (body, true, trailers.map { String(buffer: $0) }, buffer.readableBytes + rest.count)
            case .needsMore:
                if rest.isEmpty { return (body, false, nil, buffer.readableBytes) }
                buffer.writeBytes(rest.prefix(size))
                rest = rest.dropFirst(size)
            }
        }
    }

    @Test("a chunked body is the same however it is cut", arguments: [1, 2, 3, 7, 1000])
    func chunked(size: Int) throws {
        let text = "4\r\nWiki\r\nA;name=value\r\npedia in\r\n\r\n0003\r\nabc\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\nGET"
        let result = try decode(text, .chunked, pieces: size)
        #expect(result.body == "Wikipedia in\r\nabc")
        #expect(result.ended)
        #expect(result.trailers == "X-Sum: 1\r\nY: 2\r\n\r\n")
        #expect(result.left == 3)
    }

    @Test("a body with a length ends there", arguments: [1, 4, 100])
    func length(size: Int) throws {
        let result = try decode("helloGET", .length(5), pieces: size)
        #expect(result.body == "hello")
        #expect(result.ended)
        #expect(result.left == 3)
        #expect(try decode("hell", .length(5), pieces: size).ended == false)
        #expect(try decode("", .length(0), pieces: size).ended)
    }

    @Test(
        "broken chunks are refused",
        arguments: [
            "g\r\n", "\r\n", " 4\r\nWiki\r\n", "4 \r\nWiki\r\n", "-1\r\n", "+4\r\nWiki\r\n", "0x4\r\nWiki\r\n",
            "4\nWiki\r\n", "4\r\nWikiX\r\n", "4\r\nWiki\n\n", "ffffffffffffffff\r\n", "4;a\u{1}\r\nWiki\r\n",
            "4;\(String(repeating: "x", count: 3000))", "0\r\n\rX",
        ])
    func broken(text: String) {
        #expect(throws: HTTPFault.self) { try decode(text, .chunked, pieces: 1) }
        #expect(throws: HTTPFault.self) { try decode(text, .chunked, pieces: 10_000) }
    }

    @Test("fields with a meaning for framing or the connection do not come through in trailers")
    func trailers() throws {
        let fields = try TrailerFields(
            ByteBuffer(string: "X-Sum: 1\r\nContent-Length: 9\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n"))
        var out = ByteBuffer()
        fields.write(to: &out)
        #expect(String(buffer: out) == "X-Sum: 1\r\n")
        #expect(throws: HTTPFault.self) { try TrailerFields(ByteBuffer(string: "X : 1\r\n\r\n")) }
    }
}
