public import OCISpec

/// What survives on disk. The rules do not: they follow from settings and image, which are there themselves.
extension ServiceState {
    public init(_ cursor: JSONCursor, rules: ServiceRules) throws(JSONError) {
        self.init(name: try cursor.required("name").string(), rules: rules)
        desired = try cursor.required("desired").word()
        nextNumber = try cursor.required("nextNumber").integer()
        wasReady = try cursor.required("wasReady").bool()
        failsFast = try cursor.required("failsFast").bool()
        startDurations = try cursor.required("startDurations").array { cursor throws(JSONError) in
            try Duration(cursor)
        }
        replicas = try cursor.required("replicas").array { cursor throws(JSONError) in try ReplicaState(cursor) }
    }

    public var json: JSON {
        [
            "name": .string(name), "desired": .string(desired.rawValue), "nextNumber": .integer(Int64(nextNumber)),
            "wasReady": .bool(wasReady), "failsFast": .bool(failsFast),
            "startDurations": .array(startDurations.map(\.json)), "replicas": .array(replicas.map(\.json)),
        ]
    }
}

extension ReplicaState {
    public init(_ cursor: JSONCursor) throws(JSONError) {
        self.init(ReplicaID(try cursor.required("id").string()))
        phase = try cursor.required("phase").word()
        attempt = try cursor.required("attempt").integer()
        goal = try cursor.required("goal").word()
        process = try cursor.optional("process").map { cursor throws(JSONError) in
            ProcessIdentity(
                pid: try cursor.required("pid").integer(), startTime: try cursor.required("startTime").integer())
        }
        launchedAt = try cursor.time("launchedAt")
        portOpenAt = try cursor.time("portOpenAt")
        readyAt = try cursor.time("readyAt")
        forced = try cursor.optional("forced")?.bool() ?? false
        reason = try cursor.optional("reason").map { cursor throws(JSONError) in try EndReason(cursor) }
        ending = try cursor.optional("ending").map { cursor throws(JSONError) in try DeathCause(cursor) }
        lastDeath = try cursor.optional("lastDeath").map { cursor throws(JSONError) in try DeathCause(cursor) }
        failuresInARow = try cursor.required("failuresInARow").integer()
        recentFailures = try cursor.required("recentFailures").array { cursor throws(JSONError) in
            MonotonicTime(nanoseconds: try cursor.integer())
        }
        crashLooping = try cursor.required("crashLooping").bool()
        restarts = try cursor.required("restarts").integer()
        outOfMemoryInARow = try cursor.required("outOfMemoryInARow").integer()
        contract = try cursor.optional("contract").map { cursor throws(JSONError) in try ProbeCandidate(cursor) }
        provedLife = try cursor.required("provedLife").bool()
        for member in try cursor.required("timers").members() {
            guard let timer = ReplicaTimer(rawValue: member.name) else { throw member.cursor.failure("is no timer") }
            timers[timer] = MonotonicTime(nanoseconds: try member.cursor.integer())
        }
    }

    public var json: JSON {
        var object = JSONObject([
            ("id", .string(id.rawValue)), ("phase", .string(phase.rawValue)), ("attempt", .integer(Int64(attempt))),
            ("goal", .string(goal.rawValue)),
        ])
        object["process"] = process.map {
            ["pid": .integer(Int64($0.pid)), "startTime": .integer(Int64(clamping: $0.startTime))]
        }
        object["launchedAt"] = launchedAt.map { .integer($0.nanoseconds) }
        object["portOpenAt"] = portOpenAt.map { .integer($0.nanoseconds) }
        object["readyAt"] = readyAt.map { .integer($0.nanoseconds) }
        if forced { object["forced"] = true }
        object["reason"] = reason?.json
        object["ending"] = ending?.json
        object["lastDeath"] = lastDeath?.json
        object["failuresInARow"] = .integer(Int64(failuresInARow))
        object["recentFailures"] = .array(recentFailures.map { .integer($0.nanoseconds) })
        object["crashLooping"] = .bool(crashLooping)
        object["restarts"] = .integer(Int64(restarts))
        object["outOfMemoryInARow"] = .integer(Int64(outOfMemoryInARow))
        object["contract"] = contract?.json
        object["provedLife"] = .bool(provedLife)
        let armed = timers.sorted { $0.key.rawValue < $1.key.rawValue }
        object["timers"] = .object(
            JSONObject(armed.map { (name: $0.key.rawValue, value: .integer($0.value.nanoseconds)) }))
        return .object(object)
    }
}

extension JSONCursor {
    fileprivate func time(_ name: String) throws(JSONError) -> MonotonicTime? {
        guard let member = try optional(name) else { return nil }
        return MonotonicTime(nanoseconds: try member.integer())
    }

    fileprivate func word<Value: RawRepresentable>() throws(JSONError) -> Value where Value.RawValue == String {
        let text = try string()
        guard let value = Value(rawValue: text) else { throw failure("\"\(text)\" is not known") }
        return value
    }
}
