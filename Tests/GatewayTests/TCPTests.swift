import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

@Suite struct TCPTests {
    @Test("bytes pass both ways, and each direction ends on its own")
    func halfClose() throws {
        let server = try FakeServer { reader, _ in
            try reader.socket.send("welcome ")
            let all = try reader.socket.receiveToEnd()
            try reader.socket.send("got \(all.count)")
        }
        let gateway = try TestGateway()
        let port = try gateway.listen(to: server.port, tcp: true)
        try gateway.add()
        let client = try TestSocket.connect(port)
        let reader = TestReader(client)
        #expect(try reader.bytes(8) == Array("welcome ".utf8))
        try client.send([UInt8](repeating: 1, count: 3_000_000))
        client.shutdownWriting()
        #expect(try client.receiveToEnd() == Array("got 3000000".utf8))
        #expect(try eventually { try gateway.inFlight() == 0 })
        #expect(try gateway.statistics()["bytesIn"]?.int == 3_000_000)
        #expect(try gateway.statistics()["bytesOut"]?.int == 19)
    }

    @Test("a connection waits for a replica with all it has sent, even if it has sent its end")
    func held() throws {
        let server = try FakeServer { reader, _ in try reader.socket.send(try reader.socket.receiveToEnd()) }
        let gateway = try TestGateway()
        let port = try gateway.listen(to: server.port, tcp: true)
        let client = try TestSocket.connect(port)
        try client.send("echo")
        client.shutdownWriting()
        #expect(try eventually { try gateway.queued() == 1 })
        #expect(client.isSilent(for: 0.1))
        try gateway.add(agent: try FakeAgent())
        #expect(try client.receiveToEnd() == Array("echo".utf8))
    }

    @Test("a side that does not read holds the other back, and loses nothing")
    func backPressure() throws {
        let size = 32 << 20
        let mayRead = SharedFlag()
        let server = try FakeServer { reader, _ in
            _ = eventually(within: 30) { mayRead.isSet }
            var received = 0
            while received < size { received += try reader.bytes(min(1 << 20, size - received)).count }
            try reader.socket.send("all")
        }
        let gateway = try TestGateway()
        let port = try gateway.listen(to: server.port, tcp: true)
        try gateway.add()
        let client = try TestSocket.connect(port)
        let piece = [UInt8](repeating: 7, count: 1 << 20)
        let taken = client.sendWhileTaken(piece, for: 0.5, limit: size)
        #expect(taken < 16 << 20)
        mayRead.set()
        var left = size - taken
        while left > 0 {
            try client.send(Array(piece.prefix(left)))
            left -= min(left, piece.count)
        }
        #expect(try client.receiveToEnd() == Array("all".utf8))
    }

    @Test("a connection that is reset ends the one to the replica")
    func reset() throws {
        let sawEnd = SharedFlag()
        let server = try FakeServer { reader, _ in
            do { while !(try reader.socket.receive().isEmpty) {} } catch is SystemError {}
            sawEnd.set()
        }
        let gateway = try TestGateway()
        let port = try gateway.listen(to: server.port, tcp: true)
        try gateway.add()
        do {
            let client = try TestSocket.connect(port)
            try client.send("x")
            #expect(try eventually { try gateway.inFlight() == 1 && server.connections == 1 })
            client.reset()
        }
        #expect(eventually { sawEnd.isSet })
        #expect(try eventually { try gateway.inFlight() == 0 })
    }

    @Test("an unreachable replica closes the connection")
    func unreachable() throws {
        let (_, dead) = try GatewayTests.listen()
        let gateway = try TestGateway()
        let port = try gateway.listen(to: dead, tcp: true)
        try gateway.add()
        #expect(try TestSocket.connect(port).receiveToEnd().isEmpty)
        #expect(try gateway.inFlight() == 0)
    }
}
