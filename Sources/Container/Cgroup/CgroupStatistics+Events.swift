public import OCISpec

extension CgroupStatistics {
    /// The `data` of an `events --stats` document, in the form that runc gave it and its callers read.
    ///
    /// Times are in nanoseconds, and what is unlimited is the highest number there is. `intel_rdt` and
    /// `network_interfaces` are not of control groups: the caller sets them.
    public var eventData: JSONObject {
        var data = JSONObject()
        data["cpu"] = cpuData
        data["cpuset"] = cpusetData
        data["memory"] = memoryData
        var pids = JSONObject()
        pids.set("current", self.pids?.current)
        pids.set("limit", self.pids?.limit)
        data["pids"] = .object(pids)
        data["blkio"] = blkioData
        data["hugetlb"] = .object(
            JSONObject(
                hugePages.sorted { $0.key < $1.key }.map { size, pages in
                    var object = JSONObject()
                    object.set("usage", pages.usage)
                    object.set("max", pages.peak)
                    object.set("failcnt", pages.failures)
                    return (size, .object(object))
                }))
        if !rdma.isEmpty {
            data["rdma"] = .object(JSONObject(rdma.sorted { $0.key < $1.key }.map { ($0.key, $0.value.json) }))
        }
        data["intel_rdt"] = .object(JSONObject())
        data["network_interfaces"] = .null
        return data
    }

    private static func list(_ values: [UInt64]) -> [JSON] { values.map { JSON(count: $0) } }

    private var cpuData: JSON {
        var usage = JSONObject()
        var throttling = JSONObject()
        if let cpu {
            usage.set("total", cpu.usage &* 1000)
            usage.set("percpu", Self.list(cpu.perCPU))
            usage.set("percpu_kernel", Self.list(cpu.perCPUKernel))
            usage.set("percpu_user", Self.list(cpu.perCPUUser))
            throttling.set("periods", cpu.periods)
            throttling.set("throttledPeriods", cpu.throttledPeriods)
            throttling.set("throttledTime", cpu.throttled.map { $0 &* 1000 })
        }
        usage.set("kernel", (cpu?.system ?? 0) &* 1000)
        usage.set("user", (cpu?.user ?? 0) &* 1000)
        var object = JSONObject()
        object["usage"] = .object(usage)
        object["throttling"] = .object(throttling)
        object["psi"] = cpuPressure?.json
        return .object(object)
    }

    private var cpusetData: JSON {
        var object = JSONObject()
        object.set("cpus", Self.numbers(cpuset?.cpus ?? "").map { .integer($0) })
        object.set("mems", Self.numbers(cpuset?.mems ?? "").map { .integer($0) })
        // Flags that groups of version 1 have and mlrun never sets.
        for flag in [
            "cpu_exclusive", "mem_hardwall", "mem_exclusive", "memory_migrate", "memory_spread_page",
            "memory_spread_slab", "memory_pressure", "sched_load_balance", "sched_relax_domain_level",
        ] { object[flag] = 0 }
        return .object(object)
    }

    private var memoryData: JSON {
        let unlimited = UInt64.max
        func entry(_ usage: UInt64, _ peak: UInt64?, _ limit: UInt64?, _ failures: UInt64) -> JSON {
            var object = JSONObject()
            object.set("limit", limit ?? unlimited)
            object.set("usage", usage)
            object.set("max", peak)
            object.set("failcnt", failures)
            return .object(object)
        }
        func entry(_ counter: Counter) -> JSON {
            entry(counter.usage, counter.peak, counter.limit, counter.failures)
        }
        var object = JSONObject()
        guard let memory else { return .object(object) }
        object.set("cache", memory.details["cache"] ?? memory.details["file"])
        object["usage"] = entry(memory.current, memory.peak, memory.limit, memory.failures)
        if let both = memory.withSwap {
            object["swap"] = entry(both)
        } else if let swap = memory.swapCurrent {
            // What callers know as swap counts memory too.
            var limit: UInt64?
            if let swapLimit = memory.swapLimit, let memoryLimit = memory.limit { limit = swapLimit &+ memoryLimit }
            object["swap"] = entry(swap &+ memory.current, nil, limit, 0)
        }
        object["kernel"] = memory.kernel.map(entry) ?? entry(memory.details["kernel"] ?? 0, nil, nil, 0)
        object["kernelTCP"] = memory.kernelTCP.map(entry) ?? entry(memory.details["sock"] ?? 0, nil, nil, 0)
        var raw = JSONObject()
        for (name, value) in memory.details.sorted(by: { $0.key < $1.key }) { raw.set(name, value) }
        object["raw"] = .object(raw)
        object["psi"] = memoryPressure?.json
        return .object(object)
    }

    private var blkioData: JSON {
        var bytes: [JSON] = []
        var operations: [JSON] = []
        for (device, io) in (io ?? [:]).sorted(by: { $0.key < $1.key }) {
            let number = device.split(separator: ":").compactMap { Int64($0) }
            guard number.count == 2 else { continue }
            func entry(_ operation: String, _ value: UInt64) -> JSON {
                [
                    "major": .integer(number[0]), "minor": .integer(number[1]), "op": .string(operation),
                    "value": JSON(count: value),
                ]
            }
            bytes += [
                entry("Read", io.readBytes), entry("Write", io.writtenBytes), entry("Discard", io.discardedBytes),
            ]
            operations += [entry("Read", io.reads), entry("Write", io.writes), entry("Discard", io.discards)]
        }
        var object = JSONObject()
        object.set("ioServiceBytesRecursive", bytes)
        object.set("ioServicedRecursive", operations)
        object["psi"] = ioPressure?.json
        return .object(object)
    }

    /// `0-3,7` as numbers.
    static func numbers(_ list: String) -> [Int64] {
        list.split(separator: ",").flatMap { part -> [Int64] in
            let ends = part.split(separator: "-").compactMap { Int64($0.filter { !$0.isWhitespace }) }
            guard let first = ends.first, let last = ends.last, first >= 0, last >= first, last - first < 1 << 16 else {
                return []
            }
            return Array(first...last)
        }
    }
}

extension JSON {
    /// A number that is never negative.
    fileprivate init(count: UInt64) { self = Int64(exactly: count).map { .integer($0) } ?? .unsigned(count) }
}

extension CgroupStatistics.Pressure {
    /// With `some`, and `full` where the kernel tells.
    public var json: JSON {
        var object = JSONObject()
        object["some"] = some.json
        object["full"] = full?.json
        return .object(object)
    }
}

extension CgroupStatistics.Pressure.Share {
    /// With the averages in per cent, and the total in microseconds.
    public var json: JSON {
        [
            "avg10": .number(average10), "avg60": .number(average60), "avg300": .number(average300),
            "total": JSON(count: total),
        ]
    }
}

extension CgroupStatistics.RDMA {
    /// Present use and limits, as numbers.
    public var json: JSON {
        var object = JSONObject()
        object.set("hcaHandles", handles)
        object.set("hcaObjects", objects)
        object.set("hcaHandlesLimit", handleLimit)
        object.set("hcaObjectsLimit", objectLimit)
        return .object(object)
    }
}

extension ContainerCgroup {
    /// What the container has used until now.
    public func statistics() throws(CgroupError) -> CgroupStatistics {
        var result = try unified?.statistics() ?? .init()
        try LegacyStatistics.add(legacy, to: &result)
        return result
    }

    /// How the kernel's out-of-memory killer dealt with the container since its creation; nil if that is not known.
    public func outOfMemoryKills() throws(CgroupError) -> UInt64? {
        if let memory = legacy["memory"] {
            return CgroupText.keyed(try memory.readIfPresent("memory.oom_control") ?? "")["oom_kill"]
        }
        return try unified?.memoryEvents()?.oomKill
    }
}
