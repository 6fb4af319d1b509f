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
    /// The file of the policy that decides which images may come in; nil for the usual place.
    let policyFile: String?
    let logger: Logger

    /// Opens the store in `directories`, making it the first time.
    ///
    /// - Parameters:
    ///   - directories: by default those of `MLRUN_ROOT` and `MLRUN_STATE`.
    ///   - supervisor: the path of mlrund; by default the one beside this program, else the first on `PATH`.
    ///   - registry: credentials, time-outs and trusted certificates for pulling.
    ///   - policyFile: which images may come in; by default the file in `MLRUN_POLICY`, else ``TrustPolicy/standardPath``.
    /// - Throws: ``MLRunError`` when the store cannot be opened.
    public init(
        directories: MLRunDirectories = .fromEnvironment(), supervisor: String? = nil,
        registry: RegistryConfiguration = RegistryConfiguration(), policyFile: String? = nil,
        logger: Logger = Logger(label: "mlrun", factory: { _ in SwiftLogNoOpLogHandler() })
    ) throws(MLRunError) {
        self.directories = directories
        self.supervisor =
            supervisor
            ?? Self.supervisor(
                beside: try? SealedProgram.path(), path: getenv("PATH").map { String(cString: $0) })
        self.registry = registry
        self.policyFile = policyFile
        self.logger = logger
        do throws(StoreError) { store = try ImageStore(directories) } catch { throw MLRunError(error) }
    }

    /// The mlrund beside a program, else the first that is executable in the folders of `path`; where there is none, the
    /// place beside the program, so that the error of starting it names where it should be.
    static func supervisor(beside program: String?, path: String?) -> String {
        let beside = "\(program.map { File.parent(of: $0) } ?? ".")/mlrund"
        let folders = (path ?? "/usr/local/bin:/usr/bin").split(separator: ":")
        return ([beside] + folders.map { "\($0)/mlrund" }).first { access($0, X_OK) == 0 } ?? beside
    }
}
