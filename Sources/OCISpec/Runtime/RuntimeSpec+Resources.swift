extension RuntimeSpec {
    /// The limits of a container's cgroup (runtime-spec, config-linux.md). Bytes, microseconds and counts as there.
    public struct Resources: Sendable, Equatable {
        public var devices: [DeviceRule]
        public var memory: Memory?
        public var cpu: CPU?
        public var pids: Pids?
        public var blockIO: BlockIO?
        public var hugepageLimits: [HugepageLimit]
        public var network: Network?
        /// By device.
        public var rdma: [String: RDMA]
        /// cgroup v2 files by name.
        public var unified: [String: String]

        public init(
            devices: [DeviceRule] = [], memory: Memory? = nil, cpu: CPU? = nil, pids: Pids? = nil,
            blockIO: BlockIO? = nil, hugepageLimits: [HugepageLimit] = [], network: Network? = nil,
            rdma: [String: RDMA] = [:], unified: [String: String] = [:]
        ) {
            self.devices = devices
            self.memory = memory
            self.cpu = cpu
            self.pids = pids
            self.blockIO = blockIO
            self.hugepageLimits = hugepageLimits
            self.network = network
            self.rdma = rdma
            self.unified = unified
        }

        /// A rule of the device filter; later rules win.
        public struct DeviceRule: Sendable, Equatable {
            public var allow: Bool
            /// `a`, `c` or `b`; nil for all.
            public var type: String?
            /// nil for all.
            public var major: Int64?
            public var minor: Int64?
            /// Of `rwm`.
            public var access: String?

            public init(
                allow: Bool, type: String? = nil, major: Int64? = nil, minor: Int64? = nil, access: String? = nil
            ) {
                self.allow = allow
                self.type = type
                self.major = major
                self.minor = minor
                self.access = access
            }
        }

        /// Bytes; -1 is unlimited; swap counts memory and swap together.
        public struct Memory: Sendable, Equatable {
            public var limit: Int64?
            public var reservation: Int64?
            public var swap: Int64?
            public var kernel: Int64?
            public var kernelTCP: Int64?
            public var swappiness: UInt64?
            public var disableOOMKiller: Bool?
            public var useHierarchy: Bool?
            public var checkBeforeUpdate: Bool?

            public init(
                limit: Int64? = nil, reservation: Int64? = nil, swap: Int64? = nil, kernel: Int64? = nil,
                kernelTCP: Int64? = nil, swappiness: UInt64? = nil, disableOOMKiller: Bool? = nil,
                useHierarchy: Bool? = nil, checkBeforeUpdate: Bool? = nil
            ) {
                self.limit = limit
                self.reservation = reservation
                self.swap = swap
                self.kernel = kernel
                self.kernelTCP = kernelTCP
                self.swappiness = swappiness
                self.disableOOMKiller = disableOOMKiller
                self.useHierarchy = useHierarchy
                self.checkBeforeUpdate = checkBeforeUpdate
            }
        }

        /// Times in microseconds.
        public struct CPU: Sendable, Equatable {
            public var shares: UInt64?
            public var quota: Int64?
            public var burst: UInt64?
            public var period: UInt64?
            public var realtimeRuntime: Int64?
            public var realtimePeriod: UInt64?
            public var cpus: String?
            public var mems: String?
            public var idle: Int64?

            public init(
                shares: UInt64? = nil, quota: Int64? = nil, burst: UInt64? = nil, period: UInt64? = nil,
                realtimeRuntime: Int64? = nil, realtimePeriod: UInt64? = nil, cpus: String? = nil,
                mems: String? = nil, idle: Int64? = nil
            ) {
                self.shares = shares
                self.quota = quota
                self.burst = burst
                self.period = period
                self.realtimeRuntime = realtimeRuntime
                self.realtimePeriod = realtimePeriod
                self.cpus = cpus
                self.mems = mems
                self.idle = idle
            }
        }

        public struct Pids: Sendable, Equatable {
            /// 0 and less: unlimited, as the callers mean it.
            public var limit: Int64?

            public init(limit: Int64?) { self.limit = limit }
        }

        public struct BlockIO: Sendable, Equatable {
            public var weight: UInt16?
            public var leafWeight: UInt16?
            public var weightDevice: [WeightDevice]
            /// Bytes per second.
            public var throttleReadBpsDevice: [ThrottleDevice]
            public var throttleWriteBpsDevice: [ThrottleDevice]
            /// Operations per second.
            public var throttleReadIOPSDevice: [ThrottleDevice]
            public var throttleWriteIOPSDevice: [ThrottleDevice]

            public init(
                weight: UInt16? = nil, leafWeight: UInt16? = nil, weightDevice: [WeightDevice] = [],
                throttleReadBpsDevice: [ThrottleDevice] = [], throttleWriteBpsDevice: [ThrottleDevice] = [],
                throttleReadIOPSDevice: [ThrottleDevice] = [], throttleWriteIOPSDevice: [ThrottleDevice] = []
            ) {
                self.weight = weight
                self.leafWeight = leafWeight
                self.weightDevice = weightDevice
                self.throttleReadBpsDevice = throttleReadBpsDevice
                self.throttleWriteBpsDevice = throttleWriteBpsDevice
                self.throttleReadIOPSDevice = throttleReadIOPSDevice
                self.throttleWriteIOPSDevice = throttleWriteIOPSDevice
            }
        }

        public struct WeightDevice: Sendable, Equatable {
            public var major: Int64
            public var minor: Int64
            public var weight: UInt16?
            public var leafWeight: UInt16?

            public init(major: Int64, minor: Int64, weight: UInt16? = nil, leafWeight: UInt16? = nil) {
                self.major = major
                self.minor = minor
                self.weight = weight
                self.leafWeight = leafWeight
            }
        }

        public struct ThrottleDevice: Sendable, Equatable {
            public var major: Int64
            public var minor: Int64
            public var rate: UInt64

            public init(major: Int64, minor: Int64, rate: UInt64) {
                self.major = major
                self.minor = minor
                self.rate = rate
            }
        }

        public struct HugepageLimit: Sendable, Equatable {
            /// Such as `2MB`.
            public var pageSize: String
            public var limit: UInt64

            public init(pageSize: String, limit: UInt64) {
                self.pageSize = pageSize
                self.limit = limit
            }
        }

        public struct Network: Sendable, Equatable {
            public var classID: UInt32?
            /// By interface.
            public var priorities: [String: UInt32]

            public init(classID: UInt32? = nil, priorities: [String: UInt32] = [:]) {
                self.classID = classID
                self.priorities = priorities
            }
        }

        public struct RDMA: Sendable, Equatable {
            public var hcaHandles: UInt32?
            public var hcaObjects: UInt32?

            public init(hcaHandles: UInt32? = nil, hcaObjects: UInt32? = nil) {
                self.hcaHandles = hcaHandles
                self.hcaObjects = hcaObjects
            }
        }
    }
}

extension RuntimeSpec.Resources {
    /// Also reads the document of `update --resources`.
    public init(_ cursor: JSONCursor) throws(JSONError) {
        devices = try cursor.list("devices", DeviceRule.init)
        memory = try cursor.optional("memory", Memory.init)
        cpu = try cursor.optional("cpu", CPU.init)
        pids = try cursor.optional("pids") { pids throws(JSONError) in Pids(limit: try pids.optionalInteger("limit")) }
        blockIO = try cursor.optional("blockIO", BlockIO.init)
        hugepageLimits = try cursor.list("hugepageLimits", HugepageLimit.init)
        network = try cursor.optional("network", Network.init)
        rdma = try cursor.map("rdma") { device throws(JSONError) in
            RDMA(
                hcaHandles: try device.optionalInteger("hcaHandles"),
                hcaObjects: try device.optionalInteger("hcaObjects"))
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
        // The specification calls these integers, and callers write -1 for "all".
        major = try cursor.optionalInteger("major").flatMap { $0 < 0 ? nil : $0 }
        minor = try cursor.optionalInteger("minor").flatMap { $0 < 0 ? nil : $0 }
        access = try cursor.optional("access")?.string()
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
