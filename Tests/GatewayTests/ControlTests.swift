import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

@Suite struct ControlTests {
    @Test("a supervisor that was started again gets every descriptor back, and nobody has noticed")
    func adoption() throws {
        let server = try FakeServer.answering { _ in "served" }
        let agent = try FakeAgent()
        let gateway = try TestGateway()
        let port = try gateway.listen(to: server.port)
        try gateway.add("r1", agent: agent)
        try gateway.add("host", state: "draining")
        let client = TestReader(try .connect(port))
        func ask() throws -> String {
            try client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            return try client.message().text
        }
        #expect(try ask() == "served")
        gateway.control.disconnect()
        #expect(try ask() == "served")
        try gateway.reconnect()
        let items = try gateway.control.done(["op": "list"])
        #expect(items.count == 3)
        let listener = try #require(items.first { $0.json["item"]?.string == "listener" })
        #expect(listener.json["id"]?.string == "svc/\(server.port)")
        #expect(listener.json["protocol"]?.string == "http")
        #expect(listener.json["containerPort"]?.int == Int(server.port))
        #expect(try mlr_local_port(#require(listener.descriptors.first).rawValue) == Int32(port))
        let replica = try #require(items.first { $0.json["replica"]?.string == "r1" })
        #expect(replica.json["state"]?.string == "ready")
        #expect(replica.descriptors.count == 1)
        let host = try #require(items.first { $0.json["replica"]?.string == "host" })
        #expect(host.json["state"]?.string == "draining")
        #expect(host.descriptors.isEmpty)
        #expect(try ask() == "served")
        // What was handed back can be handed to the next gateway. Two at once would take each other's sockets.
        try gateway.remove("r1")
        let next = try TestGateway()
        try next.control.done(
            [
                "op": "listen", "id": "x", "service": "svc", "protocol": "http",
                "containerPort": .integer(Int64(server.port)),
            ],
            listener.descriptors[0])
        try next.control.done(
            ["op": "replica-add", "service": "svc", "replica": "r1", "state": "ready"], replica.descriptors[0])
        try gateway.control.done(["op": "unlisten", "id": "svc/\(server.port)".json])
        let other = TestReader(try .connect(port))
        try other.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(try other.message().text == "served")
        #expect(try next.statistics()["requests"]?["2xx"]?.int == 1)
    }

    @Test("a message that is wrong is refused with its field, and changes nothing")
    func refusals() throws {
        let gateway = try TestGateway()
        let (socket, _) = try GatewayTests.listen()
        let listen: JSON = ["op": "listen", "id": "a", "service": "s", "protocol": "http", "containerPort": 1]
        func with(_ name: String, _ value: JSON?) -> JSON {
            var object = listen.object!
            object[name] = value
            return .object(object)
        }
        let control = gateway.control
        #expect(try control.refusal(["x": 1]) == "op: is missing")
        #expect(try control.refusal(["op": "dance"]) == "op: is no operation of the gateway")
        #expect(try control.refusal(with("id", nil), socket) == "id: is missing")
        #expect(try control.refusal(with("id", ""), socket).hasPrefix("id: "))
        #expect(
            try control.refusal(with("service", 3), socket) == "service: a string is expected, but it is an integer")
        #expect(try control.refusal(with("protocol", "udp"), socket) == "protocol: must be http or tcp")
        #expect(try control.refusal(with("containerPort", 65536), socket).hasPrefix("containerPort: is out of range"))
        #expect(try control.refusal(with("containerPort", 0), socket) == "containerPort: must not be 0")
        #expect(try control.refusal(with("colour", 1), socket) == "colour: is no field of listen")
        #expect(try control.refusal(listen).hasPrefix("descriptor: 0 came"))
        let agent = try FakeAgent()
        #expect(try control.refusal(listen, agent.client).hasPrefix("descriptor: the socket of listen must be"))
        let replica: JSON = ["op": "replica-add", "service": "s", "replica": "r", "state": "ready"]
        #expect(try control.refusal(replica, socket).hasPrefix("descriptor: a socket agent's must be"))
        #expect(
            try control.refusal(["op": "replica-add", "service": "s", "replica": "r", "state": "new"]).hasPrefix(
                "state: "))
        #expect(
            try control.refusal(["op": "replica-set", "service": "s", "replica": "r", "state": "ready"])
                == "replica: there is no replica r of service s")
        #expect(try control.refusal(["op": "unlisten", "id": "a"]) == "id: there is no listener a")
        #expect(try control.refusal(["op": "service-set", "service": "s", "maxWait": -1]).hasPrefix("maxWait: "))
        #expect(try control.done(["op": "list"]).isEmpty)
        #expect(try control.done(["op": "stats"]).isEmpty)
        try control.done(replica)
        #expect(try control.refusal(replica) == "replica: r of service s is there already")
        try control.done(listen, socket)
        #expect(try control.refusal(listen, socket) == "id: listener a is there already")
        for text in ["", "{", "[]", "null", "{\"seq\":1}", "\u{0}"] where !text.isEmpty {
            try control.send(text)
            #expect(try control.receive().json["error"]?.string != nil, "\(text)")
        }
        try control.send(String(repeating: " ", count: 100_000))
        #expect(try control.receive().json["error"]?.string?.contains("larger than") == true)
        #expect(try control.done(["op": "list"]).count == 2)
    }

    @Test("a service is forgotten with its last listener and replica, and whoever waits for it is told")
    func forgotten() throws {
        let gateway = try TestGateway()
        let port = try gateway.listen(to: 9)
        let client = TestReader(try .connect(port))
        try client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(try eventually { try gateway.queued() == 1 })
        try gateway.control.done(["op": "unlisten", "id": "svc/9"])
        let answer = try client.message()
        #expect(answer.status == 503)
        #expect(answer.text.contains("service svc has been removed"))
        #expect(try client.socket.receiveToEnd().isEmpty)
        #expect(try gateway.control.done(["op": "stats"]).isEmpty)
    }

    @Test("sockets come from the agent, one ahead of need, and an answer too many does no harm")
    func agents() throws {
        let server = try FakeServer.answering { _ in "x" }
        let agent = try FakeAgent()
        // A question whose asker is gone, as a gateway leaves it that was killed.
        var question = UInt8(ascii: "T")
        for _ in 0..<3 { mlr_send_descriptors(agent.client.rawValue, &question, 1, nil, 0, 0) }
        #expect(eventually { agent.questions == 3 })
        let gateway = try TestGateway()
        let port = try gateway.listen(to: server.port)
        try gateway.add(agent: agent)
        let clients = try (0..<40).map { _ in TestReader(try .connect(port)) }
        for client in clients { try client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") }
        for client in clients { #expect(try client.message().text == "x") }
        #expect(agent.questions >= 4)
        #expect(try gateway.inFlight() == 0)
    }

    @Test("a stop accepts nothing more, closes what is idle, and waits for what is in flight")
    func stopping() throws {
        let mayAnswer = SharedFlag()
        let server = try FakeServer { reader, _ in
            _ = try reader.message()
            _ = eventually { mayAnswer.isSet }
            try reader.socket.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")
        }
        let gateway = try TestGateway()
        let port = try gateway.listen(to: server.port)
        try gateway.add()
        let idle = try TestSocket.connect(port)
        let busy = TestReader(try .connect(port))
        try busy.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(try eventually { try gateway.inFlight() == 1 && gateway.statistics()["connections"]?.int == 2 })
        gateway.stop()
        #expect(try idle.receiveToEnd().isEmpty)
        #expect(!gateway.hasEnded)
        mayAnswer.set()
        let answer = try busy.message()
        #expect(answer.text == "done")
        #expect(answer["connection"] == "close")
        #expect(eventually { gateway.hasEnded })
    }

    @Test("a stop waits no longer than its time")
    func stopDeadline() throws {
        let server = try FakeServer { reader, _ in
            _ = try reader.message(); _ = try reader.bytes(1)
        }
        let gateway = try TestGateway(drainTimeout: 0.3)
        let port = try gateway.listen(to: server.port)
        try gateway.add()
        let busy = TestReader(try .connect(port))
        try busy.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(try eventually { try gateway.inFlight() == 1 })
        gateway.stop()
        #expect(eventually(within: 5) { gateway.hasEnded })
        let rest = String(decoding: try busy.socket.receiveToEnd(), as: UTF8.self)
        #expect(rest.isEmpty || rest.hasPrefix("HTTP/1.1 502"))
    }

    @Test("services on several event loops do not mix")
    func severalLoops() throws {
        let gateway = try TestGateway(threads: 3)
        var ports: [UInt16] = []
        var servers: [FakeServer] = []
        for number in 0..<6 {
            let server = try FakeServer.answering { _ in "s\(number)" }
            servers.append(server)
            ports.append(try gateway.listen("s\(number)", to: server.port))
            try gateway.add(to: "s\(number)")
        }
        for (number, port) in ports.enumerated() {
            let client = TestReader(try .connect(port))
            try client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try client.message().text == "s\(number)")
        }
        #expect(try gateway.control.done(["op": "stats"]).count == 6)
    }
}

extension String {
    fileprivate var json: JSON { .string(self) }
}
