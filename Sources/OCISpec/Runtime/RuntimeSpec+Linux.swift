extension RuntimeSpec {
    /// What a Linux container has beyond its process (runtime-spec, config-linux.md).
    public struct Linux: Sendable, Equatable {
        public var namespaces: [Namespace]
        public var uidMappings: [IDMap]
        public var gidMappings: [IDMap]
        /// By clock, `monotonic` or `boottime`.
        public var timeOffsets: [String: TimeOffset]
        public var devices: [Device]
        /// Network devices of the host to move in, by their name there.
        public var netDevices: [String: NetworkDevice]
        public var cgroupsPath: String?
        public var resources: Resources?
        public var rootfsPropagation: String?
        public var seccomp: Seccomp?
        public var sysctl: [String: String]
        public var maskedPaths: [String]
        public var readonlyPaths: [String]
        public var mountLabel: String?
        public var personality: Personality?
        public var intelRdt: IntelRdt?
        public var memoryPolicy: MemoryPolicy?

        public init(
            namespaces: [Namespace] = [], uidMappings: [IDMap] = [], gidMappings: [IDMap] = [],
            timeOffsets: [String: TimeOffset] = [:], devices: [Device] = [],
            netDevices: [String: NetworkDevice] = [:], cgroupsPath: String? = nil, resources: Resources? = nil,
            rootfsPropagation: String? = nil, seccomp: Seccomp? = nil, sysctl: [String: String] = [:],
            maskedPaths: [String] = [], readonlyPaths: [String] = [], mountLabel: String? = nil,
            personality: Personality? = nil, intelRdt: IntelRdt? = nil, memoryPolicy: MemoryPolicy? = nil
        ) {
            self.namespaces = namespaces
            self.uidMappings = uidMappings
            self.gidMappings = gidMappings
            self.timeOffsets = timeOffsets
            self.devices = devices
            self.netDevices = netDevices
            self.cgroupsPath = cgroupsPath
            self.resources = resources
            self.rootfsPropagation = rootfsPropagation
            self.seccomp = seccomp
            self.sysctl = sysctl
            self.maskedPaths = maskedPaths
            self.readonlyPaths = readonlyPaths
            self.mountLabel = mountLabel
            self.personality = personality
            self.intelRdt = intelRdt
            self.memoryPolicy = memoryPolicy
        }
    }

    /// A namespace to make, or with a path to join.
    public struct Namespace: Sendable, Equatable {
        public enum Kind: String, Sendable, CaseIterable {
            case pid, network, mount, ipc, uts, user, cgroup, time
        }
        public var kind: Kind
        public var path: String?

        public init(_ kind: Kind, path: String? = nil) {
            self.kind = kind
            self.path = path
        }
    }

    /// What a clock in a new time namespace is ahead of the host's.
    public struct TimeOffset: Sendable, Equatable {
        public var secs: Int64
        public var nanosecs: UInt32

        public init(secs: Int64 = 0, nanosecs: UInt32 = 0) {
            self.secs = secs
            self.nanosecs = nanosecs
        }
    }

    /// A device node to make in the container.
    public struct Device: Sendable, Equatable {
        /// `c`, `u` (unbuffered character), `b` or `p`.
        public var type: String
        public var path: String
        public var major: Int64?
        public var minor: Int64?
        public var fileMode: UInt32?
        public var uid: UInt32?
        public var gid: UInt32?

        public init(
            type: String, path: String, major: Int64? = nil, minor: Int64? = nil, fileMode: UInt32? = nil,
            uid: UInt32? = nil, gid: UInt32? = nil
        ) {
            self.type = type
            self.path = path
            self.major = major
            self.minor = minor
            self.fileMode = fileMode
            self.uid = uid
            self.gid = gid
        }
    }

    /// A network device to move into the container.
    public struct NetworkDevice: Sendable, Equatable {
        /// Its name inside; nil to keep the one it has.
        public var name: String?

        public init(name: String? = nil) { self.name = name }
    }

    /// personality(2).
    public struct Personality: Sendable, Equatable {
        /// `LINUX` or `LINUX32`.
        public var domain: String
        public var flags: [String]

        public init(domain: String, flags: [String] = []) {
            self.domain = domain
            self.flags = flags
        }
    }

    /// Cache and memory bandwidth allocation through resctrl.
    public struct IntelRdt: Sendable, Equatable {
        public var closID: String?
        public var schemata: [String]
        public var l3CacheSchema: String?
        public var memBwSchema: String?
        public var enableMonitoring: Bool

        public init(
            closID: String? = nil, schemata: [String] = [], l3CacheSchema: String? = nil, memBwSchema: String? = nil,
            enableMonitoring: Bool = false
        ) {
            self.closID = closID
            self.schemata = schemata
            self.l3CacheSchema = l3CacheSchema
            self.memBwSchema = memBwSchema
            self.enableMonitoring = enableMonitoring
        }
    }

    /// set_mempolicy(2) for the container's process.
    public struct MemoryPolicy: Sendable, Equatable {
        /// Such as `MPOL_INTERLEAVE`.
        public var mode: String
        /// A list such as `0-1`.
        public var nodes: String?
        /// Such as `MPOL_F_STATIC_NODES`.
        public var flags: [String]

        public init(mode: String, nodes: String? = nil, flags: [String] = []) {
            self.mode = mode
            self.nodes = nodes
            self.flags = flags
        }
    }
}

extension RuntimeSpec.Linux {
    public init(_ cursor: JSONCursor) throws(JSONError) {
        namespaces = try cursor.list("namespaces", RuntimeSpec.Namespace.init)
        uidMappings = try cursor.list("uidMappings", RuntimeSpec.IDMap.init)
        gidMappings = try cursor.list("gidMappings", RuntimeSpec.IDMap.init)
        timeOffsets = try cursor.map("timeOffsets", RuntimeSpec.TimeOffset.init)
        devices = try cursor.list("devices", RuntimeSpec.Device.init)
        netDevices = try cursor.map("netDevices", RuntimeSpec.NetworkDevice.init)
        cgroupsPath = try cursor.optional("cgroupsPath")?.string()
        resources = try cursor.optional("resources", RuntimeSpec.Resources.init)
        rootfsPropagation = try cursor.optionalText("rootfsPropagation")
        seccomp = try cursor.optional("seccomp", RuntimeSpec.Seccomp.init)
        sysctl = try cursor.optional("sysctl")?.stringMap() ?? [:]
        maskedPaths = try cursor.optional("maskedPaths")?.strings() ?? []
        readonlyPaths = try cursor.optional("readonlyPaths")?.strings() ?? []
        mountLabel = try cursor.optionalText("mountLabel")
        personality = try cursor.optional("personality", RuntimeSpec.Personality.init)
        intelRdt = try cursor.optional("intelRdt", RuntimeSpec.IntelRdt.init)
        memoryPolicy = try cursor.optional("memoryPolicy", RuntimeSpec.MemoryPolicy.init)
    }

    public var json: JSON {
        var object = JSONObject()
        object.set("namespaces", namespaces.map(\.json))
        object.set("uidMappings", uidMappings.map(\.json))
        object.set("gidMappings", gidMappings.map(\.json))
        object.set("timeOffsets", timeOffsets.mapValues(\.json))
        object.set("devices", devices.map(\.json))
        object.set("netDevices", netDevices.mapValues(\.json))
        object.set("cgroupsPath", cgroupsPath)
        object["resources"] = resources?.json
        object.set("rootfsPropagation", rootfsPropagation)
        object["seccomp"] = seccomp?.json
        object.set("sysctl", sysctl)
        object.set("maskedPaths", maskedPaths)
        object.set("readonlyPaths", readonlyPaths)
        object.set("mountLabel", mountLabel)
        object["personality"] = personality?.json
        object["intelRdt"] = intelRdt?.json
        object["memoryPolicy"] = memoryPolicy?.json
        return .object(object)
    }
}

extension JSONCursor {
    /// An optional object member whose values all go through one reader.
    func map<Model>(
        _ name: String, _ read: (JSONCursor) throws(JSONError) -> Model
    ) throws(JSONError) -> [String: Model] {
        guard let member = try optional(name) else { return [:] }
        var result: [String: Model] = [:]
        for entry in try member.members() { result[entry.name] = try read(entry.cursor) }
        return result
    }
}

extension JSONObject {
    mutating func set(_ name: String, _ map: [String: JSON]) {
        if map.isEmpty { return }
        self[name] = .object(JSONObject(map.sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) }))
    }
}

extension RuntimeSpec.Namespace {
    public init(_ cursor: JSONCursor) throws(JSONError) {
        let type = try cursor.required("type")
        let name = try type.string()
        guard let kind = Kind(rawValue: name) else {
            let known = Kind.allCases.map(\.rawValue).joined(separator: ", ")
            throw type.failure("\"\(name)\" is no namespace type (\(known))")
        }
        self.kind = kind
        path = try cursor.optional("path")?.string()
    }

    public var json: JSON {
        var object = JSONObject()
        object["type"] = .string(kind.rawValue)
        object.set("path", path)
        return .object(object)
    }
}

extension RuntimeSpec.TimeOffset {
    public init(_ cursor: JSONCursor) throws(JSONError) {
        secs = try cursor.optionalInteger("secs") ?? 0
        nanosecs = try cursor.optionalInteger("nanosecs") ?? 0
    }

    public var json: JSON { ["secs": .integer(secs), "nanosecs": .integer(Int64(nanosecs))] }
}

extension RuntimeSpec.Device {
    public init(_ cursor: JSONCursor) throws(JSONError) {
        type = try cursor.required("type").string()
        path = try cursor.required("path").string()
        major = try cursor.optionalInteger("major")
        minor = try cursor.optionalInteger("minor")
        fileMode = try cursor.optionalInteger("fileMode")
        uid = try cursor.optionalInteger("uid")
        gid = try cursor.optionalInteger("gid")
    }

    public var json: JSON {
        var object = JSONObject()
        object["path"] = .string(path)
        object["type"] = .string(type)
        object.set("major", major)
        object.set("minor", minor)
        object.set("fileMode", fileMode)
        object.set("uid", uid)
        object.set("gid", gid)
        return .object(object)
    }
}

extension RuntimeSpec.NetworkDevice {
    public init(_ cursor: JSONCursor) throws(JSONError) { name = try cursor.optional("name")?.string() }

    public var json: JSON {
        var object = JSONObject()
        object.set("name", name)
        return .object(object)
    }
}

extension RuntimeSpec.Personality {
    public init(_ cursor: JSONCursor) throws(JSONError) {
        domain = try cursor.required("domain").string()
        flags = try cursor.optional("flags")?.strings() ?? []
    }

    public var json: JSON {
        var object = JSONObject()
        object["domain"] = .string(domain)
        object.set("flags", flags)
        return .object(object)
    }
}

extension RuntimeSpec.IntelRdt {
    public init(_ cursor: JSONCursor) throws(JSONError) {
        closID = try cursor.optional("closID")?.string()
        schemata = try cursor.optional("schemata")?.strings() ?? []
        l3CacheSchema = try cursor.optional("l3CacheSchema")?.string()
        memBwSchema = try cursor.optional("memBwSchema")?.string()
        enableMonitoring = try cursor.optional("enableMonitoring")?.bool() ?? false
    }

    public var json: JSON {
        var object = JSONObject()
        object.set("closID", closID)
        object.set("schemata", schemata)
        object.set("l3CacheSchema", l3CacheSchema)
        object.set("memBwSchema", memBwSchema)
        if enableMonitoring { object["enableMonitoring"] = true }
        return .object(object)
    }
}

extension RuntimeSpec.MemoryPolicy {
    public init(_ cursor: JSONCursor) throws(JSONError) {
        mode = try cursor.required("mode").string()
        nodes = try cursor.optional("nodes")?.string()
        flags = try cursor.optional("flags")?.strings() ?? []
    }

    public var json: JSON {
        var object = JSONObject()
        object["mode"] = .string(mode)
        object.set("nodes", nodes)
        object.set("flags", flags)
        return .object(object)
    }
}
