import CLinux
import Glibc
import LinuxSystem
import NIOCore
import OCISpec
import Testing

@testable import Gateway

@Suite struct AdmissionTests {
    private func client(_ address: String) throws -> Admission.Client {
        Admission.Client(try SocketAddress(ipAddress: address, port: 1000))
    }

    @Test("a client has its own share, and all together have theirs")
    func counts() throws {
        let admission = Admission(ConnectionLimits(total: 3, perClient: 2))
        let (one, two) = (try client("192.0.2.1"), try client("192.0.2.2"))
        #expect(admission.admit(one) == .admitted)
        #expect(admission.admit(one) == .admitted)
        guard case .refused(let reason) = admission.admit(one) else {
            Issue.record("a third was admitted")
            return
        }
        #expect(reason.contains("client") && reason.contains("2"))
        #expect(admission.admit(two) == .admitted)
        guard case .refused(let reason) = admission.admit(two) else {
            Issue.record("a fourth was admitted")
            return
        }
        #expect(reason.contains("gateway") && reason.contains("3"))
        #expect(!admission.leave(one))
        #expect(admission.admit(two) == .admitted)
        for _ in 0..<2 { #expect(!admission.leave(two)) }
        #expect(admission.restsFor() == nil)
        #expect(admission.leave(one), "told when the last one leaves")
        #expect(admission.restsFor() != nil)
        #expect(admission.admit(one) == .admitted)
        #expect(!admission.leave(one), "told once, until somebody has looked")
        admission.looked()
        #expect(admission.admit(one) == .admitted)
        #expect(admission.leave(one))
    }

    @Test("an IPv6 client is its /64, and an IPv4 one is the same however it comes")
    func clients() throws {
        #expect(try client("2001:db8::1") == client("2001:db8::ffff:1"))
        #expect(try client("2001:db8::1") != client("2001:db8:0:1::1"))
        #expect(try client("::ffff:192.0.2.1") == client("192.0.2.1"))
        #expect(try client("::1") != client("0.0.0.0"))
    }

    @Test("limits follow from what a process may open")
    func defaults() {
        #expect(ConnectionLimits(descriptors: 1024) == ConnectionLimits(total: 448, perClient: 224))
        #expect(ConnectionLimits(descriptors: 1_048_576) == ConnectionLimits(total: 16_384, perClient: 8192))
        #expect(ConnectionLimits(descriptors: 64).total == 32)
    }

    @Test("a connection too many is told so with 503, and there is room again when another ends")
    func http() throws {
        let server = try FakeServer.answering { _ in "served" }
        let gateway = try TestGateway(connections: ConnectionLimits(total: 100, perClient: 2))
        let port = try gateway.listen(to: server.port)
        try gateway.add()
        var kept: [TestReader] = []
        for _ in 0..<2 {
            let reader = TestReader(try .connect(port))
            try reader.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try reader.message().status == 200)
            kept.append(reader)
        }
        let refused = TestReader(try .connect(port))
        try refused.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        let answer = try refused.message()
        #expect(answer.status == 503)
        #expect(answer["Retry-After"] == "1")
        #expect(answer["Connection"] == "close")
        #expect(answer.text.contains("as many connections"))
        #expect(try gateway.statistics()["connectionsRefused"]?.int == 1)
        // From another address of this host.
        let other = TestReader(try .connect(port, from: 0x7F00_0002))
        try other.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(try other.message().status == 200)
        kept.removeLast().socket.shutdownBoth()
        #expect(
            try eventually {
                let again = TestReader(try .connect(port))
                try again.socket.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                return try again.message().status == 200
            })
    }

    @Test("in TCP mode a connection too many is closed")
    func tcp() throws {
        let server = try FakeServer { reader, _ in try reader.socket.send(try reader.bytes(4)) }
        let gateway = try TestGateway(connections: ConnectionLimits(total: 1, perClient: 1))
        let port = try gateway.listen(to: server.port, tcp: true)
        try gateway.add()
        let first = TestReader(try .connect(port))
        #expect(try eventually { try gateway.statistics()["connections"]?.int == 1 })
        #expect(try TestSocket.connect(port).receiveToEnd().isEmpty)
        try first.socket.send("abcd")
        #expect(try first.bytes(4) == Array("abcd".utf8))
    }

    @Test("a flood of connections too many is shed without keeping anything of it")
    func flood() throws {
        let gateway = try TestGateway(connections: ConnectionLimits(total: 1, perClient: 1))
        let port = try gateway.listen(to: 9)
        let first = try TestSocket.connect(port)
        #expect(try eventually { try gateway.statistics()["connections"]?.int == 1 })
        let others = try (0..<200).map { _ in try TestSocket.connect(port) }
        #expect(try eventually { try gateway.statistics()["connectionsRefused"]?.int == 200 })
        var told = 0
        // Who was closed without a word may see a reset.
        for socket in others where ((try? socket.receiveToEnd()) ?? []).starts(with: Array("HTTP/1.1 503".utf8)) {
            told += 1
        }
        #expect((1...64).contains(told), "\(told)")
        withExtendedLifetime(first) {}
    }
}
