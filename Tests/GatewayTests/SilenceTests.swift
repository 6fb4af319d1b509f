import NIOCore
import OCISpec
import Testing

@testable import Gateway

@Suite struct SilenceTests {
    private let patience = ClientPatience(silence: .milliseconds(300), check: .milliseconds(50))

    @Test(
        "a replica that takes a request and sends nothing is told of, again and again, and the request goes on waiting")
    func hung() throws {
        let mayAnswer = SharedFlag()
        let server = try FakeServer { reader, _ in
            _ = try reader.message()
            _ = eventually { mayAnswer.isSet }
            try reader.socket.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        }
        let gateway = try TestGateway(patience: patience)
        let port = try gateway.listen(to: server.port)
        try gateway.add()
        let client = TestReader(try .connect(port))
        try client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        for _ in 0..<2 {
            let event = try gateway.control.event("upstream-silent")
            #expect(event["service"]?.string == "svc" && event["replica"]?.string == "r1")
            #expect(event["seconds"]?.int != nil)
        }
        #expect(try gateway.statistics()["replicas"]?.array?.first?["quietSeconds"]?.isNull == true)
        mayAnswer.set()
        #expect(try client.message().status == 200)
        #expect(try gateway.statistics()["replicas"]?.array?.first?["quietSeconds"]?.isNull == false)
    }

    @Test("a server that stops reading a body is silent too")
    func unread() throws {
        let mayEnd = SharedFlag()
        let server = try FakeServer { _, _ in _ = eventually { mayEnd.isSet } }
        defer { mayEnd.set() }
        let gateway = try TestGateway(patience: patience)
        let port = try gateway.listen(to: server.port)
        try gateway.add()
        let client = try TestSocket.connect(port)
        try client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n")
        _ = client.sendWhileTaken([UInt8](repeating: 1, count: 1 << 20), for: 0.2, limit: 256 << 20)
        #expect(try gateway.control.event("upstream-silent")["replica"]?.string == "r1")
    }

    @Test("nothing is said of one that answers others, nor while the client is the one who is awaited")
    func busy() throws {
        let mayEnd = SharedFlag()
        let server = try FakeServer { reader, number in
            _ = try reader.head()
            if number == 1 {
                _ = eventually { mayEnd.isSet }
                return
            }
            try reader.socket.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while !mayEnd.isSet, reader.socket.isSilent(for: 0.05) { try reader.socket.send("1\r\nx\r\n") }
        }
        defer { mayEnd.set() }
        let gateway = try TestGateway(patience: patience)
        let port = try gateway.listen(to: server.port)
        try gateway.add()
        let waiting = try TestSocket.connect(port)
        try waiting.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(try eventually { try gateway.inFlight() == 1 })
        let streaming = TestReader(try .connect(port))
        try streaming.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(try streaming.head().status == 200)
        let uploading = try TestSocket.connect(port)
        try uploading.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        for _ in 0..<20 { #expect(try !streaming.chunk().isEmpty) }
        _ = try gateway.control.done(["op": "list"])
        #expect(!gateway.control.events.contains { $0["event"]?.string == "upstream-silent" })
    }
}
