internal import LinuxSystem
internal import OCISpec

/// From where on a log tells how much of a replica's output it holds.
///
/// Records carry the offset that their stream had reached. After a restart the last record of each stream says where to
/// go on; this says which records count: those behind a place in the log, so that records of an earlier life of the
/// replica are not taken for its own. It is written when a replica's output begins and at each rotation, so that no
/// older file is ever needed.
struct LogCheckpoint: Equatable {
    var logInode: UInt64
    var logPosition: Int64
    var offsets: [LogStream: Int64]

    init(logInode: UInt64, logPosition: Int64, offsets: [LogStream: Int64]) {
        self.logInode = logInode
        self.logPosition = logPosition
        self.offsets = offsets
    }

    static func read(_ path: String) throws(SystemError) -> LogCheckpoint? {
        guard File.exists(path) else { return nil }
        let bytes = try File.read(path)
        do throws(JSONError) {
            let cursor = JSONCursor(try JSON(parsing: bytes))
            var offsets: [LogStream: Int64] = [:]
            for name in LogStream.allCases {
                offsets[name] = try cursor.required(name.rawValue).integer()
            }
            return LogCheckpoint(
                logInode: try cursor.required("logInode").integer(),
                logPosition: try cursor.required("logPosition").integer(), offsets: offsets)
        } catch {
            // Written by rename(2), so it is whole or it is not ours.
            throw SystemError("understand (\(error))", path: path, .invalidArgument)
        }
    }

    func write(_ path: String) throws(SystemError) {
        var object: JSON = .object(
            JSONObject([("logInode", .integer(Int64(logInode))), ("logPosition", .integer(logPosition))]))
        if case .object(var members) = object {
            for name in LogStream.allCases { members[name.rawValue] = .integer(offsets[name] ?? 0) }
            object = .object(members)
        }
        // Power cuts end the replica and its output with it: only death of this process matters.
        try File.replace(path, with: object.bytes(), durable: false)
    }
}
