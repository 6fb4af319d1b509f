extension RuntimeSpec {
    /// A system call filter (runtime-spec, config-linux.md).
    public struct Seccomp: Sendable, Equatable {
        /// Such as `SCMP_ACT_ERRNO`.
        public var defaultAction: String
        public var defaultErrnoRet: UInt32?
        /// Such as `SCMP_ARCH_X86_64`.
        public var architectures: [String]
        /// Such as `SECCOMP_FILTER_FLAG_LOG`.
        public var flags: [String]
        public var listenerPath: String?
        public var listenerMetadata: String?
        public var syscalls: [Rule]

        public init(
            defaultAction: String, defaultErrnoRet: UInt32? = nil, architectures: [String] = [],
            flags: [String] = [], listenerPath: String? = nil, listenerMetadata: String? = nil, syscalls: [Rule] = []
        ) {
            self.defaultAction = defaultAction
            self.defaultErrnoRet = defaultErrnoRet
            self.architectures = architectures
            self.flags = flags
            self.listenerPath = listenerPath
            self.listenerMetadata = listenerMetadata
            self.syscalls = syscalls
        }

        /// What happens to some system calls, perhaps only with certain arguments.
        public struct Rule: Sendable, Equatable {
            public var names: [String]
            public var action: String
            public var errnoRet: UInt32?
            public var args: [Argument]

            public init(names: [String], action: String, errnoRet: UInt32? = nil, args: [Argument] = []) {
                self.names = names
                self.action = action
                self.errnoRet = errnoRet
                self.args = args
            }
        }

        /// A comparison of one argument, by its place from 0 to 5.
        public struct Argument: Sendable, Equatable {
            public var index: UInt32
            public var value: UInt64
            public var valueTwo: UInt64?
            /// Such as `SCMP_CMP_MASKED_EQ`.
            public var op: String

            public init(index: UInt32, value: UInt64, valueTwo: UInt64? = nil, op: String) {
                self.index = index
                self.value = value
                self.valueTwo = valueTwo
                self.op = op
            }
        }
    }
}

extension RuntimeSpec.Seccomp {
    public init(_ cursor: JSONCursor) throws(JSONError) {
        defaultAction = try cursor.required("defaultAction").string()
        defaultErrnoRet = try cursor.optionalInteger("defaultErrnoRet")
        architectures = try cursor.optional("architectures")?.strings() ?? []
        flags = try cursor.optional("flags")?.strings() ?? []
        listenerPath = try cursor.optional("listenerPath")?.string()
        listenerMetadata = try cursor.optional("listenerMetadata")?.string()
        syscalls = try cursor.list("syscalls", Rule.init)
    }

    public var json: JSON {
        var object = JSONObject()
        object["defaultAction"] = .string(defaultAction)
        object.set("defaultErrnoRet", defaultErrnoRet)
        object.set("architectures", architectures)
        object.set("flags", flags)
        object.set("listenerPath", listenerPath)
        object.set("listenerMetadata", listenerMetadata)
        object.set("syscalls", syscalls.map(\.json))
        return .object(object)
    }
}

extension RuntimeSpec.Seccomp.Rule {
    public init(_ cursor: JSONCursor) throws(JSONError) {
        names = try cursor.required("names").strings()
        action = try cursor.required("action").string()
        errnoRet = try cursor.optionalInteger("errnoRet")
        args = try cursor.list("args", RuntimeSpec.Seccomp.Argument.init)
    }

    public var json: JSON {
        var object = JSONObject()
        object["names"] = .array(names.map(JSON.string))
        object["action"] = .string(action)
        object.set("errnoRet", errnoRet)
        object.set("args", args.map(\.json))
        return .object(object)
    }
}

extension RuntimeSpec.Seccomp.Argument {
    public init(_ cursor: JSONCursor) throws(JSONError) {
        index = try cursor.required("index").integer()
        value = try cursor.required("value").integer()
        valueTwo = try cursor.optionalInteger("valueTwo")
        op = try cursor.required("op").string()
    }

    public var json: JSON {
        var object = JSONObject()
        object.set("index", index)
        object.set("value", value)
        object.set("valueTwo", valueTwo)
        object["op"] = .string(op)
        return .object(object)
    }
}
