import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

@Suite struct FailureTests {
    /// A port where nobody listens.
    private func deadPort() throws -> UInt16 {
        let (_, port) = try GatewayTests.listen()
        return port
    }

    private func ask(_ port: UInt16, _ request: String = "GET / HTTP/1.1\r\nHost: a\r\n\r\n") throws -> TestMessage {
        let client = TestReader(try .connect(port))
        try client.socket.send(request)
        return try client.message()
    }

    @Test("a request that breaks the rules gets its status, and nothing of it reaches the service")
    func refused() throws {
        let server = try FakeServer.answering { _ in "no" }
        let gateway = try TestGateway()
        let port = try gateway.listen(to: server.port)
        try gateway.add()
        let long = String(repeating: "x", count: 70_000)
        for (request, status) in [
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG", 400),
            ("GET /\(long) HTTP/1.1\r\nHost: a\r\n\r\n", 414),
            ("GET /\(long.prefix(17_000)) HTTP/1.1\r\nHost: a\r\n\r\n", 414),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: \(long)\r\n\r\n", 431),
            ("GET / HTTP/1.1\r\nHost: a\r\n\(String(repeating: "A: b\r\n", count: 300))\r\n", 431),
            ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\r\n\r\n", 400),
        ] {
            let answer = try ask(port, request)
            #expect(answer.status == status)
            #expect(answer["connection"] == "close")
        }
        #expect(server.connections == 0)
        #expect(try gateway.statistics()["ownAnswers"]?.int == 6)
    }

    @Test("a chunked body that breaks the rules never becomes another request for the service")
    func smuggledBody() throws {
        let server = try FakeServer.answering(\.startLine)
        let gateway = try TestGateway()
        let port = try gateway.listen(to: server.port)
        try gateway.add()
        let answer = try ask(
            port, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcGET /admin HTTP/1.1\r\n\r\n")
        #expect(answer.status == 400)
        #expect(try gateway.inFlight() == 0)
    }

    @Test("a service where nobody listens gives 502 with its name, after one more try")
    func unreachable() throws {
        let gateway = try TestGateway()
        let port = try gateway.listen("chat", to: try deadPort())
        try gateway.add("chat-1", to: "chat")
        let answer = try ask(port)
        #expect(answer.status == 502)
        #expect(answer.text.contains("service chat: replica chat-1 is not reachable"))
        #expect(answer.text.contains("connection refused"))
        #expect(answer["connection"] == nil)
        #expect(try gateway.statistics("chat")["retries"]?.int == 1)
        #expect(try gateway.inFlight("chat") == 0)
        let event = try gateway.control.event("upstream-failed")
        #expect(event["replica"]?.string == "chat-1")
    }

    @Test("a replica that cannot be reached is left for one that can, body and all")
    func retries() throws {
        let server = try FakeServer.answering { String(decoding: $0.body, as: UTF8.self) }
        let broken = try FakeAgent { _ in .outOfMemory }
        let gateway = try TestGateway()
        let port = try gateway.listen(to: server.port)
        try gateway.add("broken", agent: broken)
        try gateway.add("good", state: "ready")
        for _ in 0..<20 {
            #expect(try ask(port, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").text == "hi")
        }
        #expect(broken.questions > 0)
        #expect((try gateway.statistics()["retries"]?.int ?? 0) > 0)
        #expect(try gateway.statistics()["requests"]?["2xx"]?.int == 20)
    }

    @Test("a lone replica that is found dead and set unready in time makes its request wait, not fail")
    func heldAfterDeath() throws {
        let server = try FakeServer.answering { _ in "back" }
        let gateway = try TestGateway()
        let port = try gateway.listen(to: server.port)
        try gateway.add("r1", agent: try FakeAgent { _ in .connectionRefused })
        let client = TestReader(try .connect(port))
        try client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        _ = try gateway.control.event("upstream-failed")
        try gateway.set("r1", "unready")
        #expect(try eventually { try gateway.queued() == 1 })
        try gateway.remove("r1")
        try gateway.add("r2")
        #expect(try client.message().text == "back")
    }

    @Test("an upstream that dies before it answers gives 502, and the request is not sent a second time")
    func diesBeforeAnswer() throws {
        let server = try FakeServer { reader, _ in _ = try reader.message() }
        let gateway = try TestGateway()
        let port = try gateway.listen("chat", to: server.port)
        try gateway.add(to: "chat")
        let answer = try ask(port)
        #expect(answer.status == 502)
        #expect(answer.text.contains("service chat: replica r1 closed the connection before its answer was complete"))
        #expect(server.connections == 1)
    }

    @Test("after a connection broke the next request waits a moment, since its replica may be dying; but not each time")
    func waitsAfterBreak() throws {
        let server = try FakeServer { reader, number in
            _ = try reader.message()
            if number > 2 { try reader.socket.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi") }
        }
        let gateway = try TestGateway()
        let port = try gateway.listen(to: server.port)
        try gateway.add()
        let client = TestReader(try .connect(port))
        try client.socket.send(String(repeating: "GET / HTTP/1.1\r\nHost: a\r\n\r\n", count: 3))
        #expect(try client.message().status == 502)
        #expect(try client.message().status == 502)
        #expect(try client.message().text == "hi")
        #expect(try gateway.statistics()["queueWait"]?["count"]?.int == 1)
    }

    @Test("an answer that breaks off is seen to be broken by the client")
    func diesInAnswer() throws {
        let server = try FakeServer { reader, _ in
            _ = try reader.message()
            try reader.socket.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        }
        let gateway = try TestGateway()
        let port = try gateway.listen(to: server.port)
        try gateway.add()
        let client = TestReader(try .connect(port))
        try client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(try client.head().status == 200)
        #expect(try client.chunk() == Array("abc".utf8))
        #expect(throws: TestFailure.self) { try client.chunk() }
        #expect(try gateway.statistics()["truncated"]?.int == 1)
    }

    @Test(
        "an answer that is not HTTP gives 502",
        arguments: [
            "SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX : y\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        ])
    func nonsense(text: String) throws {
        let server = try FakeServer { reader, _ in
            _ = try reader.message()
            try reader.socket.send(text)
            _ = try reader.bytes(1)
        }
        let gateway = try TestGateway()
        let port = try gateway.listen(to: server.port)
        try gateway.add()
        #expect(try ask(port).status == 502)
        #expect(try gateway.inFlight() == 0)
    }

    @Test("a server may end the lines of its head by line feeds alone, the client gets them whole; a request may not")
    func bareLineFeeds() throws {
        let server = try FakeServer { reader, _ in
            _ = try reader.message()
            try reader.socket.send("HTTP/1.1 200 OK\nContent-Type: text/plain\nContent-Length: 2\n\nhi")
            _ = try reader.bytes(1)
        }
        let gateway = try TestGateway()
        let port = try gateway.listen(to: server.port)
        try gateway.add()
        let answer = try ask(port)
        #expect(answer.status == 200 && answer.text == "hi" && answer["content-type"] == "text/plain")
        #expect(try ask(port, "GET / HTTP/1.1\nHost: a\n\n").status == 400)
    }

    @Test("a client that leaves takes its upstream connection with it")
    func clientLeaves() throws {
        let sawEnd = SharedFlag()
        let server = try FakeServer { reader, _ in
            _ = try reader.message()
            if try reader.socket.receive().isEmpty { sawEnd.set() }
        }
        let gateway = try TestGateway()
        let port = try gateway.listen(to: server.port)
        try gateway.add()
        let client = TestReader(try .connect(port))
        try client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(try eventually { try gateway.inFlight() == 1 && server.connections == 1 })
        client.socket.shutdownBoth()
        #expect(eventually { sawEnd.isSet })
        #expect(try eventually { try gateway.inFlight() == 0 })
        #expect(try gateway.statistics()["abandoned"]?.int == 1)
    }

    @Test("a socket agent that has ended makes its replica unreachable, not the gateway wait")
    func agentEnds() throws {
        let server = try FakeServer.answering { _ in "x" }
        let agent = try FakeAgent()
        let gateway = try TestGateway()
        let port = try gateway.listen(to: server.port)
        try gateway.add(agent: agent)
        #expect(try ask(port, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").text == "x")
        agent.stop()
        server.stop()
        try gateway.set("r1", "unready")
        try gateway.set("r1", "ready")
        #expect(try ask(port).status == 502)
    }
}
