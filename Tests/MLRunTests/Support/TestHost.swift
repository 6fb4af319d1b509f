import Glibc
import LinuxSystem
import MLRun
import Synchronization

/// A host whose directories are its own and go away with it.
final class TestHost: Sendable {
    let path: String
    let host: ModelHost

    init(supervisor: String? = nil) throws {
        path = "\(getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp")/mlrun-host-\(File.randomName())"
        try File.makeDirectories(path)
        host = try ModelHost(
            directories: MLRunDirectories(root: "\(path)/root", state: "\(path)/state"), supervisor: supervisor,
            registry: RegistryConfiguration(credentials: .none, retries: RetryPolicy(attempts: 1)))
    }

    deinit { try? File.removeTree(path) }

    /// Layers, unfinished ones among them, and images: what a pull that came to nothing must not leave.
    func residue() throws -> [String] {
        let directories = host.directories
        return try [directories.layers, directories.ingest, directories.images].flatMap { try File.list($0) }
    }

    /// A service's record as mlrund keeps it, as far as others read it.
    func plantService(_ name: String, manifest: OCISpec.Digest) throws {
        let files = ServiceFiles(host.directories, name: name)
        try File.makeDirectories(files.directory)
        let record: JSON = ["settings": ["name": .string(name), "image": ["manifestDigest": .string("\(manifest)")]]]
        try File.replace(files.record, with: record.bytes())
    }
}

/// Hears of events from any thread.
final class EventRecorder: Sendable {
    private let heard = Mutex<[PullEvent]>([])
    var events: [PullEvent] { heard.withLock { $0 } }
    @Sendable func hear(_ event: PullEvent) { heard.withLock { $0.append(event) } }
}

/// The error a call throws; nil when it throws none.
func failure<Value>(_ body: () async throws -> Value) async -> MLRunError? {
    do { _ = try await body() } catch { return error as? MLRunError }
    return nil
}

/// Waits for something that other threads bring about.
func eventually(_ condition: () throws -> Bool) async rethrows -> Bool {
    for _ in 0..<2000 {
        if try condition() { return true }
        try? await Task.sleep(for: .milliseconds(5))
    }
    return false
}
