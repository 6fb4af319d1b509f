public import OCISpec

/// Where a line of a replica came from.
public enum LogStream: String, Sendable, CaseIterable {
    case stdout
    case stderr
}

/// One line of a service's log: a JSON object on a line of its own, with the members `time`, `replica`, `stream`,
/// `o`, `partial` where it is true, and `msg`.
public struct LogRecord: Sendable, Equatable {
    /// When the line was complete.
    public var time: Timestamp
    /// Whose line it is.
    public var replica: ReplicaID
    /// Where it was written to.
    public var stream: LogStream
    /// How many bytes the replica had written to the stream when this line was complete: where a supervisor goes on
    /// that finds the log after its predecessor was killed.
    public var offset: Int64
    /// The next record of the stream is the continuation of this line.
    public var isPartial: Bool
    /// Without line feed. What was no UTF-8 has been replaced by U+FFFD.
    public var message: String

    public init(
        time: Timestamp, replica: ReplicaID, stream: LogStream, offset: Int64, isPartial: Bool = false,
        message: String
    ) {
        self.time = time
        self.replica = replica
        self.stream = stream
        self.offset = offset
        self.isPartial = isPartial
        self.message = message
    }

    public init(_ cursor: JSONCursor) throws(JSONError) {
        let time = try cursor.required("time")
        guard let parsed = Timestamp(rfc3339: try time.string()) else { throw time.failure("is no RFC 3339 time") }
        self.time = parsed
        replica = ReplicaID(try cursor.required("replica").string())
        let stream = try cursor.required("stream")
        guard let known = LogStream(rawValue: try stream.string()) else { throw stream.failure("is no stream") }
        self.stream = known
        offset = try cursor.required("o").integer()
        isPartial = try cursor.optional("partial")?.bool() ?? false
        message = try cursor.required("msg").string()
    }

    /// Reads a line without its line feed; nil for one that is no record, such as the half of one.
    public init?(line: some Sequence<UInt8>) {
        guard let json = try? JSON(parsing: Array(line)), let record = try? LogRecord(JSONCursor(json)) else {
            return nil
        }
        self = record
    }

    public var json: JSON {
        var object = JSONObject([
            ("time", .string(time.description)), ("replica", .string(replica.rawValue)),
            ("stream", .string(stream.rawValue)), ("o", .integer(offset)),
        ])
        if isPartial { object["partial"] = true }
        object["msg"] = .string(message)
        return .object(object)
    }

    /// With its line feed.
    public func append(to bytes: inout [UInt8]) {
        bytes.append(contentsOf: json.bytes())
        bytes.append(UInt8(ascii: "\n"))
    }
}
