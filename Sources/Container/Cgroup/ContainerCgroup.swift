public import OCISpec

/// The control groups of one container, in whichever hierarchies this host has: what a container's life needs of them,
/// the same for cgroup v2, v1, hosts that have both, groups of systemd, and none at all.
///
/// A value of this type owns nothing; it can be written down and read again by another process.
public struct ContainerCgroup: Sendable, Equatable {
    /// The group of the cgroup2 hierarchy; nil on a host of version 1 alone, and without any group.
    public let unified: Cgroup?
    /// The groups of version 1 by controller, and by `name=…` for hierarchies without one.
    public let legacy: [String: Cgroup]
    /// The unit of systemd that the group belongs to.
    public let unit: SystemdUnit?
    /// Where these groups lie, as a path below the hierarchies, such as `/mlrun-oci/id`; empty without any group.
    public let path: String
    /// The directories that were made for it, the lowest first: what removal takes away again, as far as it is empty.
    let made: [String]
    /// Those of its groups that its configuration names and that were there before: they are left where they are.
    let found: [String]
    /// What keeps a unit of systemd alive until the container is in it.
    let keeper: Keeper?

    init(
        unified: Cgroup?, legacy: [String: Cgroup] = [:], unit: SystemdUnit? = nil, path: String, made: [String] = [],
        found: [String] = [], keeper: Keeper? = nil
    ) {
        self.keeper = keeper
        self.unified = unified
        self.legacy = legacy
        self.unit = unit
        self.path = path
        self.made = made
        self.found = found
    }

    /// No group at all: nothing is limited, and only the first process is known.
    public static let none = ContainerCgroup(unified: nil, path: "")

    /// Whether there is no group.
    public var isNone: Bool { unified == nil && legacy.isEmpty }

    /// Who makes the groups.
    public enum Manager: String, Sendable, CaseIterable {
        /// This program, as directories of the cgroup file system.
        case cgroupfs
        /// systemd, asked over D-Bus for a scope.
        case systemd
        /// Nobody: the container stays in its caller's groups.
        case disabled
    }

    /// What a container wants of its groups.
    public struct Request: Sendable {
        /// The container's id.
        public var id: String
        /// `linux.cgroupsPath`; for systemd `slice:prefix:name`.
        public var cgroupsPath: String?
        /// `linux.resources`.
        public var resources: RuntimeSpec.Resources
        /// `linux.devices`: what it may use beside the standard devices if the resources have no device rules.
        public var devices: [RuntimeSpec.Device] = []
        /// Who makes the groups.
        public var manager = Manager.cgroupfs
        /// Whom a group of version 2 is given to.
        public var owner: UInt32?
        /// Annotations of the container; those that begin with `org.systemd.property.` are for systemd.
        public var annotations: [String: String] = [:]
        /// Whether the container has a user namespace of its own: then no device node can be made in it, so that a device
        /// filter that may not be loaded is not needed either.
        public var inUserNamespace = false
        /// Whether version 1 hierarchies are used on a host that has cgroup2 too.
        public var usesLegacyOnHybrid = ContainerCgroup.wantsLegacyOnHybrid
        /// What an error is said about: the place of the resources in the document that is at fault.
        public var fieldPrefix = "linux.resources."

        public init(id: String, cgroupsPath: String? = nil, resources: RuntimeSpec.Resources = .init()) {
            self.id = id
            self.cgroupsPath = cgroupsPath
            self.resources = resources
        }
    }

    // MARK: The record

    /// Reads what ``json`` wrote.
    public init(_ cursor: JSONCursor) throws(JSONError) {
        unified = try cursor.optional("unified") { value throws(JSONError) in Cgroup(path: try value.string()) }
        legacy = (try cursor.optional("legacy")?.stringMap() ?? [:]).mapValues { Cgroup(path: $0) }
        unit = try cursor.optional("unit", SystemdUnit.init)
        path = try cursor.required("path").string()
        made = try cursor.optional("made")?.strings() ?? []
        found = try cursor.optional("found")?.strings() ?? []
        keeper = nil
        if unified == nil, legacy.isEmpty { throw cursor.failure("names no group") }
        // Processes of these are killed, and they are removed.
        for place in [unified?.path].compactMap({ $0 }) + legacy.values.map(\.path) + made where !Self.isPlace(place) {
            throw cursor.failure("\"\(place)\" is no absolute path without \"..\"")
        }
    }

    static func isPlace(_ path: String) -> Bool {
        path.hasPrefix("/") && !path.split(separator: "/").contains("..")
    }

    /// For the container's record.
    public var json: JSON {
        var object = JSONObject()
        object.set("unified", unified?.path)
        object.set("legacy", legacy.mapValues(\.path))
        object["unit"] = unit?.json
        object["path"] = .string(path)
        object.set("made", made)
        object.set("found", found)
        return .object(object)
    }
}

/// A unit of systemd, and the manager that has it.
public struct SystemdUnit: Sendable, Equatable {
    /// Such as `mlrun-id.scope`.
    public let name: String
    /// Whether it belongs to the user's own manager.
    public let isOfUser: Bool

    init(name: String, isOfUser: Bool) {
        self.name = name
        self.isOfUser = isOfUser
    }

    init(_ cursor: JSONCursor) throws(JSONError) {
        name = try cursor.required("name").string()
        isOfUser = try cursor.optional("user")?.bool() ?? false
    }

    var json: JSON { ["name": .string(name), "user": .bool(isOfUser)] }
}
