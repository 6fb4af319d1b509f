internal import Container
internal import Glibc
public import ImageStore
public import LinuxSystem
public import Logging
public import Registry

/// This machine as a place where models are served: its image store, and through mlrund its services.
///
/// ```swift
/// let host = try ModelHost()
/// for try await event in host.pull("registry.example/sentiment:v3") { print(event) }
/// ```
///
/// A value is cheap to make and safe to share. Several programs, and `mlrun` itself, may use the same directories at once.
public final class ModelHost: Sendable {
    /// Where everything is kept.
    public let directories: MLRunDirectories
    /// The images of these directories.
    public let store: ImageStore
    /// The program that supervises services, started when it does not run.
    public let supervisor: String
    let registry: RegistryConfiguration
    let logger: Logger

    /// Opens the store in `directories`, making it the first time.
    ///
    /// - Parameters:
    ///   - directories: by default those of `MLRUN_ROOT` and `MLRUN_STATE`.
    ///   - supervisor: the path of mlrund; by default the one beside this program, else the first on `PATH`.
    ///   - registry: credentials, time-outs and trusted certificates for pulling.
    /// - Throws: ``MLRunError`` when the store cannot be opened.
    public init(
        directories: MLRunDirectories = .fromEnvironment(), supervisor: String? = nil,
        registry: RegistryConfiguration = RegistryConfiguration(),
        logger: Logger = Logger(label: "mlrun", factory: { _ in SwiftLogNoOpLogHandler() })
    ) throws(MLRunError) {
        self.directories = directories
        self.supervisor = supervisor ?? Self.defaultSupervisor
        self.registry = registry
        self.logger = logger
        do throws(StoreError) { store = try ImageStore(directories) } catch { throw MLRunError(error) }
    }

    private static var defaultSupervisor: String {
        let own = (try? SealedProgram.path()).map { File.parent(of: $0) } ?? "."
        let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/local/bin:/usr/bin"
        let folders = [own] + path.split(separator: ":").map(String.init)
        let beside = "\(own)/mlrund"
        return folders.map { "\($0)/mlrund" }.first { access($0, X_OK) == 0 } ?? beside
    }
}
