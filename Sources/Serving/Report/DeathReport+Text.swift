public import OCISpec

extension DeathReport {
    /// What happened, in one line.
    public var sentence: String {
        let uptime = facts.uptime.shortText
        switch diagnosis {
        case .outOfMemoryContainer:
            let limit = facts.memoryLimit.map { " of \(ByteSize.text($0))" } ?? ""
            return "\(replica) was killed by the kernel after \(uptime): it reached its memory limit\(limit)"
        case .outOfMemoryHost:
            return "\(replica) was killed by the kernel after \(uptime): the host had no memory left"
        case .outOfMemoryDevice:
            return "\(replica) ended after \(uptime): its accelerator had no memory left"
        case .systemCall:
            return "\(replica) was killed after \(uptime): it made a system call that its seccomp profile forbids"
        default: return "\(replica) ended after \(uptime): \(cause.sentence)"
        }
    }

    /// What to do about it; nil where nothing follows.
    public var suggestion: String? {
        switch diagnosis {
        case .outOfMemoryContainer:
            let repeated =
                facts.outOfMemoryInARow > 1 ? "this was out of memory \(facts.outOfMemoryInARow) times in a row; " : ""
            guard let memory = suggestedMemory else { return repeated + "give it more with --memory" }
            return repeated + "try --memory \(memory)" + (usage.map { " (\($0))" } ?? "")
        case .outOfMemoryHost: return "stop other programs, or limit every service with --memory so that all fit"
        case .outOfMemoryDevice: return "use a smaller model or batch, or stop what else uses the accelerator"
        case .liveness: return "see the log for what it was busy with, or give it another --live probe"
        case .startupDeadline: return "see the log for what it waited for, or give it longer with --startup-timeout"
        case .drainTimeout: return "give requests longer with --drain-timeout"
        case .systemCall: return "find the call with strace, or allow more with --security-opt seccomp=FILE"
        case .exitCode:
            switch cause.status {
            case .code(126): return "the command cannot be executed; look at its permissions and its interpreter"
            case .code(127): return "the command was not found; look at the image's entrypoint and PATH"
            default: return "see the last lines of its log"
            }
        case .launchFailed, .signal, .completed, .stopRequested, .unknown: return nil
        }
    }

    /// A quarter more than it needed, rounded up to a size that people would write.
    var suggestedMemory: String? {
        let needed = max(facts.memoryPeak ?? 0, facts.memoryLimit ?? 0)
        guard needed > 0 else { return nil }
        let target = needed + needed / 4
        let gibibyte: Int64 = 1 << 30
        if target >= 4 * gibibyte { return "\((target + gibibyte - 1) / gibibyte)g" }
        let step: Int64 = 64 << 20
        return "\((target + step - 1) / step * 64)m"
    }

    /// `7.9 GiB anonymous, 900 MiB shared`.
    private var usage: String? {
        let parts = [(facts.anonymous, "anonymous"), (facts.shared, "shared, /dev/shm included")].compactMap {
            bytes, name in
            bytes.flatMap { $0 > 0 ? "\(ByteSize.text($0)) \(name)" : nil }
        }
        return parts.isEmpty ? nil : parts.joined(separator: ", ")
    }

    /// One screen for people: what, the figures there are, the suggestion, the last lines.
    public var text: String {
        var lines = [sentence]
        if facts.restarts > 0 { lines.append("  restarts: \(facts.restarts)") }
        let sizes: [(String, Int64?)] = [
            ("limit", facts.memoryLimit), ("peak", facts.memoryPeak), ("anonymous", facts.anonymous),
            ("file cache", facts.fileCache), ("shared", facts.shared), ("kernel", facts.kernel),
            ("sockets", facts.sockets), ("swap", facts.swap),
        ]
        let known = sizes.compactMap { name, bytes in bytes.map { "\(name) \(ByteSize.text($0))" } }
        if !known.isEmpty { lines.append("  memory: \(known.joined(separator: ", "))") }
        if facts.limitHits + facts.oomEvents + facts.oomKills > 0 {
            lines.append(
                "  memory events: limit reached \(facts.limitHits), out of memory \(facts.oomEvents), "
                    + "killed \(facts.oomKills)")
        }
        if let throttled = facts.throttled, throttled >= 1 {
            lines.append("  processor: throttled \(Int(throttled.rounded()))% of the time")
        }
        if let suggestion { lines.append("  suggestion: \(suggestion)") }
        if !facts.lastLines.isEmpty {
            lines.append("  last lines of its log:")
            lines += facts.lastLines.suffix(20).map { "    \($0)" }
        }
        return lines.joined(separator: "\n")
    }

    public var json: JSON {
        var object = JSONObject([
            ("time", .string(time.description)), ("replica", .string(replica.rawValue)),
            ("diagnosis", .string(diagnosis.rawValue)), ("cause", cause.json), ("text", .string(sentence)),
        ])
        object["suggestion"] = suggestion.map { .string($0) }
        object["facts"] = facts.json
        return .object(object)
    }

    public init(_ cursor: JSONCursor) throws(JSONError) {
        let time = try cursor.required("time")
        guard let parsed = Timestamp(rfc3339: try time.string()) else { throw time.failure("is no RFC 3339 time") }
        self.init(
            time: parsed, replica: ReplicaID(try cursor.required("replica").string()),
            cause: try DeathCause(cursor.required("cause")), facts: try DeathFacts(cursor.required("facts")))
    }
}

extension DeathFacts {
    private static var sizes: [(name: String, field: WritableKeyPath<DeathFacts, Int64?>)] {
        [
            ("memoryLimit", \.memoryLimit), ("memoryPeak", \.memoryPeak), ("anonymous", \.anonymous),
            ("fileCache", \.fileCache), ("shared", \.shared), ("kernel", \.kernel), ("sockets", \.sockets),
            ("swap", \.swap),
        ]
    }

    private static var counters: [(name: String, field: WritableKeyPath<DeathFacts, Int64>)] {
        [
            ("limitHits", \.limitHits), ("oomEvents", \.oomEvents), ("oomKills", \.oomKills),
            ("oomGroupKills", \.oomGroupKills),
        ]
    }

    public var json: JSON {
        var object = JSONObject([("uptime", uptime.json), ("restarts", .integer(Int64(restarts)))])
        for (name, field) in Self.sizes { object[name] = self[keyPath: field].map { .integer($0) } }
        for (name, field) in Self.counters { object[name] = .integer(self[keyPath: field]) }
        object["memoryPressure"] = memoryPressure.map { .number($0) }
        object["throttled"] = throttled.map { .number($0) }
        object["outOfMemoryInARow"] = .integer(Int64(outOfMemoryInARow))
        object["lastLines"] = .array(lastLines.map { .string($0) })
        return .object(object)
    }

    public init(_ cursor: JSONCursor) throws(JSONError) {
        self.init()
        uptime = try Duration(cursor.required("uptime"))
        restarts = try cursor.required("restarts").integer()
        for (name, field) in Self.sizes { self[keyPath: field] = try cursor.optional(name)?.integer() }
        for (name, field) in Self.counters { self[keyPath: field] = try cursor.required(name).integer() }
        memoryPressure = try cursor.optional("memoryPressure")?.double()
        throttled = try cursor.optional("throttled")?.double()
        outOfMemoryInARow = try cursor.required("outOfMemoryInARow").integer()
        lastLines = try cursor.required("lastLines").strings()
    }
}
