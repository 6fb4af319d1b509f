internal import CLinux
internal import Glibc
public import LinuxSystem

/// What to show of a log.
public struct LogQuery: Sendable, Equatable {
    /// Only the last so many records; nil for all.
    public var tail: Int?
    /// Nothing older; nil for all.
    public var since: Timestamp?
    /// Nothing newer; nil for all.
    public var until: Timestamp?
    /// Of this replica only; nil for all.
    public var replica: ReplicaID?
    /// Of these streams only.
    public var streams: Set<LogStream> = Set(LogStream.allCases)

    public init(tail: Int? = nil, since: Timestamp? = nil, until: Timestamp? = nil, replica: ReplicaID? = nil) {
        self.tail = tail
        self.since = since
        self.until = until
        self.replica = replica
    }

    /// Whether a record is to be shown; ``tail`` is not looked at.
    public func matches(_ record: LogRecord) -> Bool {
        streams.contains(record.stream) && (replica.map { $0 == record.replica } ?? true)
            && (since.map { record.time >= $0 } ?? true) && (until.map { record.time <= $0 } ?? true)
    }
}

/// Reads a service's log from its files, also while they grow and are set aside, and whether or not a supervisor runs.
///
/// Not for use by several threads at once.
public final class LogReader {
    private let path: String
    private let query: LogQuery
    private let rotation: LogRotation
    /// The file that is being read, how far, and the line whose end has not been written yet.
    private var current: OpenFile?
    private var unfinished: [UInt8] = []
    private var inotify: SharedDescriptor?

    private struct OpenFile {
        let descriptor: SharedDescriptor
        let inode: UInt64
    }

    /// - Parameter path: of the current file; those set aside have `.1` and `.2` after it.
    public init(_ path: String, _ query: LogQuery, rotation: LogRotation = LogRotation()) {
        self.path = path
        self.query = query
        self.rotation = rotation
    }

    /// Passes what is there to `visit`, oldest first, until it returns false. A log that is not there yet is empty.
    public func read(_ visit: (LogRecord) -> Bool) throws(SystemError) {
        let files = try openFiles()
        if let tail = query.tail { return try readTail(tail, of: files, visit) }
        for file in files {
            current = file
            unfinished = []
            if try !readOn(visit) { return }
        }
    }

    /// Waits until the log may have grown: true; false when the time is over or `interrupt` became readable.
    ///
    /// - Parameter timeout: nil to wait for ever.
    public func wait(timeout: Duration? = nil, interrupt: Int32? = nil) throws(SystemError) -> Bool {
        let watch = try watch()
        var polled = [pollfd(fd: watch.rawValue, events: Int16(POLLIN), revents: 0)]
        if let interrupt { polled.append(pollfd(fd: interrupt, events: Int16(POLLIN), revents: 0)) }
        let milliseconds = timeout.map { Int32(clamping: max(0, $0.wholeMilliseconds)) } ?? -1
        let ready = poll(&polled, nfds_t(polled.count), milliseconds)
        if ready < 0 {
            if errno == EINTR { return true }
            throw SystemError("wait for the log", path: path, Errno(rawValue: errno))
        }
        if polled.count > 1, polled[1].revents != 0 { return false }
        guard polled[0].revents != 0 else { return false }
        var buffer = [UInt8](repeating: 0, count: 4096)
        _ = Glibc.read(watch.rawValue, &buffer, buffer.count)
        return true
    }

    /// Passes what came since the last call on to `visit`, through any number of rotations; false once it says so.
    public func readNew(_ visit: (LogRecord) -> Bool) throws(SystemError) -> Bool {
        if current != nil, try !readOn(visit) { return false }
        let files = try openFiles()
        let newer: ArraySlice<OpenFile>
        if let current, let index = files.firstIndex(where: { $0.inode == current.inode }) {
            newer = files[(index + 1)...]
        } else {
            newer = files[...]
        }
        for file in newer {
            // The old file may have grown between the last look and its being set aside.
            if current != nil, try !readOn(visit) { return false }
            current = file
            unfinished = []
        }
        return newer.isEmpty ? true : try readOn(visit)
    }

    /// Starts to watch before anything is read, so that nothing is missed in between.
    public func startWatching() throws(SystemError) { _ = try watch() }

    private func watch() throws(SystemError) -> SharedDescriptor {
        if let inotify { return inotify }
        let directory = File.parent(of: path)
        let created = SharedDescriptor(taking: try check(mlr_inotify_create(), "watch", path: directory))
        let mask = UInt32(IN_MODIFY) | UInt32(IN_CREATE) | UInt32(IN_MOVED_TO)
        try check(mlr_inotify_add(created.rawValue, directory, mask), "watch", path: directory)
        inotify = created
        return created
    }

    // MARK: Files

    /// All files of the log, oldest first. They are opened newest first: one that is set aside meanwhile is met twice
    /// and not missed.
    private func openFiles() throws(SystemError) -> [OpenFile] {
        var files: [OpenFile] = []
        for name in rotation.paths(of: path) {
            do throws(SystemError) {
                let opened = try File.open(name, O_RDONLY)
                let inode = try File.status(of: opened.rawValue).inode
                if !files.contains(where: { $0.inode == inode }) {
                    files.append(OpenFile(descriptor: SharedDescriptor(opened), inode: inode))
                }
            } catch {
                if error.errno != .noSuchFile { throw error }
            }
        }
        return files.reversed()
    }

    private func readTail(
        _ count: Int, of files: [OpenFile], _ visit: (LogRecord) -> Bool
    ) throws(SystemError) {
        var found: [LogRecord] = []
        for (index, file) in files.enumerated().reversed() {
            var content = try File.readAll(file.descriptor.rawValue, path: path)[...]
            if index == files.count - 1 {
                current = file
                let end = content.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? content.startIndex
                unfinished = Array(content[end...])
                content = content[..<end]
            }
            while found.count < count, !content.isEmpty {
                let body = content.dropLast()
                let start = body.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? body.startIndex
                if let record = LogRecord(line: body[start...]), query.matches(record) { found.append(record) }
                content = content[..<start]
            }
            if found.count >= count { break }
        }
        for record in found.reversed() where !visit(record) { return }
    }

    private func readOn(_ visit: (LogRecord) -> Bool) throws(SystemError) -> Bool {
        guard let current else { return true }
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let got = retrying {
                let got = Glibc.read(current.descriptor.rawValue, &buffer, buffer.count)
                return got < 0 ? -Int(errno) : got
            }
            try check(got, "read", path: path)
            if got == 0 { return true }
            unfinished.append(contentsOf: buffer[..<got])
            while let newline = unfinished.firstIndex(of: UInt8(ascii: "\n")) {
                let record = LogRecord(line: unfinished[..<newline])
                unfinished.removeSubrange(...newline)
                if let record, query.matches(record), !visit(record) { return false }
            }
        }
    }
}
