internal import LinuxSystem

/// The log of a service, into which the output of all its replicas goes.
final class ServiceLog {
    private let file: LogFile
    private var pumps: [ObjectIdentifier: WeakPump] = [:]

    private struct WeakPump { weak var pump: LogPump? }

    init(_ path: String, rotation: LogRotation = LogRotation()) throws(SystemError) {
        file = try LogFile(path, rotation: rotation)
    }

    func attach(_ pump: LogPump) { pumps[ObjectIdentifier(pump)] = WeakPump(pump: pump) }
    func detach(_ pump: LogPump) { pumps[ObjectIdentifier(pump)] = nil }

    func append(_ records: [UInt8]) throws(SystemError) { try file.append(records) }

    func rotateIfFull() throws(SystemError) {
        guard file.isFull else { return }
        try file.rotate()
        for entry in pumps.values { try entry.pump?.writeCheckpoint() }
    }

    /// The present end of the log as the place from which records count.
    func checkpoint(offsets: [LogStream: Int64]) -> LogCheckpoint {
        LogCheckpoint(logInode: file.inode, logPosition: file.size, offsets: offsets)
    }

    /// How far each stream of a replica is logged: by its last record after the checkpoint, else by the checkpoint.
    ///
    /// - Parameter arrived: how much of each stream has come out of its FIFO; one that said nothing since the checkpoint
    ///   has no record to look for.
    func offsets(
        of replica: ReplicaID, since checkpoint: LogCheckpoint?, arrived: [LogStream: Int64]
    ) throws(SystemError) -> [LogStream: Int64] {
        guard let checkpoint else { return [:] }
        var wanted = Set(LogStream.allCases.filter { (arrived[$0] ?? 0) > (checkpoint.offsets[$0] ?? 0) })
        var found: [LogStream: Int64] = [:]
        if wanted.isEmpty { return checkpoint.offsets }
        try file.recordsBackwards(to: checkpoint.logPosition, in: checkpoint.logInode) { line in
            if let record = LogRecord(line: line), record.replica == replica, wanted.contains(record.stream) {
                found[record.stream] = record.offset
                wanted.remove(record.stream)
            }
            return !wanted.isEmpty
        }
        return checkpoint.offsets.merging(found) { _, newer in newer }
    }
}
