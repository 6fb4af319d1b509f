import LinuxSystem
import OCISpec
import Testing

@testable import Serving

@Suite("Times")
struct TimestampTests {
    @Test(
        "RFC 3339 both ways",
        arguments: [
            (0, "1970-01-01T00:00:00.000000000Z"), (1_763_873_177_000_000_001, "2025-11-23T04:46:17.000000001Z"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00.000000000Z"), (-1, "1969-12-31T23:59:59.999999999Z"),
            (4_107_542_399_000_000_000, "2100-02-28T23:59:59.000000000Z"),
        ] as [(Int64, String)])
    func rfc3339(nanoseconds: Int64, text: String) {
        #expect(Timestamp(nanoseconds: nanoseconds).description == text)
        #expect(Timestamp(rfc3339: text)?.nanoseconds == nanoseconds)
    }

    @Test("time zones and short fractions")
    func zones() {
        #expect(Timestamp(rfc3339: "1970-01-01T01:00:00.5+01:00")?.nanoseconds == 500_000_000)
        #expect(Timestamp(rfc3339: "1969-12-31T23:00:00-01:00")?.nanoseconds == 0)
    }

    @Test(
        "texts that are no time",
        arguments: [
            "", "2026", "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00Zx", "2026-01-01T00:00:00+1:00",
        ])
    func bad(text: String) { #expect(Timestamp(rfc3339: text) == nil) }

    @Test("since takes a time, a date, seconds, or how long ago")
    func since() throws {
        let now = Timestamp(nanoseconds: 1_000_000_000_000)
        #expect(try Timestamp(parsing: "10m", now: now).nanoseconds == 400_000_000_000)
        #expect(try Timestamp(parsing: "12.5", now: now).nanoseconds == 12_500_000_000)
        #expect(try Timestamp(parsing: "1970-01-02", now: now).nanoseconds == 86_400_000_000_000)
        #expect(try Timestamp(parsing: "1970-01-01T00:00:01", now: now).nanoseconds == 1_000_000_000)
        for text in ["", "yesterday", "1970-1-1", "12:00", "-5m"] {
            #expect(throws: SettingError.self) { try Timestamp(parsing: text, now: now) }
        }
    }
}

@Suite("Logs")
struct LogTests {
    /// A log in a directory of its own, which goes with it.
    private final class Log {
        let directory: String
        var path: String { "\(directory)/log.jsonl" }
        private var count = 0

        init() throws {
            directory = "/tmp/mlrun-log-\(File.randomName())"
            try File.makeDirectories(directory)
        }

        deinit { try? File.removeTree(directory) }

        func write(_ records: Int = 1, unfinished: String = "") throws {
            let file = try File.open(path, 0o1 | 0o100 | 0o2000, mode: 0o600)
            var bytes: [UInt8] = []
            for _ in 0..<records {
                count += 1
                record(count).append(to: &bytes)
            }
            try File.writeAll(bytes + Array(unfinished.utf8), to: file.rawValue)
        }

        func rotate() throws {
            for (from, to) in LogRotation().renames(of: path) where File.exists(from) { try File.rename(from, to: to) }
        }

        func record(_ number: Int) -> LogRecord {
            LogRecord(
                time: Timestamp(nanoseconds: Int64(number) * 1_000_000_000),
                replica: ReplicaID(number % 2 == 0 ? "r-2" : "r-1"), stream: number % 3 == 0 ? .stderr : .stdout,
                offset: Int64(number), message: "line \(number)")
        }
    }

    private func numbers(_ log: Log, _ query: LogQuery) throws -> [Int64] {
        var result: [Int64] = []
        try LogReader(log.path, query).read {
            result.append($0.offset)
            return true
        }
        return result
    }

    @Test("a record is one line of JSON and the same when it is read")
    func record() throws {
        var record = LogRecord(
            time: Timestamp(nanoseconds: 1), replica: ReplicaID("r-1"), stream: .stderr, offset: 5, isPartial: true,
            message: "a \"b\"\n\t\u{1}ü")
        var bytes: [UInt8] = []
        record.append(to: &bytes)
        #expect(
            String(decoding: bytes, as: UTF8.self)
                == #"{"time":"1970-01-01T00:00:00.000000001Z","replica":"r-1","stream":"stderr","o":5,"partial":true,"msg":"a \"b\"\n\t\u0001ü"}"#
                + "\n")
        #expect(LogRecord(line: bytes.dropLast()) == record)
        record.isPartial = false
        #expect(record.json["partial"] == nil)
        #expect(LogRecord(line: bytes.prefix(40)) == nil)
    }

    @Test("a file is full at 10 MiB, and the third oldest is gone with the next")
    func rotation() {
        let rotation = LogRotation()
        #expect(!rotation.isFull((10 << 20) - 1) && rotation.isFull(10 << 20))
        #expect(rotation.renames(of: "l").map { "\($0.from)>\($0.to)" } == ["l.1>l.2", "l>l.1"])
    }

    @Test("all files are read from the oldest on, an unfinished line is left")
    func read() throws {
        let log = try Log()
        #expect(try numbers(log, LogQuery()) == [])
        try log.write(2)
        try log.rotate()
        try log.write(2)
        try log.rotate()
        try log.write(2, unfinished: #"{"time":"19"#)
        #expect(try numbers(log, LogQuery()) == [1, 2, 3, 4, 5, 6])
    }

    @Test("tail counts from the end through the files, after the filters")
    func tail() throws {
        let log = try Log()
        try log.write(4)
        try log.rotate()
        try log.write(2)
        #expect(try numbers(log, LogQuery(tail: 3)) == [4, 5, 6])
        #expect(try numbers(log, LogQuery(tail: 0)) == [])
        #expect(try numbers(log, LogQuery(tail: 99)) == [1, 2, 3, 4, 5, 6])
        #expect(try numbers(log, LogQuery(tail: 2, replica: ReplicaID("r-1"))) == [3, 5])
        #expect(
            try numbers(
                log,
                LogQuery(since: Timestamp(nanoseconds: 3_000_000_000), until: Timestamp(nanoseconds: 4_000_000_000)))
                == [3, 4])
        var errors = LogQuery()
        errors.streams = [.stderr]
        #expect(try numbers(log, errors) == [3, 6])
    }

    @Test("who follows loses nothing when files are set aside, however often", arguments: [nil, 1])
    func follow(tail: Int?) throws {
        let log = try Log()
        try log.write(2)
        let reader = LogReader(log.path, LogQuery(tail: tail))
        try reader.startWatching()
        var seen: [Int64] = []
        let note: (LogRecord) -> Bool = {
            seen.append($0.offset)
            return true
        }
        try reader.read(note)
        #expect(seen == (tail == nil ? [1, 2] : [2]))
        seen = []
        try log.write(1)
        #expect(try reader.wait(timeout: .seconds(5)))
        #expect(try reader.readNew(note))
        #expect(seen == [3])
        try log.write(1)
        try log.rotate()
        try log.write(1)
        try log.rotate()
        try log.write(1)
        #expect(try reader.readNew(note))
        #expect(seen == [3, 4, 5, 6])
        #expect(try reader.readNew(note))
        #expect(seen.count == 4)
    }

    @Test("a line that is written in two pieces is one record")
    func pieces() throws {
        let log = try Log()
        var bytes: [UInt8] = []
        log.record(1).append(to: &bytes)
        let file = try File.open(log.path, 0o1 | 0o100 | 0o2000, mode: 0o600)
        try File.writeAll(Array(bytes[..<20]), to: file.rawValue)
        let reader = LogReader(log.path, LogQuery(tail: 5))
        var seen: [LogRecord] = []
        try reader.read { _ in true }
        try File.writeAll(Array(bytes[20...]), to: file.rawValue)
        _ = try reader.readNew {
            seen.append($0)
            return true
        }
        #expect(seen == [log.record(1)])
    }

    @Test("waiting ends with its time")
    func timeout() throws {
        let log = try Log()
        #expect(try !LogReader(log.path, LogQuery()).wait(timeout: .milliseconds(20)))
    }
}
