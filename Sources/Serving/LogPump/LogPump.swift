internal import CLinux
internal import Glibc
internal import LinuxSystem

/// Moves what a replica writes into its service's log, each byte exactly once, whenever this process is killed.
///
/// FIFO -> spool file (in the kernel) -> records in the log. A record says how far its stream is logged with it, so the
/// log itself is the memory of what was done: see ``Spool`` and ``LogCheckpoint``.
final class LogPump {
    /// A round moves at most so much of one stream, so that one noisy replica does not starve the loop.
    private static let round = 128 * 1024
    /// After a failed write to the log.
    private static let retryDelay: UInt64 = 1_000_000_000

    private final class Source {
        let stream: LogStream
        let spool: Spool
        var watch: EventLoop.Watch?

        init(_ stream: LogStream, _ spool: Spool) {
            self.stream = stream
            self.spool = spool
        }
    }

    let replica: ReplicaID
    private let paths: OutputPaths
    private let log: ServiceLog
    private let loop: EventLoop
    private var sources: [Source] = []
    private var retry: EventLoop.Timer?
    private var isFinished = false
    /// Told once when output cannot be logged, and with nil when it can again.
    var onTrouble: (SystemError?) -> Void = { _ in }
    private var inTrouble = false
    /// Bytes logged by this process for this replica.
    private(set) var loggedBytes: Int64 = 0

    /// Makes the FIFOs of a replica that is about to be launched; what an earlier launch left unread is logged first.
    static func prepare(_ paths: OutputPaths, log: ServiceLog, uid: UInt32, gid: UInt32) throws(SystemError) {
        for stream in LogStream.allCases {
            try Spool.makeFIFO(paths.fifo(stream), uid: uid, gid: gid)
            try File.removeIfPresent(paths.spool(stream))
        }
        try log.checkpoint(offsets: [:]).write(paths.checkpoint)
    }

    /// Goes on where the log ends.
    init(_ replica: ReplicaID, _ paths: OutputPaths, log: ServiceLog, loop: EventLoop) throws(SystemError) {
        self.replica = replica
        self.paths = paths
        self.log = log
        self.loop = loop
        var arrived: [LogStream: Int64] = [:]
        for stream in LogStream.allCases where File.exists(paths.spool(stream)) {
            arrived[stream] = Int64(try File.status(paths.spool(stream)).size)
        }
        let checkpoint = try LogCheckpoint.read(paths.checkpoint)
        let offsets = try log.offsets(of: replica, since: checkpoint, arrived: arrived)
        for stream in LogStream.allCases {
            let spool = try Spool(
                fifo: paths.fifo(stream), file: paths.spool(stream), consumed: offsets[stream] ?? 0)
            sources.append(Source(stream, spool))
        }
        log.attach(self)
        for source in sources { try watch(source) }
        // What was in the spool when the last supervisor died.
        loop.soon { [weak self] in self?.pumpAll() }
    }

    /// Logs all that is left, also an unfinished last line, and removes the spool. For a replica that has ended.
    func finish() throws(SystemError) {
        if isFinished { return }
        for source in sources {
            stopWatching(source)
            var isDry = false
            // Whoever was handed the FIFO by the replica may go on writing for ever: what it held is all that is taken.
            var left = source.spool.capacity
            while !isDry {
                if case .bytes(let count) = try source.spool.take(atMost: Self.round) {
                    left -= count
                } else {
                    left = 0
                }
                isDry = left <= 0
                try logPending(source, atEnd: isDry)
            }
        }
        isFinished = true
        if let retry { loop.cancel(retry) }
        log.detach(self)
        sources = []
        for stream in LogStream.allCases {
            try File.removeIfPresent(paths.spool(stream))
            try File.removeIfPresent(paths.fifo(stream))
        }
        try File.removeIfPresent(paths.checkpoint)
    }

    /// Where the streams are in the log: for the checkpoint at a rotation.
    func writeCheckpoint() throws(SystemError) {
        var offsets: [LogStream: Int64] = [:]
        for source in sources { offsets[source.stream] = source.spool.consumed }
        try log.checkpoint(offsets: offsets).write(paths.checkpoint)
    }

    private func watch(_ source: Source) throws(SystemError) {
        guard source.watch == nil else { return }
        source.watch = try loop.watch(source.spool.fifo.rawValue, for: .read) { [weak self, unowned source] _ in
            self?.pump(source)
        }
    }

    private func stopWatching(_ source: Source) {
        if let watch = source.watch { loop.cancel(watch) }
        source.watch = nil
    }

    private func pumpAll() {
        for source in sources { pump(source) }
    }

    private func pump(_ source: Source) {
        if isFinished { return }
        do throws(SystemError) {
            let arrival = try source.spool.take(atMost: Self.round)
            try logPending(source, atEnd: false)
            // Nobody can write any more: the replica closed its output. What is left is logged at its end.
            if case .hangUp = arrival { stopWatching(source) }
            if inTrouble {
                inTrouble = false
                onTrouble(nil)
            }
        } catch {
            pause(error)
        }
    }

    /// The log cannot be written (a full disk): the FIFO keeps what it can hold, then the replica waits. Nothing is lost.
    private func pause(_ error: SystemError) {
        if !inTrouble {
            inTrouble = true
            onTrouble(error)
        }
        for source in sources { stopWatching(source) }
        if let retry { loop.cancel(retry) }
        retry = loop.after(Self.retryDelay) { [weak self] in
            guard let self, !isFinished else { return }
            pumpAll()
            if !inTrouble {
                do throws(SystemError) {
                    for source in sources { try watch(source) }
                } catch {
                    pause(error)
                }
            }
        }
    }

    private func logPending(_ source: Source, atEnd: Bool) throws(SystemError) {
        while true {
            let bytes = try source.spool.pending(atMost: Self.round)
            let start = source.spool.consumed
            let isLast = start + Int64(bytes.count) == source.spool.end
            var used = 0
            var records: [UInt8] = []
            bytes.withUnsafeBytes { raw in
                let time = Timestamp(nanoseconds: Int64(mlr_realtime_nanoseconds()))
                for piece in LineSplitter.pieces(of: raw, atEnd: atEnd && isLast) {
                    let message = String(decoding: raw[piece.range], as: UTF8.self)
                    LogRecord(
                        time: time, replica: replica, stream: source.stream, offset: start + Int64(piece.end),
                        isPartial: piece.isPartial, message: message
                    ).append(to: &records)
                    used = piece.end
                }
            }
            if used == 0 { return }
            try log.append(records)
            loggedBytes += Int64(used)
            try source.spool.consume(used)
            try log.rotateIfFull()
            if isLast { return }
        }
    }
}
