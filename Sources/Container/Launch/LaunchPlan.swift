public import OCISpec

/// Everything that makes a container out of a process, as a flat list in the order it is done. A value: made by pure
/// functions (``LaunchPlanner``), printed, compared, and played by the C module CLaunch.
public struct LaunchPlan: Sendable, Equatable {
    /// Namespaces made by the clone itself.
    public var created: [RuntimeSpec.Namespace.Kind]
    /// Namespaces joined before the clone, in this order.
    public var joined: [RuntimeSpec.Namespace]
    /// Ids of the user namespace: the launching process writes those of a new one, and one that is joined must have them.
    public var uidMappings: [RuntimeSpec.IDMap]
    /// As ``uidMappings``, of groups.
    public var gidMappings: [RuntimeSpec.IDMap]
    /// Written by the launching process, which may lower it where the container may not.
    public var oomScoreAdjustment: Int?
    /// Network devices of the host that the launching process moves in, by their names there.
    public var networkDevices: [String: RuntimeSpec.NetworkDevice] = [:]
    /// The processors that the process starts on, before it is in its cgroup; nil leaves it the caller's.
    public var initialAffinity: String?
    /// In the order they are done.
    public var steps: [LaunchStep]
    /// The policy of the ``LaunchStep/seccomp(_:)`` step.
    public var seccomp: RuntimeSpec.Seccomp?
    /// What was asked for and cannot be had, where the specification says to go on.
    public var warnings: [String]

    public init(
        created: [RuntimeSpec.Namespace.Kind] = [], joined: [RuntimeSpec.Namespace] = [],
        uidMappings: [RuntimeSpec.IDMap] = [], gidMappings: [RuntimeSpec.IDMap] = [], oomScoreAdjustment: Int? = nil,
        steps: [LaunchStep] = [], seccomp: RuntimeSpec.Seccomp? = nil, warnings: [String] = []
    ) {
        self.created = created
        self.joined = joined
        self.uidMappings = uidMappings
        self.gidMappings = gidMappings
        self.oomScoreAdjustment = oomScoreAdjustment
        self.steps = steps
        self.seccomp = seccomp
        self.warnings = warnings
    }

    /// The plan as `mlrun check` and the golden tests print it.
    public var json: JSON {
        var object = JSONObject()
        object["createNamespaces"] = .array(created.map { .string($0.rawValue) })
        if !joined.isEmpty { object["joinNamespaces"] = .array(joined.map(\.json)) }
        if !uidMappings.isEmpty { object["uidMappings"] = .array(uidMappings.map(\.json)) }
        if !gidMappings.isEmpty { object["gidMappings"] = .array(gidMappings.map(\.json)) }
        if let oomScoreAdjustment { object["oomScoreAdjustment"] = .integer(Int64(oomScoreAdjustment)) }
        object.set("initialAffinity", initialAffinity)
        if !networkDevices.isEmpty {
            let devices = networkDevices.sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value.json) }
            object["networkDevices"] = .object(JSONObject(devices))
        }
        object["steps"] = .array(steps.map(\.json))
        if !warnings.isEmpty { object["warnings"] = .array(warnings.map { .string($0) }) }
        return .object(object)
    }
}

/// A plan that cannot be made, and all the reasons.
public struct PlanError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Each with the place in the configuration.
    public let problems: [JSONError]

    public init(_ problems: [JSONError]) { self.problems = problems }

    public var description: String { problems.map(\.description).joined(separator: "; ") }
}
