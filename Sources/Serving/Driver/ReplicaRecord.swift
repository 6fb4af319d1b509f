public import OCISpec

/// What the supervisor writes down of a replica before it acts, so that the next supervisor finds everything.
public struct ReplicaRecord: Sendable, Equatable {
    /// The name of its service.
    public var service: String
    /// Its own.
    public var id: ReplicaID
    /// The launch that all of this is about.
    public var attempt: Int
    /// Which range of host ids its user namespace has; kept as long as its writable layer.
    public var slot: Int
    /// The replica's cgroup directory.
    public var cgroup: String
    /// The first process; nil before it was created.
    public var process: ProcessIdentity?
    /// The process that hands out sockets of its network namespace.
    public var agent: ProcessIdentity?
    /// The kernel's name of this boot: process numbers of another one mean nothing.
    public var boot: String
    /// The image ID that it was launched from.
    public var image: String
    /// The root file system's user, as the container sees it, for commands run in it later.
    public var user: RuntimeSpec.User?
    /// Nanoseconds since 1970; nil before its program was executed.
    public var startedAt: Int64?
    /// The processors it has for itself, such as `0-3`.
    public var processors: String?
    /// What CNI plugins gave it; nil without `--network bridge`.
    public var network: NetworkSummary?
    /// The steps of its start and their times.
    public var phases: [ControlRequest.StartStep]
    /// Limits that this host could not set, and the like.
    public var warnings: [String]
    /// How the attempt before ended, and why.
    public var deathReport: DeathReport?

    public init(service: String, id: ReplicaID, attempt: Int, slot: Int, cgroup: String, boot: String, image: String) {
        self.service = service
        self.id = id
        self.attempt = attempt
        self.slot = slot
        self.cgroup = cgroup
        self.boot = boot
        self.image = image
        phases = []
        warnings = []
    }

    public init(_ cursor: JSONCursor) throws(JSONError) {
        service = try cursor.required("service").string()
        id = ReplicaID(try cursor.required("id").string())
        attempt = try cursor.required("attempt").integer()
        slot = try cursor.required("slot").integer()
        cgroup = try cursor.required("cgroup").string()
        boot = try cursor.required("boot").string()
        image = try cursor.required("image").string()
        if let process = try cursor.optional("process") { self.process = try ProcessIdentity(process) }
        if let agent = try cursor.optional("agent") { self.agent = try ProcessIdentity(agent) }
        if let user = try cursor.optional("user") { self.user = try RuntimeSpec.User(user) }
        startedAt = try cursor.optional("startedAt")?.integer()
        processors = try cursor.optional("processors")?.string()
        network = try cursor.optional("network", NetworkSummary.init)
        phases = try cursor.required("phases").array { step throws(JSONError) in
            try ControlRequest.StartStep(step)
        }
        warnings = try cursor.optional("warnings")?.strings() ?? []
        if let report = try cursor.optional("deathReport") { deathReport = try DeathReport(report) }
    }

    public var json: JSON {
        var object = JSONObject([
            ("service", .string(service)), ("id", .string(id.rawValue)), ("attempt", .integer(Int64(attempt))),
            ("slot", .integer(Int64(slot))), ("cgroup", .string(cgroup)), ("boot", .string(boot)),
            ("image", .string(image)),
        ])
        object["process"] = process?.json
        object["agent"] = agent?.json
        object["user"] = user?.json
        object["startedAt"] = startedAt.map { .integer($0) }
        object["processors"] = processors.map { .string($0) }
        object["network"] = network?.json
        object["phases"] = .array(phases.map(\.json))
        object["deathReport"] = deathReport?.json
        if !warnings.isEmpty { object["warnings"] = .array(warnings.map { .string($0) }) }
        return .object(object)
    }
}
