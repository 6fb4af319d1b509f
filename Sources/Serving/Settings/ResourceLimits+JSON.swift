public import OCISpec

extension ResourceLimits {
    private static let members: Set<String> = [
        "memory", "memorySwap", "cpus", "cpusetCpus", "cpusetMems", "pids", "shm", "ioWeight", "ioDevices",
    ]

    public init(_ cursor: JSONCursor) throws(JSONError) {
        for member in try cursor.members() where !Self.members.contains(member.name) {
            throw member.cursor.failure("is not known to this version of mlrun")
        }
        memory = try cursor.optional("memory")?.integer()
        memorySwap = try cursor.optional("memorySwap")?.integer()
        cpus = try cursor.optional("cpus")?.double()
        cpusetCpus = try cursor.optional("cpusetCpus")?.string()
        cpusetMems = try cursor.optional("cpusetMems")?.string()
        pids = try cursor.optional("pids")?.integer() ?? Self.defaultPids
        sharedMemory = try cursor.optional("shm")?.integer()
        ioWeight = try cursor.optional("ioWeight")?.integer()
        ioDevices =
            try cursor.optional("ioDevices")?.array { cursor throws(JSONError) in
                IODeviceLimit(
                    device: try cursor.required("device").string(),
                    measure: try cursor.word("measure") ?? .readBytes, limit: try cursor.required("limit").integer())
            } ?? []
    }

    public var json: JSON {
        var object = JSONObject()
        object["memory"] = memory.map { .integer($0) }
        object["memorySwap"] = memorySwap.map { .integer($0) }
        object["cpus"] = cpus.map { .number($0) }
        object["cpusetCpus"] = cpusetCpus.map { .string($0) }
        object["cpusetMems"] = cpusetMems.map { .string($0) }
        object["pids"] = .integer(pids)
        object["shm"] = sharedMemory.map { .integer($0) }
        object["ioWeight"] = ioWeight.map { .integer(Int64($0)) }
        if !ioDevices.isEmpty {
            object["ioDevices"] = .array(
                ioDevices.map { limit in
                    [
                        "device": .string(limit.device), "measure": .string(limit.measure.rawValue),
                        "limit": limit.limit > UInt64(Int64.max)
                            ? .unsigned(limit.limit) : .integer(Int64(limit.limit)),
                    ]
                })
        }
        return .object(object)
    }
}
