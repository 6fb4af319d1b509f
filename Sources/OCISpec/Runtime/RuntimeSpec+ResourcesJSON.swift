extension RuntimeSpec.Resources {
    /// Also reads the document of `update --resources`.
    public init(_ cursor: JSONCursor) throws(JSONError) {
        let cursor = cursor.refusingNUL
        devices = try cursor.list("devices", DeviceRule.init)
        memory = try cursor.optional("memory", Memory.init)
        cpu = try cursor.optional("cpu", CPU.init)
        pids = try cursor.optional("pids") { pids throws(JSONError) in Pids(limit: try pids.optionalInteger("limit")) }
        blockIO = try cursor.optional("blockIO", BlockIO.init)
        hugepageLimits = try cursor.list("hugepageLimits", HugepageLimit.init)
        network = try cursor.optional("network", Network.init)
        rdma = try cursor.map("rdma") { device throws(JSONError) in
            let limits = RDMA(
                hcaHandles: try device.optionalInteger("hcaHandles"),
                hcaObjects: try device.optionalInteger("hcaObjects"))
            if limits == RDMA() { throw device.failure("needs hcaHandles or hcaObjects") }
            return limits
        }
        unified = try cursor.optional("unified")?.stringMap() ?? [:]
    }

    public var json: JSON {
        var object = JSONObject()
        object.set("devices", devices.map(\.json))
        object["memory"] = memory?.json
        object["cpu"] = cpu?.json
        object["pids"] = pids.map { pids in
            var object = JSONObject()
            object.set("limit", pids.limit)
            return .object(object)
        }
        object["blockIO"] = blockIO?.json
        object.set("hugepageLimits", hugepageLimits.map(\.json))
        object["network"] = network?.json
        object.set(
            "rdma",
            rdma.mapValues { device in
                var object = JSONObject()
                object.set("hcaHandles", device.hcaHandles)
                object.set("hcaObjects", device.hcaObjects)
                return JSON.object(object)
            })
        object.set("unified", unified)
        return .object(object)
    }
}

extension RuntimeSpec.Resources.DeviceRule {
    public init(_ cursor: JSONCursor) throws(JSONError) {
        allow = try cursor.required("allow").bool()
        type = try cursor.optional("type")?.string()
        major = try Self.number(cursor.optional("major"))
        minor = try Self.number(cursor.optional("minor"))
        access = try cursor.optional("access")?.string()
    }

    /// The specification calls these integers, and callers write -1 for "all".
    private static func number(_ member: JSONCursor?) throws(JSONError) -> Int64? {
        guard let member else { return nil }
        let number: Int64 = try member.integer()
        if number < -1 { throw member.failure("\(number) is no device number (-1 stands for all)") }
        return number == -1 ? nil : number
    }

    public var json: JSON {
        var object = JSONObject()
        object["allow"] = .bool(allow)
        object.set("type", type)
        object.set("major", major)
        object.set("minor", minor)
        object.set("access", access)
        return .object(object)
    }
}

extension RuntimeSpec.Resources.Memory {
    public init(_ cursor: JSONCursor) throws(JSONError) {
        limit = try cursor.optionalInteger("limit")
        reservation = try cursor.optionalInteger("reservation")
        swap = try cursor.optionalInteger("swap")
        kernel = try cursor.optionalInteger("kernel")
        kernelTCP = try cursor.optionalInteger("kernelTCP")
        swappiness = try cursor.optionalInteger("swappiness")
        disableOOMKiller = try cursor.optional("disableOOMKiller")?.bool()
        useHierarchy = try cursor.optional("useHierarchy")?.bool()
        checkBeforeUpdate = try cursor.optional("checkBeforeUpdate")?.bool()
    }

    public var json: JSON {
        var object = JSONObject()
        object.set("limit", limit)
        object.set("reservation", reservation)
        object.set("swap", swap)
        object.set("kernel", kernel)
        object.set("kernelTCP", kernelTCP)
        object.set("swappiness", swappiness)
        object.set("disableOOMKiller", disableOOMKiller)
        object.set("useHierarchy", useHierarchy)
        object.set("checkBeforeUpdate", checkBeforeUpdate)
        return .object(object)
    }
}

extension RuntimeSpec.Resources.CPU {
    public init(_ cursor: JSONCursor) throws(JSONError) {
        shares = try cursor.optionalInteger("shares")
        quota = try cursor.optionalInteger("quota")
        burst = try cursor.optionalInteger("burst")
        period = try cursor.optionalInteger("period")
        realtimeRuntime = try cursor.optionalInteger("realtimeRuntime")
        realtimePeriod = try cursor.optionalInteger("realtimePeriod")
        cpus = try cursor.optional("cpus")?.string()
        mems = try cursor.optional("mems")?.string()
        idle = try cursor.optionalInteger("idle")
    }

    public var json: JSON {
        var object = JSONObject()
        object.set("shares", shares)
        object.set("quota", quota)
        object.set("burst", burst)
        object.set("period", period)
        object.set("realtimeRuntime", realtimeRuntime)
        object.set("realtimePeriod", realtimePeriod)
        object.set("cpus", cpus)
        object.set("mems", mems)
        object.set("idle", idle)
        return .object(object)
    }
}

extension RuntimeSpec.Resources.BlockIO {
    public init(_ cursor: JSONCursor) throws(JSONError) {
        weight = try cursor.optionalInteger("weight")
        leafWeight = try cursor.optionalInteger("leafWeight")
        weightDevice = try cursor.list("weightDevice", RuntimeSpec.Resources.WeightDevice.init)
        throttleReadBpsDevice = try cursor.list("throttleReadBpsDevice", RuntimeSpec.Resources.ThrottleDevice.init)
        throttleWriteBpsDevice = try cursor.list("throttleWriteBpsDevice", RuntimeSpec.Resources.ThrottleDevice.init)
        throttleReadIOPSDevice = try cursor.list("throttleReadIOPSDevice", RuntimeSpec.Resources.ThrottleDevice.init)
        throttleWriteIOPSDevice = try cursor.list(
            "throttleWriteIOPSDevice", RuntimeSpec.Resources.ThrottleDevice.init)
    }

    public var json: JSON {
        var object = JSONObject()
        object.set("weight", weight)
        object.set("leafWeight", leafWeight)
        object.set("weightDevice", weightDevice.map(\.json))
        object.set("throttleReadBpsDevice", throttleReadBpsDevice.map(\.json))
        object.set("throttleWriteBpsDevice", throttleWriteBpsDevice.map(\.json))
        object.set("throttleReadIOPSDevice", throttleReadIOPSDevice.map(\.json))
        object.set("throttleWriteIOPSDevice", throttleWriteIOPSDevice.map(\.json))
        return .object(object)
    }
}

extension RuntimeSpec.Resources.WeightDevice {
    public init(_ cursor: JSONCursor) throws(JSONError) {
        major = try cursor.required("major").integer()
        minor = try cursor.required("minor").integer()
        weight = try cursor.optionalInteger("weight")
        leafWeight = try cursor.optionalInteger("leafWeight")
        if weight == nil, leafWeight == nil { throw cursor.failure("needs weight or leafWeight") }
    }

    public var json: JSON {
        var object = JSONObject()
        object.set("major", major)
        object.set("minor", minor)
        object.set("weight", weight)
        object.set("leafWeight", leafWeight)
        return .object(object)
    }
}

extension RuntimeSpec.Resources.ThrottleDevice {
    public init(_ cursor: JSONCursor) throws(JSONError) {
        major = try cursor.required("major").integer()
        minor = try cursor.required("minor").integer()
        rate = try cursor.required("rate").integer()
    }

    public var json: JSON {
        var object = JSONObject()
        object.set("major", major)
        object.set("minor", minor)
        object.set("rate", rate)
        return .object(object)
    }
}

extension RuntimeSpec.Resources.HugepageLimit {
    public init(_ cursor: JSONCursor) throws(JSONError) {
        pageSize = try cursor.required("pageSize").string()
        limit = try cursor.required("limit").integer()
    }

    public var json: JSON {
        var object = JSONObject()
        object["pageSize"] = .string(pageSize)
        object.set("limit", limit)
        return .object(object)
    }
}

extension RuntimeSpec.Resources.Network {
    public init(_ cursor: JSONCursor) throws(JSONError) {
        classID = try cursor.optionalInteger("classID")
        var priorities: [String: UInt32] = [:]
        for priority in try cursor.optional("priorities")?.elements() ?? [] {
            priorities[try priority.required("name").string()] = try priority.required("priority").integer()
        }
        self.priorities = priorities
    }

    public var json: JSON {
        var object = JSONObject()
        object.set("classID", classID)
        object.set(
            "priorities",
            priorities.sorted { $0.key < $1.key }.map {
                ["name": .string($0.key), "priority": .integer(Int64($0.value))]
            })
        return .object(object)
    }
}
