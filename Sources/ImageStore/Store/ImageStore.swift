internal import Glibc
public import LinuxSystem

/// Everything mlrun keeps of images, in directories that several processes use at once.
///
/// - `layers/sha256/<hex>.erofs` and `.json`: one EROFS image a layer, named by the digest of the blob as transported,
///   and its ``LayerRecord``, written last.
/// - `layers/diff-ids/<hex>`: a symbolic link from a diff ID to the name of a layer with that content.
/// - `blobs/sha256/<hex>`: manifests, indexes and configurations, verbatim.
/// - `images/<reference>.json`: one ``ImageRecord`` a reference, written when all it names is durable.
/// - `ingest/`: layers being written; `locks/`: who does what (see ``LayerLock`` and ``LayerPins``).
///
/// Nothing here needs a repair step: at whatever instant a process dies, what is named is complete, and what is not
/// complete has no name and is removed by the next one that opens the store while nobody writes.
public struct ImageStore: Sendable {
    /// Where everything is kept.
    public let directories: MLRunDirectories

    /// Opens the store, and makes its directories the first time.
    public init(_ directories: MLRunDirectories) throws(StoreError) {
        self.directories = directories
        do throws(SystemError) {
            // Only what holds everything else is private: layers are mounted from within.
            let all = [
                directories.layers, diffIDs, directories.blobs, directories.images, directories.ingest,
                directories.locks,
            ]
            let missing = all.filter { !File.exists($0) }
            for path in missing.isEmpty ? [] : [directories.root] + missing {
                try File.makeDirectories(path, mode: 0o700)
            }
            // What is made durable in a directory is lost with the directory's own name.
            var parents = Set(missing.map { File.parent(of: $0) })
            if !missing.isEmpty { parents.formUnion([directories.root, File.parent(of: directories.root)]) }
            for parent in parents { try File.syncDirectory(parent) }
            try removeAbandonedIngests()
        } catch {
            let full = StoreError(error, writing: 64 << 10, in: directories.root)
            if case .noSpace = full { throw full }
            throw .image(.cannotOpen(path: directories.root, error))
        }
    }

    var diffIDs: String { "\(directories.root)/layers/diff-ids" }

    /// Held shared by everyone who writes into `ingest/`, exclusively by whoever cleans it.
    var ingestLock: String { "\(directories.locks)/ingest" }
    /// Held exclusively while the set of image records, or what they name, changes.
    private var recordsLock: String { "\(directories.locks)/records" }

    /// Removes what a process that died left in `ingest/`, unless somebody writes there.
    func removeAbandonedIngests() throws(SystemError) {
        let names = try File.list(directories.ingest)
        if names.isEmpty { return }
        guard let lock = try FileLock(trying: ingestLock, exclusive: true) else { return }
        for name in try File.list(directories.ingest) { try File.removeTree("\(directories.ingest)/\(name)") }
        withExtendedLifetime(lock) {}
    }

    /// Runs `body` while nobody else changes the image records.
    func whileRecordsStandStill<Result>(_ body: () throws(StoreError) -> Result) throws(StoreError) -> Result {
        let lock: FileLock
        do throws(SystemError) { lock = try FileLock(recordsLock, exclusive: true) } catch { throw .system(error) }
        let result = try body()
        withExtendedLifetime(lock) {}
        return result
    }
}

/// Seconds since 1970.
func currentTime() -> Int64 { Int64(time(nil)) }
