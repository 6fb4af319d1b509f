extension RuntimeSpec {
    /// The process of a container, or one that joins it (`process.json` of `exec`).
    public struct Process: Sendable, Equatable {
        public var terminal: Bool
        public var consoleSize: ConsoleSize?
        public var user: User
        public var args: [String]
        public var env: [String]
        public var cwd: String
        public var capabilities: Capabilities?
        public var rlimits: [ResourceLimit]
        public var noNewPrivileges: Bool
        public var apparmorProfile: String?
        public var oomScoreAdj: Int?
        public var scheduler: Scheduler?
        public var selinuxLabel: String?
        public var ioPriority: IOPriority?
        public var execCPUAffinity: CPUAffinity?

        public init(
            terminal: Bool = false, consoleSize: ConsoleSize? = nil, user: User = User(), args: [String] = [],
            env: [String] = [], cwd: String = "/", capabilities: Capabilities? = nil,
            rlimits: [ResourceLimit] = [], noNewPrivileges: Bool = false, apparmorProfile: String? = nil,
            oomScoreAdj: Int? = nil, scheduler: Scheduler? = nil, selinuxLabel: String? = nil,
            ioPriority: IOPriority? = nil, execCPUAffinity: CPUAffinity? = nil
        ) {
            self.terminal = terminal
            self.consoleSize = consoleSize
            self.user = user
            self.args = args
            self.env = env
            self.cwd = cwd
            self.capabilities = capabilities
            self.rlimits = rlimits
            self.noNewPrivileges = noNewPrivileges
            self.apparmorProfile = apparmorProfile
            self.oomScoreAdj = oomScoreAdj
            self.scheduler = scheduler
            self.selinuxLabel = selinuxLabel
            self.ioPriority = ioPriority
            self.execCPUAffinity = execCPUAffinity
        }
    }

    /// A terminal's size in characters.
    public struct ConsoleSize: Sendable, Equatable {
        public var height: UInt16
        public var width: UInt16

        public init(height: UInt16, width: UInt16) {
            self.height = height
            self.width = width
        }
    }

    /// The ids a process runs with, as seen inside the container.
    public struct User: Sendable, Equatable {
        public var uid: UInt32
        public var gid: UInt32
        public var umask: UInt32?
        public var additionalGids: [UInt32]

        public init(uid: UInt32 = 0, gid: UInt32 = 0, umask: UInt32? = nil, additionalGids: [UInt32] = []) {
            self.uid = uid
            self.gid = gid
            self.umask = umask
            self.additionalGids = additionalGids
        }
    }

    /// The five capability sets, by names such as `CAP_NET_BIND_SERVICE`.
    public struct Capabilities: Sendable, Equatable {
        public var effective: [String]
        public var bounding: [String]
        public var inheritable: [String]
        public var permitted: [String]
        public var ambient: [String]

        public init(
            effective: [String] = [], bounding: [String] = [], inheritable: [String] = [], permitted: [String] = [],
            ambient: [String] = []
        ) {
            self.effective = effective
            self.bounding = bounding
            self.inheritable = inheritable
            self.permitted = permitted
            self.ambient = ambient
        }
    }

    /// A limit of setrlimit(2); `UInt64.max` is unlimited.
    public struct ResourceLimit: Sendable, Equatable {
        /// Such as `RLIMIT_NOFILE`.
        public var type: String
        public var soft: UInt64
        public var hard: UInt64

        public init(type: String, soft: UInt64, hard: UInt64) {
            self.type = type
            self.soft = soft
            self.hard = hard
        }
    }

    /// sched_setattr(2).
    public struct Scheduler: Sendable, Equatable {
        /// Such as `SCHED_BATCH`.
        public var policy: String
        public var nice: Int32?
        public var priority: Int32?
        public var flags: [String]
        /// Nanoseconds, for SCHED_DEADLINE.
        public var runtime: UInt64?
        public var deadline: UInt64?
        public var period: UInt64?

        public init(
            policy: String, nice: Int32? = nil, priority: Int32? = nil, flags: [String] = [], runtime: UInt64? = nil,
            deadline: UInt64? = nil, period: UInt64? = nil
        ) {
            self.policy = policy
            self.nice = nice
            self.priority = priority
            self.flags = flags
            self.runtime = runtime
            self.deadline = deadline
            self.period = period
        }
    }

    /// ioprio_set(2).
    public struct IOPriority: Sendable, Equatable {
        /// `IOPRIO_CLASS_RT`, `IOPRIO_CLASS_BE` or `IOPRIO_CLASS_IDLE`.
        public var ioClass: String
        public var priority: Int

        public init(ioClass: String, priority: Int) {
            self.ioClass = ioClass
            self.priority = priority
        }
    }

    /// CPU lists such as `0-3,7` for a process that joins a container.
    public struct CPUAffinity: Sendable, Equatable {
        public var initial: String?
        public var final: String?

        public init(initial: String? = nil, final: String? = nil) {
            self.initial = initial
            self.final = final
        }
    }
}

extension RuntimeSpec.Process {
    public init(_ cursor: JSONCursor) throws(JSONError) {
        let cursor = cursor.refusingNUL
        terminal = try cursor.optional("terminal")?.bool() ?? false
        do throws(JSONError) { consoleSize = try cursor.optional("consoleSize", RuntimeSpec.ConsoleSize.init) } catch {
            // Without a terminal there is nothing that it could be wrong about.
            if terminal { throw error }
            consoleSize = nil
        }
        user = try cursor.optional("user", RuntimeSpec.User.init) ?? RuntimeSpec.User()
        args = try cursor.optional("args")?.strings() ?? []
        env = try cursor.optional("env")?.strings() ?? []
        cwd = try cursor.required("cwd").string()
        capabilities = try cursor.optional("capabilities", RuntimeSpec.Capabilities.init)
        rlimits = try cursor.list("rlimits", RuntimeSpec.ResourceLimit.init)
        noNewPrivileges = try cursor.optional("noNewPrivileges")?.bool() ?? false
        apparmorProfile = try cursor.optional("apparmorProfile")?.string()
        oomScoreAdj = try cursor.optionalInteger("oomScoreAdj")
        scheduler = try cursor.optional("scheduler", RuntimeSpec.Scheduler.init)
        selinuxLabel = try cursor.optional("selinuxLabel")?.string()
        ioPriority = try cursor.optional("ioPriority", RuntimeSpec.IOPriority.init)
        execCPUAffinity = try cursor.optional("execCPUAffinity", RuntimeSpec.CPUAffinity.init)
    }

    public var json: JSON {
        var object = JSONObject()
        if terminal { object["terminal"] = true }
        object["consoleSize"] = consoleSize?.json
        object["user"] = user.json
        object["args"] = .array(args.map(JSON.string))
        object.set("env", env)
        object["cwd"] = .string(cwd)
        object["capabilities"] = capabilities?.json
        object.set("rlimits", rlimits.map(\.json))
        object["noNewPrivileges"] = .bool(noNewPrivileges)
        object.set("apparmorProfile", apparmorProfile)
        object.set("oomScoreAdj", oomScoreAdj)
        object["scheduler"] = scheduler?.json
        object.set("selinuxLabel", selinuxLabel)
        object["ioPriority"] = ioPriority?.json
        object["execCPUAffinity"] = execCPUAffinity?.json
        return .object(object)
    }
}

extension RuntimeSpec.ConsoleSize {
    public init(_ cursor: JSONCursor) throws(JSONError) {
        height = try cursor.required("height").integer()
        width = try cursor.required("width").integer()
    }

    public var json: JSON { ["height": .integer(Int64(height)), "width": .integer(Int64(width))] }
}

extension RuntimeSpec.User {
    public init(_ cursor: JSONCursor) throws(JSONError) {
        uid = try cursor.optionalInteger("uid") ?? 0
        gid = try cursor.optionalInteger("gid") ?? 0
        umask = try cursor.optionalInteger("umask")
        additionalGids = try cursor.list("additionalGids") { gid throws(JSONError) in try gid.integer() }
    }

    public var json: JSON {
        var object = JSONObject()
        object.set("uid", uid)
        object.set("gid", gid)
        object.set("umask", umask)
        object.set("additionalGids", additionalGids.map { JSON.integer(Int64($0)) })
        return .object(object)
    }
}

extension RuntimeSpec.Capabilities {
    public init(_ cursor: JSONCursor) throws(JSONError) {
        effective = try cursor.optional("effective")?.strings() ?? []
        bounding = try cursor.optional("bounding")?.strings() ?? []
        inheritable = try cursor.optional("inheritable")?.strings() ?? []
        permitted = try cursor.optional("permitted")?.strings() ?? []
        ambient = try cursor.optional("ambient")?.strings() ?? []
    }

    public var json: JSON {
        var object = JSONObject()
        object.set("bounding", bounding)
        object.set("effective", effective)
        object.set("inheritable", inheritable)
        object.set("permitted", permitted)
        object.set("ambient", ambient)
        return .object(object)
    }
}

extension RuntimeSpec.ResourceLimit {
    public init(_ cursor: JSONCursor) throws(JSONError) {
        type = try cursor.required("type").string()
        soft = try cursor.required("soft").integer()
        hard = try cursor.required("hard").integer()
    }

    public var json: JSON {
        var object = JSONObject()
        object["type"] = .string(type)
        object.set("hard", hard)
        object.set("soft", soft)
        return .object(object)
    }
}

extension RuntimeSpec.Scheduler {
    public init(_ cursor: JSONCursor) throws(JSONError) {
        policy = try cursor.required("policy").string()
        nice = try cursor.optionalInteger("nice")
        priority = try cursor.optionalInteger("priority")
        flags = try cursor.optional("flags")?.strings() ?? []
        runtime = try cursor.optionalInteger("runtime")
        deadline = try cursor.optionalInteger("deadline")
        period = try cursor.optionalInteger("period")
    }

    public var json: JSON {
        var object = JSONObject()
        object["policy"] = .string(policy)
        object.set("nice", nice)
        object.set("priority", priority)
        object.set("flags", flags)
        object.set("runtime", runtime)
        object.set("deadline", deadline)
        object.set("period", period)
        return .object(object)
    }
}

extension RuntimeSpec.IOPriority {
    public init(_ cursor: JSONCursor) throws(JSONError) {
        ioClass = try cursor.required("class").string()
        priority = try cursor.required("priority").integer()
    }

    public var json: JSON { ["class": .string(ioClass), "priority": .integer(Int64(priority))] }
}

extension RuntimeSpec.CPUAffinity {
    public init(_ cursor: JSONCursor) throws(JSONError) {
        initial = try cursor.optional("initial")?.string()
        final = try cursor.optional("final")?.string()
    }

    public var json: JSON {
        var object = JSONObject()
        object.set("initial", initial)
        object.set("final", final)
        return .object(object)
    }
}
