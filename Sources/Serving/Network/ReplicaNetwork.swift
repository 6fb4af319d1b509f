internal import CLinux
internal import Container
internal import Glibc
internal import LinuxSystem
internal import OCISpec
internal import Synchronization

/// The network of a container with `--network bridge`.
///
/// The namespace is the container's own, made with it: only then does it belong to the container's user namespace, so that
/// sysfs, sysctls, raw sockets and low ports are in it what they are in a private network, and nothing is the host's. The
/// plugins work while the container waits, before anything is mounted in it.
final class ReplicaNetwork: Sendable {
    private let files: ReplicaFiles
    private let hostname: String
    private let places: CNIPlaces
    private let prepared: CNIAttachment
    private let outcome = Mutex(Outcome())

    private struct Outcome {
        var result: CNIResult?
        var failure: ControlError?
        var nanoseconds: UInt64 = 0
    }

    /// Finds the network; changes nothing.
    ///
    /// - Parameter cgroup: the container's, below the cgroup2 hierarchy.
    init(
        _ id: ReplicaID, _ settings: ServiceSettings, _ files: ReplicaFiles, cgroup: String,
        places: CNIPlaces = .fromEnvironment()
    ) throws(ControlError) {
        self.files = files
        self.places = places
        hostname = settings.hostname ?? id.rawValue
        prepared = CNIAttachment(
            network: try Self.find(settings, places), containerID: "\(id)-\(File.randomName())",
            namespace: files.networkNamespace,
            arguments: "IgnoreUnknown=1;MLRUN_SERVICE=\(settings.name);MLRUN_REPLICA=\(id)",
            runtime: JSONObject([("cgroupPath", .string(cgroup))]))
    }

    /// Whether a container with these settings could be attached: configured, and all plugins there.
    static func check(_ settings: ServiceSettings) throws(ControlError) {
        if settings.network == .bridge { _ = try find(settings, .fromEnvironment()) }
    }

    private static func find(_ settings: ServiceSettings, _ places: CNIPlaces) throws(ControlError) -> CNINetwork {
        do throws(CNIError) { return try places.network(settings.networkName) } catch { throw error.controlError }
    }

    // MARK: While it is launched

    /// For ``LaunchRequest/whenCreated``. Written down before each step, so that whoever cleans up knows what there is.
    func attach(_ process: ContainerProcess) throws(LaunchError) {
        let start = mlr_monotonic_nanoseconds()
        do throws(CNIError) {
            let result = try attach(process.pid)
            outcome.withLock {
                $0.result = result
                $0.nanoseconds = mlr_monotonic_nanoseconds() - start
            }
        } catch {
            outcome.withLock { $0.failure = error.controlError }
            throw .setting(path: "network", error.message)
        }
    }

    private func attach(_ process: Int32) throws(CNIError) -> CNIResult {
        var attachment = prepared
        do throws(SystemError) {
            try write(attachment)
            try NamespaceFile(path: attachment.namespace).attach(process)
        } catch {
            throw CNIError(error)
        }
        let result = try attachment.add(in: places)
        do throws(SystemError) {
            try write(attachment)
            try EtcFiles(directory: files.etc).fill(
                hostname: hostname, addresses: result.addresses.map(\.address),
                resolver: ResolverText.make(result.names))
        } catch {
            throw CNIError(error)
        }
        return result
    }

    private func write(_ attachment: CNIAttachment) throws(SystemError) {
        // Addresses are leased in files that survive a reboot, and so must this.
        try File.replace(files.network, with: attachment.json.bytes(pretty: true), durable: true)
    }

    // MARK: What came of it

    /// Why attaching failed, nil unless it did.
    var failure: ControlError? { outcome.withLock { $0.failure } }
    var seconds: Double { outcome.withLock { Double($0.nanoseconds) / 1e9 } }
    var summary: NetworkSummary? {
        outcome.withLock { $0.result.map { NetworkSummary(prepared.network.name, $0) } }
    }

    // MARK: Afterwards

    /// Gives back what a container has got, and lets go of its namespace; does nothing where there is nothing. For a
    /// container without processes.
    static func release(_ files: ReplicaFiles, places: CNIPlaces = .fromEnvironment()) throws(ControlError) {
        let namespace = NamespaceFile(path: files.networkNamespace)
        let isAttached = File.exists(files.network)
        if isAttached { try delete(files, namespace, places) }
        do throws(SystemError) {
            if isAttached { try File.removeIfPresent(files.network) }
            try namespace.remove()
        } catch {
            throw ControlError(error)
        }
    }

    private static func delete(
        _ files: ReplicaFiles, _ namespace: NamespaceFile, _ places: CNIPlaces
    ) throws(ControlError) {
        let attachment: CNIAttachment
        do {
            attachment = try CNIAttachment(JSONCursor(try JSON(parsing: try File.read(files.network))))
        } catch {
            throw ControlError(
                "the record of the container's network is not understood: \(error)",
                remedy: "remove \(files.network) to give its address up")
        }
        do throws(CNIError) {
            try attachment.delete(in: places, namespaceExists: namespace.isNamespace)
        } catch {
            let forget = "remove \(files.network) to give its address up"
            throw ControlError(error.message, remedy: error.remedy.map { "\($0), or \(forget)" } ?? forget)
        }
    }
}
