/// A file of the Container Device Interface: what a vendor's devices need of a container (specification 1.1.0).
/// Members without a comment mean what the specification's of that name mean.
public struct CDISpec: Sendable, Equatable {
    public var cdiVersion: String
    /// Vendor and class of its devices.
    public var kind: String
    public var annotations: [String: String]
    public var devices: [Device]
    /// For every container that gets any of the devices, once.
    public var containerEdits: Edits

    /// A device by its name, with what it needs.
    public struct Device: Sendable, Equatable {
        public var name: String
        public var annotations: [String: String]
        public var containerEdits: Edits
    }

    /// Changes to a container's configuration.
    public struct Edits: Sendable, Equatable {
        public var env: [String] = []
        public var deviceNodes: [DeviceNode] = []
        public var netDevices: [NetDevice] = []
        public var hooks: [Hook] = []
        public var mounts: [Mount] = []
        public var intelRdt: RuntimeSpec.IntelRdt?
        public var additionalGids: [UInt32] = []

        /// No changes.
        public init() {}

        var isEmpty: Bool { self == Edits() }
    }

    public struct DeviceNode: Sendable, Equatable {
        public var path: String
        /// On the host; nil where it is the same.
        public var hostPath: String?
        public var type: String?
        public var major: Int64?
        public var minor: Int64?
        public var fileMode: UInt32?
        /// Of `rwm`; nil for all, `none` for none.
        public var permissions: String?
        public var uid: UInt32?
        public var gid: UInt32?
    }

    public struct NetDevice: Sendable, Equatable {
        public var hostInterfaceName: String
        public var name: String
    }

    public struct Hook: Sendable, Equatable {
        public var hookName: String
        public var path: String
        public var args: [String]
        public var env: [String]
        /// Seconds.
        public var timeout: Int?
    }

    public struct Mount: Sendable, Equatable {
        public var hostPath: String
        public var containerPath: String
        public var options: [String]
        public var type: String?

        public init(hostPath: String, containerPath: String, options: [String] = [], type: String? = nil) {
            self.hostPath = hostPath
            self.containerPath = containerPath
            self.options = options
            self.type = type
        }
    }
}

extension CDISpec {
    /// Reads a file's content: JSON where it begins with a brace, otherwise YAML.
    public init(parsing bytes: [UInt8]) throws(JSONError) {
        let first = bytes.first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
        let document = try first == UInt8(ascii: "{") ? JSON(parsing: bytes) : JSON(parsingYAML: bytes)
        try self.init(JSONCursor(document))
    }

    /// Reads and checks a document. A member that the specification does not know is an error, as it demands.
    public init(_ cursor: JSONCursor) throws(JSONError) {
        try cursor.allowOnly(["cdiVersion", "kind", "annotations", "devices", "containerEdits"])
        cdiVersion = try cursor.required("cdiVersion").string()
        kind = try cursor.required("kind").string()
        annotations = try cursor.optional("annotations")?.stringMap() ?? [:]
        devices = try cursor.list("devices", Device.init)
        containerEdits = try cursor.optional("containerEdits", Edits.init) ?? .init()
        try check(cursor)
    }
}

extension CDISpec.Device {
    init(_ cursor: JSONCursor) throws(JSONError) {
        try cursor.allowOnly(["name", "annotations", "containerEdits"])
        name = try cursor.required("name").string()
        annotations = try cursor.optional("annotations")?.stringMap() ?? [:]
        containerEdits = try CDISpec.Edits(try cursor.required("containerEdits"))
    }
}

extension CDISpec.Edits {
    init(_ cursor: JSONCursor) throws(JSONError) {
        try cursor.allowOnly([
            "env", "deviceNodes", "netDevices", "hooks", "mounts", "intelRdt", "additionalGids",
        ])
        env = try cursor.optional("env")?.strings() ?? []
        deviceNodes = try cursor.list("deviceNodes", CDISpec.DeviceNode.init)
        netDevices = try cursor.list("netDevices") { device throws(JSONError) in
            try device.allowOnly(["hostInterfaceName", "name"])
            return CDISpec.NetDevice(
                hostInterfaceName: try device.required("hostInterfaceName").string(),
                name: try device.required("name").string())
        }
        hooks = try cursor.list("hooks", CDISpec.Hook.init)
        mounts = try cursor.list("mounts") { mount throws(JSONError) in
            try mount.allowOnly(["hostPath", "containerPath", "options", "type"])
            return CDISpec.Mount(
                hostPath: try mount.required("hostPath").string(),
                containerPath: try mount.required("containerPath").string(),
                options: try mount.optional("options")?.strings() ?? [], type: try mount.text("type"))
        }
        intelRdt = try cursor.optional("intelRdt") { rdt throws(JSONError) in
            try rdt.allowOnly([
                "closID", "l3CacheSchema", "memBwSchema", "enableCMT", "enableMBM", "schemata", "enableMonitoring",
            ])
            for old in ["enableCMT", "enableMBM"] {
                if let flag = try rdt.optional(old), try flag.bool() {
                    throw flag.failure("went out of the runtime specification; use enableMonitoring")
                }
            }
            return try RuntimeSpec.IntelRdt(rdt)
        }
        additionalGids = try cursor.list("additionalGids") { gid throws(JSONError) in try gid.integer() }
    }
}

extension CDISpec.DeviceNode {
    init(_ cursor: JSONCursor) throws(JSONError) {
        try cursor.allowOnly([
            "path", "hostPath", "type", "major", "minor", "fileMode", "permissions", "uid", "gid",
        ])
        path = try cursor.required("path").string()
        hostPath = try cursor.text("hostPath")
        type = try cursor.text("type")
        major = try cursor.optionalInteger("major")
        minor = try cursor.optionalInteger("minor")
        fileMode = try cursor.optionalInteger("fileMode")
        permissions = try cursor.text("permissions")
        uid = try cursor.optionalInteger("uid")
        gid = try cursor.optionalInteger("gid")
    }
}

extension CDISpec.Hook {
    init(_ cursor: JSONCursor) throws(JSONError) {
        try cursor.allowOnly(["hookName", "path", "args", "env", "timeout"])
        hookName = try cursor.required("hookName").string()
        path = try cursor.required("path").string()
        args = try cursor.optional("args")?.strings() ?? []
        env = try cursor.optional("env")?.strings() ?? []
        timeout = try cursor.optionalInteger("timeout")
    }
}

extension JSONCursor {
    /// An optional text; an empty one counts as none, as writers leave it.
    func text(_ name: String) throws(JSONError) -> String? {
        let text = try optional(name)?.string()
        return text?.isEmpty == true ? nil : text
    }

    /// Refuses members by any other name.
    func allowOnly(_ names: Set<String>) throws(JSONError) {
        for member in try members() where !names.contains(member.name) {
            throw member.cursor.failure("is not known; known are \(names.sorted().joined(separator: ", "))")
        }
    }
}
