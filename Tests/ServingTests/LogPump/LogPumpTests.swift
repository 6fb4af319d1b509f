import CLinux
import Glibc
import LinuxSystem
import Synchronization
import Testing

@testable import Serving

@Suite("the log pump")
struct LogPumpTests {
    static let replica = ReplicaID("s-1")

    private static func contents(_ log: String) throws -> [String] {
        var lines: [String] = []
        try LogReader(log, LogQuery()).read { record in
            lines.append(record.message)
            return true
        }
        return lines
    }

    @Test("what a replica writes is logged once, also its unfinished last line, and the spool goes")
    func plain() throws {
        let place = try TemporaryDirectory()
        let loop = try EventLoop()
        let paths = OutputPaths(directory: place.path)
        let log = try ServiceLog("\(place.path)/log")
        try LogPump.prepare(paths, log: log, uid: getuid(), gid: getgid())
        let output = try Spool.openForReplica(paths.fifo(.stdout))
        let errors = try Spool.openForReplica(paths.fifo(.stderr))
        let pump = try LogPump(Self.replica, paths, log: log, loop: loop)
        try File.writeAll(Array("one\ntwo\n".utf8), to: output.rawValue)
        try File.writeAll(Array("unfinished".utf8), to: errors.rawValue)
        for _ in 0..<4 { try loop.turn(blocking: false) }
        #expect(try Self.contents("\(place.path)/log") == ["one", "two"])
        try pump.finish()
        #expect(try Self.contents("\(place.path)/log") == ["one", "two", "unfinished"])
        #expect(try Set(File.list(place.path)) == ["log"])
    }

    @Test("an end comes also when somebody else goes on writing into what the replica had")
    func endless() throws {
        let place = try TemporaryDirectory()
        let paths = OutputPaths(directory: place.path)
        let log = try ServiceLog("\(place.path)/log", rotation: LogRotation())
        try LogPump.prepare(paths, log: log, uid: getuid(), gid: getgid())
        let writer = try Endless(Spool.openForReplica(paths.fifo(.stdout)))
        defer { writer.stop() }
        let errors = try Spool.openForReplica(paths.fifo(.stderr))
        let pump = try LogPump(Self.replica, paths, log: log, loop: try EventLoop())
        try pump.finish()
        #expect(!File.exists(paths.fifo(.stdout)))
        withExtendedLifetime(errors) {}
    }

    /// Writes lines from a thread of its own until it is stopped.
    private final class Endless: @unchecked Sendable {
        private let output: SharedDescriptor
        private let isWanted = Atomic(true)

        init(_ output: consuming OwnedDescriptor) throws {
            self.output = SharedDescriptor(output)
            try check(mlr_set_nonblocking(self.output.rawValue, true), "set up a FIFO")
            var thread = pthread_t()
            let started = pthread_create(
                &thread, nil,
                { context in
                    let writer = Unmanaged<Endless>.fromOpaque(context!).takeRetainedValue()
                    let line = Array(String(repeating: "x", count: 4095).utf8) + [0x0A]
                    while writer.isWanted.load(ordering: .relaxed) {
                        _ = write(writer.output.rawValue, line, line.count)
                    }
                    return nil
                }, Unmanaged.passRetained(self).toOpaque())
            try #require(started == 0)
            pthread_detach(thread)
        }

        func stop() { isWanted.store(false, ordering: .relaxed) }
    }

    @Test("a record that was cut short by a kill is written again, and nothing else is")
    func tornRecord() throws {
        let place = try TemporaryDirectory()
        let paths = OutputPaths(directory: place.path)
        var log = try ServiceLog("\(place.path)/log")
        try LogPump.prepare(paths, log: log, uid: getuid(), gid: getgid())
        let output = try Spool.openForReplica(paths.fifo(.stdout))
        let errors = try Spool.openForReplica(paths.fifo(.stderr))
        try File.writeAll(Array("one\ntwo\nthree\n".utf8), to: output.rawValue)
        do {
            let loop = try EventLoop()
            let pump = try LogPump(Self.replica, paths, log: log, loop: loop)
            for _ in 0..<4 { try loop.turn(blocking: false) }
            _ = pump
        }
        let written = try File.read("\(place.path)/log")
        #expect(truncate("\(place.path)/log", off_t(written.count - 5)) == 0)
        log = try ServiceLog("\(place.path)/log")
        let pump = try LogPump(Self.replica, paths, log: log, loop: EventLoop())
        try pump.finish()
        #expect(try Self.contents("\(place.path)/log") == ["one", "two", "three"])
        _ = errors
    }

    @Test("records of an earlier launch of the same replica are not taken for this one's")
    func secondLaunch() throws {
        let place = try TemporaryDirectory()
        let paths = OutputPaths(directory: place.path)
        let log = try ServiceLog("\(place.path)/log")
        for text in ["a long first line\n", "short\n"] {
            try LogPump.prepare(paths, log: log, uid: getuid(), gid: getgid())
            let output = try Spool.openForReplica(paths.fifo(.stdout))
            try File.writeAll(Array(text.utf8), to: output.rawValue)
            // As if the supervisor had been killed after it had moved the bytes and before it logged them.
            let spool = try Spool(fifo: paths.fifo(.stdout), file: paths.spool(.stdout), consumed: 0)
            guard case .bytes(text.utf8.count) = try spool.take(atMost: 65536) else {
                Issue.record("nothing was moved")
                return
            }
            try LogPump(Self.replica, paths, log: log, loop: EventLoop()).finish()
        }
        #expect(try Self.contents("\(place.path)/log") == ["a long first line", "short"])
    }

    @Test("after a rotation the offsets survive although no record of the stream is left")
    func rotation() throws {
        let place = try TemporaryDirectory()
        let paths = OutputPaths(directory: place.path)
        let loop = try EventLoop()
        var log = try ServiceLog("\(place.path)/log", rotation: LogRotation(fileSize: 4000))
        try LogPump.prepare(paths, log: log, uid: getuid(), gid: getgid())
        let output = try Spool.openForReplica(paths.fifo(.stdout))
        let errors = try Spool.openForReplica(paths.fifo(.stderr))
        do {
            let pump = try LogPump(Self.replica, paths, log: log, loop: loop)
            try File.writeAll(Array("an early error\n".utf8), to: errors.rawValue)
            for _ in 0..<3 { try loop.turn(blocking: false) }
            for number in 0..<400 {
                try File.writeAll(Array("line \(number)\n".utf8), to: output.rawValue)
                try loop.turn(blocking: true)
            }
            _ = pump
        }
        #expect(try !Self.contents("\(place.path)/log").contains("an early error"))
        log = try ServiceLog("\(place.path)/log", rotation: LogRotation(fileSize: 4000))
        try File.writeAll(Array("a late error\n".utf8), to: errors.rawValue)
        try LogPump(Self.replica, paths, log: log, loop: EventLoop()).finish()
        let lines = try Self.contents("\(place.path)/log")
        #expect(lines.filter { $0.hasSuffix("error") } == ["a late error"])
        let numbers = lines.compactMap { $0.hasPrefix("line ") ? Int($0.dropFirst(5)) : nil }
        #expect(numbers == Array((400 - numbers.count)..<400))
    }

    @Test("a pump that is killed again and again loses no line and doubles none", .timeLimit(.minutes(2)))
    func killedRepeatedly() throws {
        let place = try TemporaryDirectory()
        let paths = OutputPaths(directory: place.path)
        let path = "\(place.path)/log"
        do {
            let log = try ServiceLog(path, rotation: LogRotation(fileSize: 64 << 20))
            try LogPump.prepare(paths, log: log, uid: getuid(), gid: getgid())
        }
        let output = try Spool.openForReplica(paths.fifo(.stdout))
        let errors = try Spool.openForReplica(paths.fifo(.stderr))
        let lines = 40_000
        let writer = SharedDescriptor(try output.duplicate())
        let done = SharedDescriptor(taking: try check(mlr_eventfd(), "create an event descriptor"))
        WorkerThread.start {
            var block: [UInt8] = []
            for number in 0..<lines {
                block += "line \(number) \(String(repeating: "x", count: number % 90))\n".utf8
                if block.count > 1500 || number == lines - 1 {
                    try? File.writeAll(block, to: writer.rawValue)
                    block = []
                }
            }
            var one: UInt64 = 1
            _ = write(done.rawValue, &one, 8)
        }
        var kills = 0
        var isWritten = false
        while !isWritten {
            let before = try File.status(path).size
            let victim = try Victim.start("pump", [place.path])
            for _ in 0..<5000 where try File.status(path).size == before { usleep(1000) }
            usleep(useconds_t.random(in: 0...15_000))
            var entry = pollfd(fd: done.rawValue, events: Int16(POLLIN), revents: 0)
            isWritten = poll(&entry, 1, 0) > 0
            victim.kill()
            kills += 1
        }
        let log = try ServiceLog(path, rotation: LogRotation(fileSize: 64 << 20))
        try LogPump(Self.replica, paths, log: log, loop: EventLoop()).finish()
        let numbers = try Self.contents(path).compactMap { Int($0.split(separator: " ")[1]) }
        #expect(kills > 3)
        #expect(numbers.count == lines)
        #expect(numbers == Array(0..<lines))
        _ = errors
    }

    /// The process that ``killedRepeatedly()`` kills.
    @Test("as a process of its own: pumps until it is killed", .enabled(if: Victim.role == "pump", "only as a child"))
    func pumpForever() throws {
        let directory = Victim.arguments[0]
        let loop = try EventLoop()
        let log = try ServiceLog("\(directory)/log", rotation: LogRotation(fileSize: 64 << 20))
        let pump = try LogPump(Self.replica, OutputPaths(directory: directory), log: log, loop: loop)
        try loop.run()
        _ = pump
    }
}
