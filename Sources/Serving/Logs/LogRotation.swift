/// When a log file is set aside and which files there are: 10 MiB, three files, as numbers that can be reasoned about.
public struct LogRotation: Sendable, Equatable {
    /// Bytes after which a file is set aside.
    public var fileSize: Int64
    /// The current one included.
    public var files: Int

    public init(fileSize: Int64 = 10 << 20, files: Int = 3) {
        self.fileSize = fileSize
        self.files = files
    }

    /// Whether a file of this many bytes is to be set aside.
    public func isFull(_ size: Int64) -> Bool { size >= fileSize }

    /// The paths of a log, newest first: `log`, `log.1`, `log.2`.
    public func paths(of path: String) -> [String] { (0..<files).map { $0 == 0 ? path : "\(path).\($0)" } }

    /// What to rename, in this order; the oldest file is replaced and with that gone.
    public func renames(of path: String) -> [(from: String, to: String)] {
        let paths = paths(of: path)
        return (1..<files).reversed().map { (paths[$0 - 1], paths[$0]) }
    }
}
