public import LinuxSystem

/// Where mlrun keeps what it knows of a service, so that programs can read it also while no supervisor runs.
public struct ServiceFiles: Sendable, Hashable {
    /// `<root>/services/<name>`.
    public let directory: String
    /// Of the service.
    public let name: String
    private let directories: MLRunDirectories

    public init(_ directories: MLRunDirectories, name: String) {
        self.directories = directories
        self.name = name
        directory = "\(directories.services)/\(name)"
    }

    /// Settings and state of the service.
    public var record: String { "\(directory)/service.json" }
    /// The newest log file; `.1` and `.2` hold what is older.
    public var log: String { "\(directory)/log.jsonl" }

    /// The files of one of its replicas.
    public func replica(_ id: ReplicaID) -> ReplicaFiles { ReplicaFiles(directories, service: self, id: id) }

    /// The names of all services that have a record.
    public static func names(_ directories: MLRunDirectories) throws(SystemError) -> [String] {
        guard File.exists(directories.services) else { return [] }
        return try File.list(directories.services).filter {
            File.exists(ServiceFiles(directories, name: $0).record)
        }.sorted()
    }
}

/// Where mlrun keeps what it knows of a replica.
public struct ReplicaFiles: Sendable, Hashable {
    /// `<root>/services/<service>/replicas/<id>`: what survives a reboot.
    public let directory: String
    /// `<state>/replicas/<id>`: what does not.
    public let runtimeDirectory: String

    init(_ directories: MLRunDirectories, service: ServiceFiles, id: ReplicaID) {
        directory = "\(service.directory)/replicas/\(id)"
        runtimeDirectory = "\(directories.replicas)/\(id)"
    }

    /// What the supervisor needs to find the replica again: process, cgroup, user ids.
    public var record: String { "\(directory)/replica.json" }
    /// The digest of its image's manifest, for a container in the foreground, which has no record.
    var image: String { "\(directory)/image" }
    /// What its CNI plugins were told and answered, for taking it out of the network again.
    var network: String { "\(directory)/network.json" }
    /// The writable layer.
    public var scratch: String { "\(directory)/scratch" }
    /// /etc/hosts, /etc/hostname and /etc/resolv.conf as the container sees them.
    var etc: String { "\(runtimeDirectory)/etc" }
    /// Its network namespace, where CNI plugins made it a network.
    var networkNamespace: String { "\(runtimeDirectory)/netns" }
    /// Written by the socket agent when the first process has ended.
    var exit: String { "\(runtimeDirectory)/exit" }
    var output: OutputPaths { OutputPaths(directory: runtimeDirectory) }
}
