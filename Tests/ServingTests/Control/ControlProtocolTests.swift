import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import Serving

@Suite("the control protocol")
struct ControlProtocolTests {
    @Test("bytes become lines however they arrive")
    func lines() {
        var buffer = LineBuffer()
        buffer.append("on".utf8)
        #expect(buffer.next() == nil)
        buffer.append("e\ntwo\n\nth".utf8)
        #expect(buffer.next() == Array("one".utf8))
        #expect(buffer.next() == Array("two".utf8))
        #expect(buffer.next() == [])
        #expect(buffer.next() == nil)
        #expect(buffer.count == 2)
        buffer.append("ree\n".utf8)
        #expect(buffer.next() == Array("three".utf8))
        #expect(buffer.next() == nil && buffer.count == 0)
    }

    @Test("every request survives its way over the wire")
    func roundTrips() throws {
        var settings = ServiceSettings(name: "s", image: .init(reference: "docker.io/library/x:1"))
        settings.ports = [PublishedPort(hostPort: 1, containerPort: 2)]
        let requests: [ControlRequest] = [
            .ping, .list, .inspect(name: "s"), .wait(name: "s"), .kill(name: "s", signal: "TERM"),
            .start(settings, phases: [.init(.pull, seconds: 1.5)], waits: false),
            .stop(name: "s", timeout: .milliseconds(1500), force: true), .stop(name: "s", timeout: nil, force: false),
            .remove(name: "s", force: true), .restart(name: "s", timeout: .seconds(3), waits: true),
            .events(name: nil, since: 5, follow: true), .events(name: "s", since: nil, follow: false),
            .statistics(name: nil), .shutdown(stopsServices: true),
        ]
        for request in requests {
            let text = request.json.text()
            #expect(try ControlRequest(JSONCursor(JSON(parsing: text))) == request, "\(text)")
        }
    }

    @Test(
        "a request that makes no sense is refused with the place that is wrong",
        arguments: [
            (#"{"op":"dance"}"#, "op"), (#"{}"#, "op"), (#"{"op":"stop"}"#, "name"),
            (#"{"op":"stop","name":"s","force":1}"#, "force"), (#"{"op":"start"}"#, "settings"),
            (#"{"op":"events","since":"now"}"#, "since"),
        ])
    func refusals(_ text: String, _ path: String) throws {
        let json = try JSON(parsing: text)
        let error = try #require(throws: JSONError.self) { try ControlRequest(JSONCursor(json)) }
        #expect(error.path == path)
    }

    @Test("requests of one connection are answered in order, also when they came at once, and nonsense ends nothing")
    func server() throws {
        let place = try TemporaryDirectory()
        let directories = MLRunDirectories(root: place.path, state: place.path)
        let done = SharedDescriptor(taking: try check(mlr_eventfd(), "create an event descriptor"))
        let loop = try EventLoop()
        let server = try ControlServer(directories.supervisorSocket, loop) { request, reply in
            switch request["op"]?.string {
            case "slow":
                loop.after(20_000_000) {
                    reply.event(["step": 1])
                    reply.succeed("slow")
                }
            case "stop":
                reply.succeed("stopped")
                loop.soon { loop.stop() }
            default: reply.fail(ControlError("no", remedy: "ask otherwise", exitCode: 7))
            }
        }
        #expect(try File.status(directories.supervisorSocket).mode & 0o777 == 0o600)
        let path = directories.supervisorSocket
        var answer: [UInt8] = []
        let collected = SharedDescriptor(try File.open("\(place.path)/answers", O_RDWR | O_CREAT, mode: 0o600))
        WorkerThread.start {
            defer {
                var one: UInt64 = 1
                _ = write(done.rawValue, &one, 8)
            }
            let socket = SharedDescriptor(taking: mlr_socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0))
            guard mlr_connect_unix(socket.rawValue, path) == 0 else { return }
            let requests = #"{"op":"slow"}"# + "\n" + #"{"op":"x"}"# + "\nnonsense\n" + #"{"op":"stop"}"# + "\n"
            _ = send(socket.rawValue, requests, requests.utf8.count, Int32(MSG_NOSIGNAL))
            var seen = 0
            while seen < 5 {
                var buffer = [UInt8](repeating: 0, count: 4096)
                let got = recv(socket.rawValue, &buffer, buffer.count, 0)
                if got <= 0 { break }
                _ = write(collected.rawValue, buffer, got)
                seen += buffer[..<got].count { $0 == UInt8(ascii: "\n") }
            }
        }
        try loop.run()
        server.close()
        var entry = pollfd(fd: done.rawValue, events: Int16(POLLIN), revents: 0)
        #expect(poll(&entry, 1, 5000) == 1)
        answer = try File.read("\(place.path)/answers")
        let lines = String(decoding: answer, as: UTF8.self).split(separator: "\n").map(String.init)
        #expect(lines.count == 5)
        #expect(lines.prefix(2) == [#"{"event":{"step":1}}"#, #"{"ok":"slow"}"#])
        #expect(lines[2] == #"{"error":{"message":"no","remedy":"ask otherwise","exitCode":7}}"#)
        #expect(lines[3].contains("invalid JSON"))
        #expect(lines[4] == #"{"ok":"stopped"}"#)
        #expect(!File.exists(path))
    }

    @Test("without a supervisor the client says so, and how to get one")
    func noSupervisor() throws {
        let place = try TemporaryDirectory()
        let error = try #require(throws: ControlError.self) {
            try ControlClient(MLRunDirectories(root: place.path, state: place.path))
        }
        #expect(error.message.contains("does not run"))
        #expect(error.remedy != nil)
    }
}
