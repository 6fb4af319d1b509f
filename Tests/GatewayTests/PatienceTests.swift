import LinuxSystem
import NIOCore
import OCISpec
import Testing

@testable import Gateway

@Suite struct PatienceTests {
    private let patience = ClientPatience(
        idle: .milliseconds(300), head: .milliseconds(300), body: .milliseconds(300), answer: .milliseconds(300),
        lingering: .milliseconds(300), check: .milliseconds(50))

    @Test("a connection that rests too long between requests is closed without a word")
    func idle() throws {
        let gateway = try TestGateway(patience: patience)
        let client = try TestSocket.connect(try gateway.listen(to: 9))
        #expect(try client.receiveToEnd().isEmpty)
        #expect(try eventually { try gateway.statistics()["connections"]?.int == 0 })
    }

    @Test("a head that trickles in gets 408, however steadily it trickles")
    func head() throws {
        let gateway = try TestGateway(patience: patience)
        let client = TestReader(try .connect(try gateway.listen(to: 9)))
        try client.socket.send("GET / HTTP/1.1\r\n")
        while client.socket.isSilent(for: 0.05) { try client.socket.send("A: b\r\n") }
        #expect(try client.message().status == 408)
    }

    @Test("a body that stops coming gets 408 and frees its replica")
    func body() throws {
        let server = try FakeServer { reader, _ in _ = try reader.message() }
        let gateway = try TestGateway(patience: patience)
        let port = try gateway.listen(to: server.port)
        try gateway.add()
        let client = TestReader(try .connect(port))
        try client.socket.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        #expect(try client.message().status == 408)
        #expect(try gateway.inFlight() == 0)
    }

    @Test("an answer that nobody reads is broken off, and its replica freed")
    func answer() throws {
        let server = try FakeServer { reader, _ in
            _ = try reader.message()
            try reader.socket.send("HTTP/1.1 200 OK\r\n\r\n")
            while true { try reader.socket.send([UInt8](repeating: 1, count: 1 << 20)) }
        }
        let gateway = try TestGateway(patience: patience)
        let port = try gateway.listen(to: server.port)
        try gateway.add()
        let client = try TestSocket.connect(port)
        try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(try eventually { try gateway.inFlight() == 1 })
        #expect(try eventually { try gateway.inFlight() == 0 })
        #expect(try gateway.statistics()["abandoned"]?.int == 1)
    }

    @Test("a request that waits for its replica or its answer is not hurried")
    func waiting() throws {
        let mayAnswer = SharedFlag()
        let server = try FakeServer { reader, _ in
            _ = try reader.message()
            _ = eventually { mayAnswer.isSet }
            try reader.socket.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        }
        let gateway = try TestGateway(patience: patience)
        let port = try gateway.listen(to: server.port)
        let client = TestReader(try .connect(port))
        try client.socket.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab")
        #expect(client.socket.isSilent(for: 0.6))
        try gateway.add()
        #expect(client.socket.isSilent(for: 0.6))
        mayAnswer.set()
        #expect(try client.message().status == 200)
    }
}
