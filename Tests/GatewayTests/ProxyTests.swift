import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Synchronization
import Testing

@Suite struct ProxyTests {
    @Test("requests on one connection share one upstream connection and keep their order, pipelined or not")
    func keepAlive() throws {
        let server = try FakeServer.answering { request in
            "\(request.startLine)|\(String(decoding: request.body, as: UTF8.self))"
        }
        let gateway = try TestGateway()
        let port = try gateway.listen(to: server.port)
        try gateway.add()
        let client = TestReader(try .connect(port))
        for number in 1...3 {
            try client.socket.send("GET /\(number) HTTP/1.1\r\nHost: a\r\n\r\n")
            let answer = try client.message()
            #expect(answer.text == "GET /\(number) HTTP/1.1|")
            #expect(answer["connection"] == nil)
        }
        try client.socket.send(
            "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n"
                + "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n")
        #expect(try client.message().text == "POST /a HTTP/1.1|one")
        #expect(try client.message().text == "GET /b HTTP/1.1|")
        #expect(try client.message().text == "POST /c HTTP/1.1|two")
        #expect(server.connections == 1)
        let statistics = try gateway.statistics()
        #expect(statistics["requests"]?["2xx"]?.int == 6)
        #expect(statistics["bytesIn"]?.int == 6)
        #expect(statistics["firstByte"]?["count"]?.int == 6)
        #expect(statistics["inFlight"]?.int == 0)
    }

    @Test("many requests sent ahead are answered one after the other")
    func deepPipeline() throws {
        let server = try FakeServer.answering(\.startLine)
        let gateway = try TestGateway()
        let port = try gateway.listen(to: server.port)
        try gateway.add()
        let client = TestReader(try .connect(port))
        let requests = (0..<2000).map { "GET /\($0) HTTP/1.1\r\nHost: a\r\n\r\n" }.joined()
        inBackground { [socket = client.socket] in try? socket.send(requests) }
        for number in 0..<2000 { #expect(try client.message().text == "GET /\(number) HTTP/1.1") }
    }

    @Test("an answer that is written piece by piece is not held back for acknowledgements")
    func pieces() throws {
        // Without TCP_NODELAY the kernel keeps the second piece until the first is acknowledged.
        let server = try FakeServer { reader, _ in
            while true {
                _ = try reader.message()
                try reader.socket.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
                try reader.socket.send("late")
            }
        }
        let gateway = try TestGateway()
        let port = try gateway.listen(to: server.port)
        try gateway.add()
        let client = TestReader(try .connect(port))
        let before = try Self.delayedAcknowledgements()
        for _ in 0..<60 {
            try client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try client.message().text == "late")
        }
        // Those that a timer had to send, of this whole network namespace: other tests run beside this one.
        #expect(try Self.delayedAcknowledgements() - before < 20)
        #expect(server.connections == 1)
    }

    /// DelayedACKs of TcpExt.
    private static func delayedAcknowledgements() throws -> Int {
        let lines = try File.readText("/proc/net/netstat").split(separator: "\n")
            .filter { $0.hasPrefix("TcpExt:") }.map { $0.split(separator: " ") }
        let names = try #require(lines.first)
        let column = try #require(names.firstIndex(of: "DelayedACKs"))
        return try #require(Int(lines[1][column]))
    }

    @Test("a connection that the upstream closes between requests is not used again")
    func closedWhileIdle() throws {
        let server = try FakeServer { reader, number in
            _ = try reader.message()
            try reader.socket.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\(number)")
        }
        let gateway = try TestGateway()
        let port = try gateway.listen(to: server.port)
        try gateway.add()
        let client = TestReader(try .connect(port))
        for number in 1...5 {
            try client.socket.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
            #expect(try client.message().text == "\(number)")
            #expect(try eventually { try gateway.idleConnections() == 0 })
        }
    }

    @Test("a connection over which something came that nobody asked for is not used again")
    func unasked() throws {
        let hasSaidMore = SharedFlag()
        let server = try FakeServer { reader, number in
            _ = try reader.message()
            try reader.socket.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\(number)")
            if number == 1 {
                usleep(100_000)
                try reader.socket.send("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
                hasSaidMore.set()
            }
            _ = try reader.bytes(1)
        }
        let gateway = try TestGateway()
        let port = try gateway.listen(to: server.port)
        try gateway.add()
        let client = TestReader(try .connect(port))
        let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
        try client.socket.send(request)
        #expect(try client.message().text == "1")
        #expect(eventually { hasSaidMore.isSet })
        try client.socket.send(request)
        #expect(try client.message().text == "2")
    }

    @Test("a chunked body passes piece by piece in both directions, with its trailers")
    func streamsBothWays() throws {
        let server = try FakeServer { reader, _ in
            let request = try reader.head()
            try reader.socket.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n")
            guard request["transfer-encoding"] == "chunked", request["content-length"] == nil else { return }
            while true {
                let data = try reader.chunk()
                if data.isEmpty { break }
                try reader.socket.send(
                    "\(String(data.count, radix: 16))\r\n\(String(decoding: data, as: UTF8.self))\r\n")
            }
            try reader.socket.send("0\r\nX-End: \(reader.lastTrailers.first?.value ?? "")\r\n\r\n")
        }
        let gateway = try TestGateway()
        let port = try gateway.listen(to: server.port)
        try gateway.add()
        let client = TestReader(try .connect(port))
        try client.socket.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        let head = try client.head()
        #expect(head["transfer-encoding"] == "chunked")
        for word in ["one", "two", "three"] {
            try client.socket.send("\(String(word.utf8.count, radix: 16));x=y\r\n\(word)\r\n")
            #expect(try client.chunk() == Array(word.utf8))
        }
        try client.socket.send("0\r\nX-Sum: 42\r\nContent-Length: 7\r\n\r\n")
        #expect(try client.chunk().isEmpty)
        #expect(client.lastTrailers.map(\.value) == ["42"])
    }

    @Test("the first event of a stream arrives before the second is sent")
    func serverSentEvents() throws {
        let mayGoOn = SharedFlag()
        let server = try FakeServer { reader, _ in
            _ = try reader.message()
            try reader.socket.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
            _ = eventually { mayGoOn.isSet }
            try reader.socket.send("data: 2\n\n")
        }
        let gateway = try TestGateway()
        let port = try gateway.listen(to: server.port)
        try gateway.add()
        let client = TestReader(try .connect(port))
        try client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(try client.head()["content-type"] == "text/event-stream")
        #expect(try client.chunk() == Array("data: 1\n\n".utf8))
        mayGoOn.set()
        #expect(try client.chunk() == Array("data: 2\n\n".utf8))
        #expect(try client.chunk().isEmpty)
        // The upstream ended its stream with its connection; the client's goes on.
        try client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(try client.head().status == 200)
    }

    @Test("an HTTP/1.0 client gets plain bytes and the end of the connection, or keep-alive if it asks for it")
    func http10() throws {
        let server = try FakeServer { reader, _ in
            while true {
                let request = try reader.message()
                if request.startLine.contains("chunked") {
                    try reader.socket.send(
                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
                } else {
                    try reader.socket.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")
                }
            }
        }
        let gateway = try TestGateway()
        let port = try gateway.listen(to: server.port)
        try gateway.add()
        let first = TestReader(try .connect(port))
        try first.socket.send("GET /chunked HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        let answer = try first.message()
        #expect(answer["transfer-encoding"] == nil)
        #expect(answer.text == "abc")
        let second = TestReader(try .connect(port))
        for _ in 1...2 {
            try second.socket.send("GET /plain HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            let answer = try second.message()
            #expect(answer["connection"] == "keep-alive")
            #expect(answer.text == "abc")
        }
    }

    @Test("answers without a body end at their head: HEAD, 204, 304")
    func bodiless() throws {
        let server = try FakeServer { reader, _ in
            while true {
                let request = try reader.head()
                if request.startLine.hasPrefix("HEAD") {
                    try reader.socket.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                } else if request.startLine.contains("204") {
                    try reader.socket.send("HTTP/1.1 204 No Content\r\n\r\n")
                } else {
                    try reader.socket.send("HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n")
                }
            }
        }
        let gateway = try TestGateway()
        let port = try gateway.listen(to: server.port)
        try gateway.add()
        let client = TestReader(try .connect(port))
        try client.socket.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(try client.message(toHead: true)["content-length"] == "1000")
        try client.socket.send("GET /204 HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(try client.message().status == 204)
        try client.socket.send("GET /304 HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(try client.message()["content-length"] == "1000")
        #expect(server.connections == 1)
    }

    @Test("100-continue is asked of the service and passed to the client before it sends the body")
    func expectContinue() throws {
        let server = try FakeServer { reader, _ in
            guard try reader.head()["expect"] == "100-continue" else { return }
            try reader.socket.send("HTTP/1.1 100 Continue\r\n\r\n")
            let body = try reader.bytes(5)
            try reader.socket.send(
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n\(String(decoding: body, as: UTF8.self))")
        }
        let gateway = try TestGateway()
        let port = try gateway.listen(to: server.port)
        try gateway.add()
        let client = TestReader(try .connect(port))
        try client.socket.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        #expect(try client.head().status == 100)
        try client.socket.send("hello")
        #expect(try client.message().text == "hello")
    }

    @Test("an answer that comes before the request has ended closes the connection, and reaches the client whole")
    func earlyAnswer() throws {
        let server = try FakeServer { reader, _ in
            _ = try reader.head()
            try reader.socket.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
            _ = try reader.bytes(1)
        }
        let gateway = try TestGateway()
        let port = try gateway.listen(to: server.port)
        try gateway.add()
        let client = TestReader(try .connect(port))
        try client.socket.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        try client.socket.send([UInt8](repeating: 65, count: 200_000))
        let answer = try client.message()
        #expect(answer.status == 413)
        #expect(answer["connection"] == "close")
        #expect(answer.text == "big")
        #expect(try client.socket.receiveToEnd().isEmpty)
    }

    @Test("64 MiB pass in each direction while a slow side holds the other back")
    func backPressure() throws {
        let size = 64 << 20
        let mayRead = SharedFlag()
        let piece = [UInt8](repeating: 90, count: 1 << 20)
        let server = try FakeServer { reader, _ in
            _ = try reader.head()
            _ = eventually(within: 30) { mayRead.isSet }
            var received = 0
            while received < size { received += try reader.bytes(min(1 << 20, size - received)).count }
            try reader.socket.send("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n")
            for _ in 0..<(size / piece.count) { try reader.socket.send(piece) }
        }
        let gateway = try TestGateway()
        let port = try gateway.listen(to: server.port)
        try gateway.add()
        let client = TestReader(try .connect(port))
        try client.socket.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(size)\r\n\r\n")
        // While nobody reads, only the buffers of the kernel and of one read fill up.
        let taken = client.socket.sendWhileTaken(piece, for: 0.5, limit: size)
        #expect(taken < 24 << 20)
        mayRead.set()
        var left = size - taken
        while left > 0 {
            try client.socket.send(Array(piece.prefix(left)))
            left -= min(left, piece.count)
        }
        #expect(try client.head().status == 200)
        usleep(300_000)
        #expect((try gateway.statistics()["bytesOut"]?.int ?? size) < 24 << 20)
        var received = 0
        while received < size { received += try client.bytes(min(1 << 20, size - received)).count }
        #expect(try gateway.statistics()["bytesIn"]?.int == size)
        #expect(try gateway.statistics()["bytesOut"]?.int == size)
    }

    @Test("an upgraded connection carries bytes both ways, from the very first on")
    func upgrade() throws {
        let server = try FakeServer { reader, _ in
            let request = try reader.head()
            guard request["connection"] == "upgrade", request["upgrade"] == "websocket" else { return }
            try reader.socket.send(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX: y\r\n\r\nhi ")
            while true { try reader.socket.send(try reader.bytes(1)) }
        }
        let gateway = try TestGateway()
        let port = try gateway.listen(to: server.port)
        try gateway.add()
        let client = TestReader(try .connect(port))
        try client.socket.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nab")
        let answer = try client.head()
        #expect(answer.status == 101)
        #expect(answer["upgrade"] == "websocket")
        #expect(try client.bytes(5) == Array("hi ab".utf8))
        try client.socket.send("\0\u{1}GET / HTTP/1.1\r\n\r\n")
        #expect(try client.bytes(20) == Array("\0\u{1}GET / HTTP/1.1\r\n\r\n".utf8))
        #expect(try gateway.inFlight() == 1)
        client.socket.shutdownBoth()
        #expect(try eventually { try gateway.inFlight() == 0 })
        #expect(try gateway.statistics()["requests"]?["1xx"]?.int == 1)
    }

    @Test("500 connections at once are all answered")
    func manyConnections() throws {
        let server = try FakeServer.answering { "\($0.startLine)" }
        let gateway = try TestGateway()
        let port = try gateway.listen(to: server.port)
        try gateway.add()
        let clients = try (0..<500).map { _ in TestReader(try .connect(port)) }
        for round in 0..<3 {
            for (number, client) in clients.enumerated() {
                try client.socket.send("GET /\(number).\(round) HTTP/1.1\r\nHost: a\r\n\r\n")
            }
            for (number, client) in clients.enumerated() {
                #expect(try client.message().text == "GET /\(number).\(round) HTTP/1.1")
            }
        }
        #expect(try gateway.statistics()["connections"]?.int == 500)
    }
}
