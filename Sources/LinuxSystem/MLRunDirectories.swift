internal import Glibc

/// The two directories that hold everything mlrun keeps; several mlruns live side by side with different ones.
public struct MLRunDirectories: Sendable, Hashable {
    /// What survives a reboot: images, services, logs. `MLRUN_ROOT`, by default `/var/lib/mlrun`.
    public let root: String
    /// What does not: sockets, FIFOs, mounts, `mlrund.pid`. `MLRUN_STATE`, by default `/run/mlrun`.
    public let state: String

    public init(root: String, state: String) {
        self.root = root
        self.state = state
    }

    /// From the environment of this process; relative paths are made absolute against the working directory.
    public static func fromEnvironment() -> MLRunDirectories {
        func value(_ name: String, default standard: String) -> String {
            guard let text = getenv(name).map({ String(cString: $0) }), !text.isEmpty else { return standard }
            if text.hasPrefix("/") { return text }
            guard let working = getcwd(nil, 0) else { return text }
            defer { free(working) }
            return "\(String(cString: working))/\(text)"
        }
        return MLRunDirectories(
            root: value("MLRUN_ROOT", default: "/var/lib/mlrun"), state: value("MLRUN_STATE", default: "/run/mlrun"))
    }

    // MARK: Below root

    /// One EROFS file a layer, `<hex>.erofs`, and what is known of it, `<hex>.json`.
    public var layers: String { "\(root)/layers/sha256" }
    /// Manifests, indexes and configurations, by digest.
    public var blobs: String { "\(root)/blobs/sha256" }
    /// One record an image reference.
    public var images: String { "\(root)/images" }
    /// Unfinished layers; emptied whenever nobody writes them.
    public var ingest: String { "\(root)/ingest" }
    /// One empty file for each thing that is locked across processes.
    public var locks: String { "\(root)/locks" }
    /// One directory a service: its settings, and per replica the writable layer and the logs.
    public var services: String { "\(root)/services" }
    /// Compiled seccomp programs.
    public var seccompCache: String { "\(root)/cache/seccomp" }

    // MARK: Below state

    /// Where mlrund takes requests.
    public var supervisorSocket: String { "\(state)/mlrund.sock" }
    /// The process number of mlrund.
    public var supervisorPidFile: String { "\(state)/mlrund.pid" }
    /// Held by the mlrund that runs, so that there is one.
    public var supervisorLock: String { "\(state)/mlrund.lock" }
    /// Where the gateway takes mlrund's requests.
    public var gatewaySocket: String { "\(state)/gateway.sock" }
    /// Where each layer is mounted, once for all replicas.
    public var layerMounts: String { "\(state)/layers" }
    /// One directory a replica: FIFOs and other run-time files.
    public var replicas: String { "\(state)/replicas" }
}
