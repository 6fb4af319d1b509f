public import OCISpec

/// How long each step of a start took: what `--timing` prints and `inspect` shows.
public struct StartReport: Sendable, Equatable {
    /// One step of a start.
    public struct Step: Sendable, Equatable {
        /// Which step.
        public var phase: StartPhase
        /// ``StartPhase/portOpen`` and ``StartPhase/ready`` count from exec, all others are the time of the step
        /// itself. nil for a step that happened within another one.
        public var duration: Duration?
        /// What was moved, where the step moves bytes.
        public var bytes: Int64?

        public init(_ phase: StartPhase, _ duration: Duration?, bytes: Int64? = nil) {
            self.phase = phase
            self.duration = duration
            self.bytes = bytes
        }
    }

    /// In the order of ``StartPhase``; steps that were not needed are missing.
    public private(set) var steps: [Step] = []

    public init() {}

    /// Adds a step, or replaces it.
    public mutating func record(_ phase: StartPhase, _ duration: Duration?, bytes: Int64? = nil) {
        steps.removeAll { $0.phase == phase }
        steps.append(Step(phase, duration, bytes: bytes))
        let order = StartPhase.allCases
        steps.sort { (order.firstIndex(of: $0.phase) ?? 0) < (order.firstIndex(of: $1.phase) ?? 0) }
    }

    /// The time of a step; nil where it was not needed.
    public subscript(phase: StartPhase) -> Step? { steps.first { $0.phase == phase } }

    /// From the first step to ready, or to the last step there is: the port opens before ready and within its time.
    public var total: Duration {
        let hasReady = self[.ready]?.duration != nil
        return steps.reduce(.zero) { sum, step in
            step.phase == .portOpen && hasReady ? sum : sum + (step.duration ?? .zero)
        }
    }

    /// `resolve 120ms | pull 3.9 GiB 41s | verify (within) | … | ready 1m11s | total 2m`.
    public var text: String {
        var parts = steps.map { step in
            let bytes = step.bytes.map { " \(ByteSize.text($0))" } ?? ""
            return "\(step.phase.rawValue)\(bytes) \(step.duration?.fineText ?? "(within)")"
        }
        parts.append("total \(total.fineText)")
        return parts.joined(separator: " | ")
    }

    public var json: JSON {
        [
            "phases": .array(
                steps.map { step in
                    var object = JSONObject([("phase", .string(step.phase.rawValue))])
                    object["seconds"] = step.duration.map { .number($0.fractionalSeconds) }
                    object["bytes"] = step.bytes.map { .integer($0) }
                    return .object(object)
                }),
            "totalSeconds": .number(total.fractionalSeconds),
        ]
    }

    public init(_ cursor: JSONCursor) throws(JSONError) {
        for element in try cursor.required("phases").elements() {
            let name = try element.required("phase")
            guard let phase = StartPhase(rawValue: try name.string()) else {
                throw name.failure("is no phase of a start")
            }
            let duration = try element.optional("seconds").map { cursor throws(JSONError) in try Duration(cursor) }
            record(phase, duration, bytes: try element.optional("bytes")?.integer())
        }
    }
}

extension Duration {
    /// As ``shortText``, with parts of milliseconds where they matter: `0.4ms`.
    var fineText: String {
        let microseconds = wholeNanoseconds / 1000
        guard microseconds > 0, microseconds < 10_000 else { return shortText }
        let tenths = microseconds / 100
        return tenths % 10 == 0 ? "\(tenths / 10)ms" : "\(tenths / 10).\(tenths % 10)ms"
    }
}
