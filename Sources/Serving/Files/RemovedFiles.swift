internal import LinuxSystem

/// Directories that are nobody's any more and wait to be deleted, which may take long.
///
/// Taking a directory away is one rename(2): it is there or it is gone, whenever the program is killed. What is killed
/// before it has deleted everything leaves the rest here, for the next supervisor.
struct RemovedFiles: Sendable {
    private let directory: String

    init(_ directories: MLRunDirectories) { directory = "\(directories.root)/removed" }

    /// What lies here now.
    var remains: [String] {
        get throws(SystemError) {
            guard File.exists(directory) else { return [] }
            return try File.list(directory).map { "\(directory)/\($0)" }
        }
    }

    /// Takes a directory from where it is; one that is not there is no error.
    ///
    /// - Returns: where it is now; nil where there was none.
    func take(_ path: String) throws(SystemError) -> String? {
        let place = "\(directory)/\(File.randomName())"
        // What containers wrote may be setuid.
        try File.makeDirectories(directory, mode: 0o700)
        do throws(SystemError) { try File.rename(path, to: place) } catch {
            if error.errno == .noSuchFile { return nil }
            throw error
        }
        try File.syncDirectory(File.parent(of: path))
        return place
    }

    /// Takes a directory away and deletes it.
    func remove(_ path: String) throws(SystemError) {
        if let place = try take(path) { try File.removeTree(place) }
    }
}
