public import OCISpec

/// What can be asked of the supervisor; the line that travels is ``json``.
public enum ControlRequest: Sendable, Equatable {
    /// Whether it runs; answers version, process number and directories.
    case ping
    /// Starts a service, or starts an existing one of this name again with these settings when it is stopped.
    /// `phases` are the steps of the start that the caller did itself, such as pulling, in seconds; with `waits`, events
    /// tell the further steps and the result comes when the service is ready or has failed.
    case start(ServiceSettings, phases: [StartStep], waits: Bool)
    /// Drains and ends all replicas and waits until nothing is left of them. A `timeout` replaces the stop timeout.
    case stop(name: String, timeout: Duration?, force: Bool)
    /// Sends a signal to every replica's first process.
    case kill(name: String, signal: String)
    /// Forgets a stopped service with its writable layers and logs; with `force` a running one is killed first.
    case remove(name: String, force: Bool)
    /// Drains, stops and starts again, and waits until it is ready.
    case restart(name: String, timeout: Duration?, waits: Bool)
    case list
    case inspect(name: String)
    /// The events since a time (CLOCK_REALTIME, nanoseconds), then with `follow` those to come.
    case events(name: String?, since: Int64?, follow: Bool)
    /// What the gateway counts: requests, in flight, queued.
    case statistics(name: String?)
    /// Waits until a service is stopped or failed; answers its exit code.
    case wait(name: String)
    /// Ends the supervisor. Replicas and the gateway go on, unless `stopsServices`.
    case shutdown(stopsServices: Bool)

    /// A step of a start and the time it took.
    public struct StartStep: Sendable, Equatable {
        /// Which step.
        public var phase: StartPhase
        /// How long it took.
        public var seconds: Double

        public init(_ phase: StartPhase, seconds: Double) {
            self.phase = phase
            self.seconds = seconds
        }

        public init(_ cursor: JSONCursor) throws(JSONError) {
            let word = try cursor.required("phase")
            guard let phase = StartPhase(rawValue: try word.string()) else {
                throw word.failure("is no step of a start")
            }
            self.init(phase, seconds: try cursor.required("seconds").double())
        }

        public var json: JSON { ["phase": .string(phase.rawValue), "seconds": .number(seconds)] }
    }

    public init(_ cursor: JSONCursor) throws(JSONError) {
        func name() throws(JSONError) -> String { try cursor.required("name").string() }
        func flag(_ flag: String) throws(JSONError) -> Bool { try cursor.optional(flag)?.bool() ?? false }
        func timeout() throws(JSONError) -> Duration? {
            try cursor.optional("timeout").map { seconds throws(JSONError) in try Duration(seconds) }
        }
        let operation = try cursor.required("op")
        switch try operation.string() {
        case "ping": self = .ping
        case "start":
            self = .start(
                try ServiceSettings(try cursor.required("settings")),
                phases: try cursor.optional("phases")?.array { step throws(JSONError) in try StartStep(step) } ?? [],
                waits: !(try flag("noWait")))
        case "stop": self = .stop(name: try name(), timeout: try timeout(), force: try flag("force"))
        case "kill":
            self = .kill(name: try name(), signal: try cursor.optional("signal")?.string() ?? "KILL")
        case "rm": self = .remove(name: try name(), force: try flag("force"))
        case "restart": self = .restart(name: try name(), timeout: try timeout(), waits: !(try flag("noWait")))
        case "ps": self = .list
        case "inspect": self = .inspect(name: try name())
        case "events":
            self = .events(
                name: try cursor.optional("name")?.string(), since: try cursor.optional("since")?.integer(),
                follow: try flag("follow"))
        case "stats": self = .statistics(name: try cursor.optional("name")?.string())
        case "wait": self = .wait(name: try name())
        case "shutdown": self = .shutdown(stopsServices: try flag("stopServices"))
        case let other: throw operation.failure("\"\(other)\" is nothing that mlrund does")
        }
    }

    public var json: JSON {
        switch self {
        case .ping: ["op": "ping"]
        case .start(let settings, let phases, let waits):
            [
                "op": "start", "settings": settings.json, "noWait": .bool(!waits),
                "phases": .array(phases.map(\.json)),
            ]
        case .stop(let name, let timeout, let force):
            Self.object("stop", name, timeout, ("force", .bool(force)))
        case .kill(let name, let signal): Self.object("kill", name, nil, ("signal", .string(signal)))
        case .remove(let name, let force): Self.object("rm", name, nil, ("force", .bool(force)))
        case .restart(let name, let timeout, let waits):
            Self.object("restart", name, timeout, ("noWait", .bool(!waits)))
        case .list: ["op": "ps"]
        case .inspect(let name): Self.object("inspect", name, nil)
        case .events(let name, let since, let follow):
            Self.object(
                "events", name, nil, ("follow", .bool(follow)), since.map { ("since", .integer($0)) })
        case .statistics(let name): Self.object("stats", name, nil)
        case .wait(let name): Self.object("wait", name, nil)
        case .shutdown(let stops): ["op": "shutdown", "stopServices": .bool(stops)]
        }
    }

    private static func object(
        _ operation: String, _ name: String?, _ timeout: Duration?, _ more: (name: String, value: JSON)?...
    ) -> JSON {
        var object = JSONObject([("op", .string(operation))])
        if let name { object["name"] = .string(name) }
        if let timeout { object["timeout"] = .number(timeout.fractionalSeconds) }
        for case let member? in more { object[member.name] = member.value }
        return .object(object)
    }
}
