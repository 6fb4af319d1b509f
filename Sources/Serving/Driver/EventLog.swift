internal import CLinux
internal import LinuxSystem
internal import OCISpec

/// What happened to all services: kept in a file that programs may read, and told to those that follow.
///
/// An event is `{"time":<CLOCK_REALTIME ns>,"service":…,"replica":…,"kind":…,"text":…}`, one a line.
final class EventLog {
    private static let rotation = LogRotation(fileSize: 4 << 20, files: 2)

    private let file: LogFile
    private var followers: [Int: (JSON) -> Void] = [:]
    private var lastFollower = 0

    static func path(_ directories: MLRunDirectories) -> String { "\(directories.root)/events.jsonl" }

    init(_ directories: MLRunDirectories) throws(SystemError) {
        file = try LogFile(Self.path(directories), rotation: Self.rotation)
    }

    func record(service: String, replica: ReplicaID?, kind: String, text: String) {
        var object = JSONObject([
            ("time", .integer(Int64(mlr_realtime_nanoseconds()))), ("service", .string(service)),
        ])
        object["replica"] = replica.map { .string($0.rawValue) }
        object["kind"] = .string(kind)
        object["text"] = .string(text)
        let event = JSON.object(object)
        do throws(SystemError) {
            try file.append(event.bytes() + [UInt8(ascii: "\n")])
            if file.isFull { try file.rotate() }
        } catch {
            // A full disk must not stop the service; the event still reaches those who follow.
            Diagnostics.note("an event could not be written: \(error)")
        }
        for follower in followers.values { follower(event) }
    }

    func follow(_ follower: @escaping (JSON) -> Void) -> Int {
        lastFollower += 1
        followers[lastFollower] = follower
        return lastFollower
    }

    func unfollow(_ ticket: Int) { followers[ticket] = nil }

    /// The events since a time, oldest first.
    func events(since: Int64) throws(SystemError) -> [JSON] {
        var found: [JSON] = []
        try file.recordsBackwards(to: 0, in: 0) { line in
            guard let event = try? JSON(parsing: line), let time = event["time"]?.int else { return true }
            if time < since { return false }
            found.append(event)
            return true
        }
        return found.reversed()
    }
}

/// The supervisor's own words for whoever reads its log; standard error is that file.
enum Diagnostics {
    static func note(_ text: String) {
        let line = Array("mlrund: \(text)\n".utf8)
        try? File.writeAll(line, to: 2)
    }
}
