import CLinux
import Glibc
import LinuxSystem
import Testing

@testable import Container

@Suite("Messages of D-Bus")
struct DBusTests {
    @Test("a call has the bytes that the specification says")
    func bytes() throws {
        var call = DBusMessage(.call, serial: 1)
        call.path = "/org/freedesktop/DBus"
        call.interface = "org.freedesktop.DBus"
        call.member = "Hello"
        call.destination = "org.freedesktop.DBus"
        // As dbus-monitor shows it of any client's first call.
        var expected: [UInt8] = [0x6C, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0x6D, 0, 0, 0]
        expected += [1, 1, 0x6F, 0, 21, 0, 0, 0] + Array("/org/freedesktop/DBus\0".utf8) + [0, 0]
        expected += [2, 1, 0x73, 0, 20, 0, 0, 0] + Array("org.freedesktop.DBus\0".utf8) + [0, 0, 0]
        expected += [3, 1, 0x73, 0, 5, 0, 0, 0] + Array("Hello\0".utf8) + [0, 0]
        expected += [6, 1, 0x73, 0, 20, 0, 0, 0] + Array("org.freedesktop.DBus\0".utf8) + [0, 0, 0]
        #expect(call.bytes == expected)
        #expect(try DBusMessage(call.bytes) == call)
    }

    @Test("every type reads as it was written")
    func types() throws {
        var message = DBusMessage(.reply, serial: 77)
        message.replySerial = 3
        message.sender = ":1.5"
        message.body = [
            .byte(1), .bool(true), .int16(-2), .uint16(2), .int32(-3), .uint32(3), .int64(-4), .uint64(.max),
            .double(0.5), .string("ä"), .objectPath("/a/b"), .signature("a{sv}"), .strings(["x", "", "yz"]),
            .array(of: "(sv)", []), .byte(9),
            .array(
                of: "(sv)",
                [
                    .structure([.string("MemoryMax"), .variant(.uint64(5))]),
                    .structure([.string("PIDs"), .variant(.array(of: "u", [.uint32(1)]))]),
                ]),
            .array(of: "{sv}", [.entry(.string("k"), .variant(.structure([.byte(1), .uint64(2)])))]),
        ]
        #expect(try DBusMessage(message.bytes) == message)
    }

    @Test("the other byte order is read too")
    func bigEndian() throws {
        let bytes: [UInt8] = [
            0x42, 2, 0, 1, 0, 0, 0, 4, 0, 0, 0, 9, 0, 0, 0, 15, 5, 1, 0x75, 0, 0, 0, 0, 1, 8, 1, 0x67, 0, 1, 0x75, 0, 0,
            0, 0, 1, 2,
        ]
        let message = try DBusMessage(bytes)
        #expect(message.kind == .reply && message.serial == 9 && message.replySerial == 1)
        #expect(message.body == [.uint32(258)])
    }

    @Test("what is cut off or says a wrong length is refused")
    func broken() throws {
        var message = DBusMessage(.signal, serial: 1)
        message.member = "JobRemoved"
        message.body = [.uint32(1), .objectPath("/job/1"), .string("a.scope"), .strings(["done"])]
        let bytes = message.bytes
        for length in 0..<bytes.count { #expect(throws: DBusError.self) { try DBusMessage(Array(bytes[..<length])) } }
        for place in bytes.indices {
            var changed = bytes
            changed[place] ^= 0xFF
            // It is another message, or none; the point is that it comes back.
            _ = try? DBusMessage(changed)
        }
        for signature in ["a", "(", "()", "{s", "z", String(repeating: "a", count: 300)] {
            #expect(throws: DBusError.self) { try DBusSignature.types(signature) }
        }
    }

    @Test("addresses")
    func addresses() throws {
        #expect(try SystemdBus.path("unix:path=/run/bus,guid=00") == "/run/bus")
        #expect(try SystemdBus.path("tcp:host=x;unix:path=/a%20b") == "/a b")
        #expect(throws: DBusFailure.self) { try SystemdBus.path("unix:abstract=/x") }
    }

    /// The other side of a connection, played by a thread from a script.
    private func conversation(
        _ play: @escaping @Sendable (_ socket: Int32) -> Void, asking use: (DBusConnection) throws -> Void
    ) throws {
        let path = "/tmp/mlrun-dbus-\(File.randomName())"
        defer { unlink(path) }
        let listener = OwnedDescriptor(taking: try check(mlr_socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0), "socket"))
        try check(mlr_bind_unix(listener.rawValue, path), "bind")
        try check(mlr_listen(listener.rawValue, 1), "listen")
        let raw = listener.rawValue
        let player = Player(raw, play)
        player.start()
        defer { player.join() }
        let connection = try DBusConnection(
            path, isBus: false, deadline: mlr_monotonic_nanoseconds() + 10_000_000_000)
        try use(connection)
    }

    @Test("replies find their calls, signals wait, and errors keep their words")
    func calls() throws {
        try conversation { socket in
            Peer.authenticate(socket)
            let first = Peer.receive(socket)
            var signal = DBusMessage(.signal, serial: 50)
            signal.member = "JobRemoved"
            signal.body = [.string("job")]
            Peer.send(signal, socket)
            var reply = DBusMessage(.reply, serial: 51)
            reply.replySerial = first.serial
            reply.body = [.string(first.member ?? "")]
            Peer.send(reply, socket)
            let second = Peer.receive(socket)
            var error = DBusMessage(.error, serial: 52)
            error.replySerial = second.serial
            error.errorName = "org.example.No"
            error.body = [.string("not today")]
            Peer.send(error, socket)
        } asking: { connection throws in
            #expect(try connection.call("a.b", "/c", "d.e", "F") == [.string("F")])
            #expect(try connection.signal { $0.member } == "JobRemoved")
            let failure = #expect(throws: DBusFailure.self) { _ = try connection.call("a.b", "/c", "d.e", "G") }
            #expect(failure == .method("G", name: "org.example.No", text: "not today"))
            #expect(throws: DBusFailure.self) { _ = try connection.call("a.b", "/c", "d.e", "H") }
        }
    }

    @Test("a peer that refuses the login is told of")
    func refusal() throws {
        let error = #expect(throws: DBusFailure.self) {
            try conversation { socket in
                _ = Peer.line(socket)
                Peer.write(Array("REJECTED EXTERNAL\r\n".utf8), socket)
            } asking: { _ in
            }
        }
        guard case .refused? = error else {
            Issue.record("\(error as Any)")
            return
        }
    }
}

/// One thread that plays a peer.
private final class Player: @unchecked Sendable {
    private var thread = pthread_t()
    private let listener: Int32
    private let play: @Sendable (Int32) -> Void

    init(_ listener: Int32, _ play: @escaping @Sendable (Int32) -> Void) {
        self.listener = listener
        self.play = play
    }

    func start() {
        let me = Unmanaged.passRetained(self).toOpaque()
        pthread_create(
            &thread, nil,
            { argument in
                let player = Unmanaged<Player>.fromOpaque(argument!).takeRetainedValue()
                let socket = mlr_accept(player.listener, 0)
                player.play(socket)
                close(socket)
                return nil
            }, me)
    }

    func join() { pthread_join(thread, nil) }
}

private enum Peer {
    static func write(_ bytes: [UInt8], _ socket: Int32) { _ = Glibc.write(socket, bytes, bytes.count) }

    static func line(_ socket: Int32) -> String {
        var text: [UInt8] = []
        var byte: UInt8 = 0
        while Glibc.read(socket, &byte, 1) == 1, byte != 0x0A { text.append(byte) }
        return String(decoding: text, as: UTF8.self)
    }

    static func authenticate(_ socket: Int32) {
        _ = line(socket)
        write(Array("DATA\r\n".utf8), socket)
        _ = line(socket)
        write(Array("OK 1234\r\n".utf8), socket)
        _ = line(socket)
    }

    static func receive(_ socket: Int32) -> DBusMessage {
        var bytes: [UInt8] = []
        var byte: UInt8 = 0
        while (try? DBusMessage.length(bytes[...])).flatMap({ $0 }) != bytes.count, Glibc.read(socket, &byte, 1) == 1 {
            bytes.append(byte)
        }
        return (try? DBusMessage(bytes)) ?? DBusMessage(.signal, serial: 0)
    }

    static func send(_ message: DBusMessage, _ socket: Int32) { write(message.bytes, socket) }
}
