import NIOCore
import Testing

@testable import Gateway

@Suite struct HTTPHeadTests {
    private func request(_ text: String) throws -> RequestHead { try RequestHead(ByteBuffer(string: text)) }

    private func forwarded(_ text: String, trusted: Bool = false) throws -> String {
        var out = ByteBuffer()
        try request(text).writeForwarded(to: &out, origin: ForwardedOrigin(address: "10.1.2.3", isTrusted: trusted))
        return String(buffer: out)
    }

    @Test("a request is read with its method, target, version and framing")
    func plain() throws {
        let head = try request("POST /v1/chat?x=1 HTTP/1.1\r\nHost: a.example\r\nContent-Length: 12\r\n\r\n")
        #expect(head.bytes.text(head.method) == "POST")
        #expect(head.bytes.text(head.target) == "/v1/chat?x=1")
        #expect(head.framing == .length(12))
        #expect(head.keepsAlive)
        #expect(!head.isHead)
    }

    @Test(
        "a message that two parsers could understand differently is refused",
        arguments: [
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
            ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", 501),
            ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\n Transfer-Encoding: chunked\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: one\r\n two\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nTransfer\u{0b}Encoding: chunked\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400),
            ("GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\n\n", 400),
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
            ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
            ("GET /\u{1} HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GE(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET http:// HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
            ("GET / http/1.1\r\nHost: a\r\n\r\n", 400),
            ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 405),
            ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: a\r\nExpect: a miracle\r\n\r\n", 417),
        ])
    func refused(text: String, status: Int) {
        let fault = #expect(throws: HTTPFault.self) { try request(text) }
        #expect(fault?.status == status, "\(fault?.reason ?? "")")
    }

    @Test("hop-by-hop fields and those that Connection names go no further, framing is restated")
    func hopByHop() throws {
        let text = try forwarded(
            "POST /x HTTP/1.1\r\nhost: a\r\nConnection: close, X-Secret, keep-alive\r\nKeep-Alive: 5\r\nTE: trailers\r\n"
                + "X-Secret: 1\r\nX-Kept: 2\r\nProxy-Connection: x\r\nTransfer-Encoding: chunked\r\nUpgrade: h2c\r\n\r\n"
        )
        #expect(
            text == "POST /x HTTP/1.1\r\nHost: a\r\nX-Kept: 2\r\nX-Forwarded-For: 10.1.2.3\r\n"
                + "X-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    }

    @Test("what a distant client says of forwarding is replaced, what a proxy on this host says is extended")
    func origins() throws {
        let request =
            "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\n"
            + "X-Forwarded-Host: b\r\n\r\n"
        #expect(
            try forwarded(request).hasSuffix(
                "X-Forwarded-For: 10.1.2.3\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\n\r\n"))
        #expect(
            try forwarded(request, trusted: true).hasSuffix(
                "X-Forwarded-For: 1.1.1.1, 10.1.2.3\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\n\r\n"))
        #expect(ForwardedOrigin(try SocketAddress(ipAddress: "::ffff:127.0.0.1", port: 1)).isTrusted)
        #expect(ForwardedOrigin(try SocketAddress(ipAddress: "::ffff:10.0.0.9", port: 1)).address == "10.0.0.9")
    }

    @Test("an absolute target becomes a path, and its authority the Host")
    func absoluteTarget() throws {
        #expect(
            try forwarded("GET HTTP://b:81/p?q HTTP/1.1\r\nHost: a\r\n\r\n").hasPrefix(
                "GET /p?q HTTP/1.1\r\nHost: b:81\r\n"))
        #expect(try forwarded("GET http://b HTTP/1.1\r\nHost: a\r\n\r\n").hasPrefix("GET / HTTP/1.1\r\nHost: b\r\n"))
        #expect(try forwarded("GET http://b?q HTTP/1.1\r\nHost: a\r\n\r\n").hasPrefix("GET /?q HTTP/1.1\r\n"))
        #expect(try forwarded("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").hasPrefix("OPTIONS * HTTP/1.1\r\n"))
    }

    @Test("an upgrade passes, except to HTTP/2 or with a body")
    func upgrades() throws {
        let fields = "Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        #expect(
            try forwarded("GET / HTTP/1.1\r\n\(fields)\r\n").contains("Connection: upgrade\r\nUpgrade: websocket\r\n"))
        #expect(try request("GET / HTTP/1.1\r\n\(fields)Content-Length: 1\r\n\r\n").upgrade == nil)
        #expect(try request("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n").upgrade == nil)
        let http2 = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket, h2c\r\n\r\n"
        #expect(try request(http2).upgrade == nil)
    }

    @Test("an HTTP/1.0 client keeps its connection only if it says so")
    func http10() throws {
        #expect(try !request("GET / HTTP/1.0\r\n\r\n").keepsAlive)
        #expect(try request("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").keepsAlive)
        #expect(try !request("GET / HTTP/1.1\r\nHost: a\r\nConnection: x,  CLOSE\r\n\r\n").keepsAlive)
    }

    @Test("the end of a head is found wherever the pieces are cut")
    func scanning() throws {
        let text = Array("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\nrest".utf8)
        for cut in 0...text.count {
            var scanner = HTTPHeadScanner()
            var buffer = ByteBuffer(bytes: text[..<cut])
            let first = try scanner.headLength(in: buffer, limits: .standard)
            buffer.writeBytes(text[cut...])
            let length = try first ?? scanner.headLength(in: buffer, limits: .standard)
            #expect(length == text.count - 4, "cut at \(cut)")
        }
        var scanner = HTTPHeadScanner()
        var buffer = ByteBuffer()
        for byte in text.dropLast(5) {
            buffer.writeInteger(byte)
            #expect(try scanner.headLength(in: buffer, limits: .standard) == nil)
        }
    }

    @Test("an answer's framing follows its status, its request and its fields")
    func answers() throws {
        func framing(_ fields: String, status: String = "200 OK", toHead: Bool = false) throws -> HTTPFraming {
            try ResponseHead(ByteBuffer(string: "HTTP/1.1 \(status)\r\n\(fields)\r\n"), toHead: toHead).framing
        }
        #expect(try framing("Content-Length: 5\r\n") == .length(5))
        #expect(try framing("Content-Length: 5\r\n", toHead: true) == .none)
        #expect(try framing("Content-Length: 5\r\n", status: "304 Not Modified") == .none)
        #expect(try framing("", status: "204") == .none)
        #expect(try framing("Transfer-Encoding: Chunked\r\n") == .chunked)
        #expect(try framing("") == .untilClose)
        for broken in ["HTTP/1.1 20 OK", "HTTP/1.1 200OK", "HTTP/2 200 OK", "ICY 200 OK", "HTTP/1.1 099 X", "200"] {
            #expect(throws: HTTPFault.self, "\(broken)") {
                try ResponseHead(ByteBuffer(string: "\(broken)\r\n\r\n"), toHead: false)
            }
        }
    }
}
