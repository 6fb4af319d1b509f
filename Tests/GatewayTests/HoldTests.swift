import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

@Suite struct HoldTests {
    private let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

    @Test("requests wait for a replica, in their order, and their bodies wait at the client")
    func heldUntilReady() throws {
        let server = try FakeServer.answering { $0.startLine }
        let gateway = try TestGateway()
        let port = try gateway.listen(to: server.port)
        try gateway.add(state: "unready")
        try gateway.control.done(["op": "service-set", "service": "svc", "concurrency": 1])
        let clients = try (0..<20).map { number in
            let client = TestReader(try .connect(port))
            try client.socket.send("GET /\(number) HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try eventually { try gateway.queued() == number + 1 })
            return client
        }
        let upload = TestReader(try .connect(port))
        try upload.socket.send("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 33554432\r\n\r\n")
        let body = [UInt8](repeating: 66, count: 1 << 20)
        let taken = upload.socket.sendWhileTaken(body, for: 0.3, limit: 32 << 20)
        #expect(taken < 16 << 20)
        #expect(server.connections == 0)
        try gateway.set("r1", "ready")
        for (number, client) in clients.enumerated() { #expect(try client.message().text == "GET /\(number) HTTP/1.1") }
        #expect(try gateway.statistics()["queueWait"]?["count"]?.int == 21)
        var left = (32 << 20) - taken
        while left > 0 {
            try upload.socket.send(Array(body.prefix(left)))
            left -= min(left, body.count)
        }
        #expect(try upload.message().text == "POST /up HTTP/1.1")
        #expect(server.connections == 1)
    }

    @Test("a full queue and a wait that is over give 503 with Retry-After")
    func limits() throws {
        let gateway = try TestGateway()
        let port = try gateway.listen(to: 9)
        try gateway.control.done(["op": "service-set", "service": "svc", "maxQueue": 2, "maxWait": 0.4])
        let first = TestReader(try .connect(port))
        let second = TestReader(try .connect(port))
        try first.socket.send(request)
        try second.socket.send(request)
        #expect(try eventually { try gateway.queued() == 2 })
        let third = TestReader(try .connect(port))
        try third.socket.send(request)
        let full = try third.message()
        #expect(full.status == 503)
        #expect(full["retry-after"] != nil)
        #expect(full.text.contains("service svc: 2 requests are waiting already"))
        for client in [first, second] {
            let answer = try client.message()
            #expect(answer.status == 503)
            #expect(answer["retry-after"] != nil)
            #expect(answer.text.contains("no replica was free"))
        }
        #expect(try gateway.queued() == 0)
        // The connections are as good as before.
        try third.socket.send(request)
        #expect(try third.message().status == 503)
    }

    @Test("a held request whose client leaves is dropped")
    func droppedWhileHeld() throws {
        let server = try FakeServer.answering { _ in "x" }
        let gateway = try TestGateway()
        let port = try gateway.listen(to: server.port)
        let leaving = TestReader(try .connect(port))
        try leaving.socket.send(request)
        let staying = TestReader(try .connect(port))
        try staying.socket.send(request)
        #expect(try eventually { try gateway.queued() == 2 })
        leaving.socket.shutdownBoth()
        #expect(try eventually { try gateway.queued() == 1 })
        try gateway.add()
        #expect(try staying.message().text == "x")
        #expect(try gateway.statistics()["requests"]?["2xx"]?.int == 1)
    }

    @Test("no replica gets more requests at a time than its service allows, and the least busy one gets the next")
    func balancing() throws {
        let mayAnswer = SharedFlag()
        let server = try FakeServer { reader, _ in
            while true {
                _ = try reader.message()
                _ = eventually(within: 20) { mayAnswer.isSet }
                try reader.socket.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            }
        }
        let gateway = try TestGateway()
        let port = try gateway.listen(to: server.port)
        try gateway.control.done(["op": "service-set", "service": "svc", "concurrency": 3])
        for name in ["a", "b", "c"] { try gateway.add(name) }
        let clients = try (1...11).map { number in
            let client = TestReader(try .connect(port))
            try client.socket.send(request)
            #expect(try eventually { try gateway.inFlight() + gateway.queued() == number })
            if number % 3 == 0, number <= 9 {
                let loads = try gateway.statistics()["replicas"]?.array?.map { $0["inFlight"]?.int }
                #expect(loads == [number / 3, number / 3, number / 3])
            }
            return client
        }
        #expect(try gateway.inFlight() == 9)
        #expect(try gateway.queued() == 2)
        mayAnswer.set()
        for client in clients { #expect(try client.message().status == 200) }
        #expect(try gateway.inFlight() == 0)
    }

    @Test("a draining replica gets nothing new, and is reported when the last answer has left it")
    func draining() throws {
        let mayAnswer = SharedFlag()
        let server = try FakeServer { reader, _ in
            while true {
                _ = try reader.message()
                _ = eventually { mayAnswer.isSet }
                try reader.socket.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            }
        }
        let gateway = try TestGateway()
        let port = try gateway.listen(to: server.port)
        try gateway.add("old")
        let first = TestReader(try .connect(port))
        try first.socket.send(request)
        #expect(try eventually { try gateway.inFlight() == 1 })
        try gateway.set("old", "draining")
        let second = TestReader(try .connect(port))
        try second.socket.send(request)
        #expect(try eventually { try gateway.queued() == 1 })
        #expect(gateway.control.events.isEmpty)
        mayAnswer.set()
        #expect(try first.message().status == 200)
        #expect(try gateway.control.event("drained")["replica"]?.string == "old")
        #expect(try gateway.queued() == 1)
        try gateway.remove("old")
        try gateway.add("new")
        #expect(try second.message().status == 200)
        try gateway.set("new", "draining")
        #expect(try gateway.control.event("drained")["replica"]?.string == "new")
    }
}
