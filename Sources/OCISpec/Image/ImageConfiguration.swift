/// An image's configuration (image-spec, config.md): what to run, and which layers make its file system.
/// Members without a comment mean what the specification's of that name mean.
public struct ImageConfiguration: Sendable, Equatable {
    public var platform: Platform
    /// RFC 3339.
    public var created: String?
    public var user: String
    public var exposedPorts: [String]
    public var environment: [String]
    public var entrypoint: [String]
    public var command: [String]
    public var volumes: [String]
    public var workingDirectory: String
    public var labels: [String: String]
    /// A name such as `SIGTERM` or a number.
    public var stopSignal: String?
    /// Docker's extension: the HEALTHCHECK of the image.
    public var healthcheck: ImageHealthcheck?
    /// The digests of the uncompressed layers, lowest first.
    public var diffIDs: [Digest]

    public init(
        platform: Platform = .host, created: String? = nil, user: String = "", exposedPorts: [String] = [],
        environment: [String] = [], entrypoint: [String] = [], command: [String] = [], volumes: [String] = [],
        workingDirectory: String = "", labels: [String: String] = [:], stopSignal: String? = nil,
        healthcheck: ImageHealthcheck? = nil, diffIDs: [Digest] = []
    ) {
        self.platform = platform
        self.created = created
        self.user = user
        self.exposedPorts = exposedPorts
        self.environment = environment
        self.entrypoint = entrypoint
        self.command = command
        self.volumes = volumes
        self.workingDirectory = workingDirectory
        self.labels = labels
        self.stopSignal = stopSignal
        self.healthcheck = healthcheck
        self.diffIDs = diffIDs
    }

    public init(_ cursor: JSONCursor) throws(JSONError) {
        platform = try Platform(cursor)
        created = try cursor.optional("created")?.string()
        let settings = try cursor.optional("config") ?? JSONCursor([:], path: "config")
        user = try settings.optional("User")?.string() ?? ""
        exposedPorts = try settings.optional("ExposedPorts")?.members().map(\.name) ?? []
        environment = try settings.optional("Env")?.strings() ?? []
        entrypoint = try settings.optional("Entrypoint")?.strings() ?? []
        command = try settings.optional("Cmd")?.strings() ?? []
        volumes = try settings.optional("Volumes")?.members().map(\.name) ?? []
        workingDirectory = try settings.optional("WorkingDir")?.string() ?? ""
        labels = try settings.optional("Labels")?.stringMap() ?? [:]
        stopSignal = try settings.optional("StopSignal")?.string()
        healthcheck = try settings.optional("Healthcheck").map { cursor throws(JSONError) in
            try ImageHealthcheck(cursor)
        }
        let rootfs = try cursor.required("rootfs")
        let type = try rootfs.optional("type")?.string() ?? "layers"
        guard type == "layers" else { throw try rootfs.required("type").failure("is \"\(type)\", not \"layers\"") }
        diffIDs = try rootfs.optional("diff_ids")?.array { cursor throws(JSONError) in try Digest(cursor) } ?? []
    }
}

/// Docker's HEALTHCHECK; times in nanoseconds, 0 for "inherit the default".
/// Members without a comment mean what the specification's of that name mean.
public struct ImageHealthcheck: Sendable, Equatable {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", command]`; empty to inherit.
    public var test: [String]
    public var interval: Int64
    public var timeout: Int64
    public var startPeriod: Int64
    public var retries: Int

    public init(
        test: [String], interval: Int64 = 0, timeout: Int64 = 0, startPeriod: Int64 = 0, retries: Int = 0
    ) {
        self.test = test
        self.interval = interval
        self.timeout = timeout
        self.startPeriod = startPeriod
        self.retries = retries
    }

    public init(_ cursor: JSONCursor) throws(JSONError) {
        test = try cursor.optional("Test")?.strings() ?? []
        interval = try cursor.optional("Interval")?.integer() ?? 0
        timeout = try cursor.optional("Timeout")?.integer() ?? 0
        startPeriod = try cursor.optional("StartPeriod")?.integer() ?? 0
        retries = try cursor.optional("Retries")?.integer() ?? 0
    }
}
