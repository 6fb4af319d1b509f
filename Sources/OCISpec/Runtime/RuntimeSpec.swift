/// A container's configuration, `config.json` of the OCI runtime specification 1.3.0. What was absent is nil.
/// Members without a comment mean what the specification's of that name mean.
public struct RuntimeSpec: Sendable, Equatable {
    public var ociVersion: String
    public var root: Root?
    public var mounts: [Mount]
    public var process: Process?
    public var hostname: String?
    public var domainname: String?
    public var hooks: Hooks?
    public var annotations: [String: String]
    public var linux: Linux?

    public init(
        ociVersion: String = "1.3.0", root: Root? = nil, mounts: [Mount] = [], process: Process? = nil,
        hostname: String? = nil, domainname: String? = nil, hooks: Hooks? = nil, annotations: [String: String] = [:],
        linux: Linux? = nil
    ) {
        self.ociVersion = ociVersion
        self.root = root
        self.mounts = mounts
        self.process = process
        self.hostname = hostname
        self.domainname = domainname
        self.hooks = hooks
        self.annotations = annotations
        self.linux = linux
    }

    /// The root file system.
    public struct Root: Sendable, Equatable {
        /// Absolute, or relative to the bundle.
        public var path: String
        public var readonly: Bool

        public init(path: String, readonly: Bool = false) {
            self.path = path
            self.readonly = readonly
        }
    }

    /// One mount, in the order it is made.
    public struct Mount: Sendable, Equatable {
        /// Where it is made is its ``StringProtocol/cleanPath``.
        public var destination: String
        public var type: String?
        public var source: String?
        public var options: [String]
        /// Mappings of an idmapped mount of its own.
        public var uidMappings: [IDMap]
        public var gidMappings: [IDMap]

        public init(
            destination: String, type: String? = nil, source: String? = nil, options: [String] = [],
            uidMappings: [IDMap] = [], gidMappings: [IDMap] = []
        ) {
            self.destination = destination
            self.type = type
            self.source = source
            self.options = options
            self.uidMappings = uidMappings
            self.gidMappings = gidMappings
        }
    }

    /// A range of user or group ids in a user namespace and outside it.
    public struct IDMap: Sendable, Equatable, Hashable {
        public var containerID: UInt32
        public var hostID: UInt32
        public var size: UInt32

        public init(containerID: UInt32, hostID: UInt32, size: UInt32) {
            self.containerID = containerID
            self.hostID = hostID
            self.size = size
        }
    }

    /// The six lists of hooks.
    public struct Hooks: Sendable, Equatable {
        public var prestart: [Hook]
        public var createRuntime: [Hook]
        public var createContainer: [Hook]
        public var startContainer: [Hook]
        public var poststart: [Hook]
        public var poststop: [Hook]

        public init(
            prestart: [Hook] = [], createRuntime: [Hook] = [], createContainer: [Hook] = [],
            startContainer: [Hook] = [], poststart: [Hook] = [], poststop: [Hook] = []
        ) {
            self.prestart = prestart
            self.createRuntime = createRuntime
            self.createContainer = createContainer
            self.startContainer = startContainer
            self.poststart = poststart
            self.poststop = poststop
        }
    }

    /// A program run at one point of a container's life.
    public struct Hook: Sendable, Equatable {
        public var path: String
        public var args: [String]
        public var env: [String]
        /// Seconds.
        public var timeout: Int?

        public init(path: String, args: [String] = [], env: [String] = [], timeout: Int? = nil) {
            self.path = path
            self.args = args
            self.env = env
            self.timeout = timeout
        }
    }
}

extension RuntimeSpec {
    /// Reads and checks the types of every known member; unknown members are passed over, as the specification wants.
    public init(_ document: JSONCursor) throws(JSONError) {
        let cursor = document.refusingNUL
        ociVersion = try cursor.required("ociVersion").string()
        root = try cursor.optional("root", Root.init)
        mounts = try cursor.list("mounts", Mount.init)
        process = try cursor.optional("process", Process.init)
        hostname = try cursor.optionalText("hostname")
        domainname = try cursor.optionalText("domainname")
        hooks = try cursor.optional("hooks", Hooks.init)
        // No kernel sees these.
        annotations = try document.optional("annotations")?.stringMap() ?? [:]
        // Without it a container takes everything from whoever makes it.
        linux = try cursor.optional("linux", Linux.init) ?? Linux()
    }

    public var json: JSON {
        var object = JSONObject()
        object["ociVersion"] = .string(ociVersion)
        object["process"] = process?.json
        object["root"] = root?.json
        object.set("hostname", hostname)
        object.set("domainname", domainname)
        object.set("mounts", mounts.map(\.json))
        object["hooks"] = hooks?.json
        object.set("annotations", annotations)
        object["linux"] = linux?.json
        return .object(object)
    }
}

extension RuntimeSpec.Root {
    public init(_ cursor: JSONCursor) throws(JSONError) {
        path = try cursor.required("path").string()
        readonly = try cursor.optional("readonly")?.bool() ?? false
    }

    public var json: JSON { ["path": .string(path), "readonly": .bool(readonly)] }
}

extension RuntimeSpec.Mount {
    public init(_ cursor: JSONCursor) throws(JSONError) {
        destination = try cursor.required("destination").string()
        type = try cursor.optional("type")?.string()
        source = try cursor.optional("source")?.string()
        options = try cursor.optional("options")?.strings() ?? []
        uidMappings = try cursor.list("uidMappings", RuntimeSpec.IDMap.init)
        gidMappings = try cursor.list("gidMappings", RuntimeSpec.IDMap.init)
    }

    public var json: JSON {
        var object = JSONObject()
        object["destination"] = .string(destination)
        object.set("type", type)
        object.set("source", source)
        object.set("options", options)
        object.set("uidMappings", uidMappings.map(\.json))
        object.set("gidMappings", gidMappings.map(\.json))
        return .object(object)
    }
}

extension RuntimeSpec.IDMap {
    public init(_ cursor: JSONCursor) throws(JSONError) {
        containerID = try cursor.required("containerID").integer()
        hostID = try cursor.required("hostID").integer()
        size = try cursor.required("size").integer()
    }

    public var json: JSON {
        [
            "containerID": .integer(Int64(containerID)), "hostID": .integer(Int64(hostID)),
            "size": .integer(Int64(size)),
        ]
    }
}

extension RuntimeSpec.Hooks {
    public init(_ cursor: JSONCursor) throws(JSONError) {
        prestart = try cursor.list("prestart", RuntimeSpec.Hook.init)
        createRuntime = try cursor.list("createRuntime", RuntimeSpec.Hook.init)
        createContainer = try cursor.list("createContainer", RuntimeSpec.Hook.init)
        startContainer = try cursor.list("startContainer", RuntimeSpec.Hook.init)
        poststart = try cursor.list("poststart", RuntimeSpec.Hook.init)
        poststop = try cursor.list("poststop", RuntimeSpec.Hook.init)
    }

    public var json: JSON {
        var object = JSONObject()
        object.set("prestart", prestart.map(\.json))
        object.set("createRuntime", createRuntime.map(\.json))
        object.set("createContainer", createContainer.map(\.json))
        object.set("startContainer", startContainer.map(\.json))
        object.set("poststart", poststart.map(\.json))
        object.set("poststop", poststop.map(\.json))
        return .object(object)
    }
}

extension RuntimeSpec.Hook {
    public init(_ cursor: JSONCursor) throws(JSONError) {
        path = try cursor.required("path").string()
        args = try cursor.optional("args")?.strings() ?? []
        env = try cursor.optional("env")?.strings() ?? []
        timeout = try cursor.optionalInteger("timeout")
    }

    public var json: JSON {
        var object = JSONObject()
        object["path"] = .string(path)
        object.set("args", args)
        object.set("env", env)
        object.set("timeout", timeout)
        return .object(object)
    }
}
