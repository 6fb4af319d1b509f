/// What the groups of cgroup v1 have counted.
enum LegacyStatistics {
    /// Adds what the groups, by controller, tell. Parts that no controller of version 1 tells of are left as they are.
    static func add(_ groups: [String: Cgroup], to result: inout CgroupStatistics) throws(CgroupError) {
        if let group = groups["cpuacct"] { try accounting(group, &result) }
        if let group = groups["cpu"], let text = try group.readIfPresent("cpu.stat") {
            let values = CgroupText.keyed(text)
            var cpu = result.cpu ?? .init()
            cpu.periods = values["nr_periods"]
            cpu.throttledPeriods = values["nr_throttled"]
            cpu.throttled = values["throttled_time"].map { $0 / 1000 }
            cpu.burst = values["burst_time"].map { $0 / 1000 }
            result.cpu = cpu
        }
        if let group = groups["memory"] { result.memory = try memory(group) ?? result.memory }
        if let group = groups["pids"], let current = try group.number("pids.current") {
            result.pids = CgroupStatistics.Pids(
                current: current, peak: try group.number("pids.peak"), limit: try group.number("pids.max"))
        }
        if let group = groups["blkio"] { result.io = try blockIO(group) ?? result.io }
        if let group = groups["cpuset"], let cpus = try group.readIfPresent("cpuset.effective_cpus"),
            let mems = try group.readIfPresent("cpuset.effective_mems")
        {
            result.cpuset = (cpus.filter { !$0.isWhitespace }, mems.filter { !$0.isWhitespace })
        }
        if let group = groups["hugetlb"] {
            for size in HugePageSizes.ofHost {
                guard let usage = try group.number("hugetlb.\(size).usage_in_bytes") else { continue }
                result.hugePages[size] = CgroupStatistics.HugePages(
                    usage: usage, peak: try group.number("hugetlb.\(size).max_usage_in_bytes"),
                    failures: try group.number("hugetlb.\(size).failcnt") ?? 0)
            }
        }
        if let group = groups["rdma"], let current = try group.readIfPresent("rdma.current") {
            result.rdma = CgroupStatistics.RDMA.devices(
                current: current, limits: try group.readIfPresent("rdma.max") ?? "")
        }
    }

    private static func accounting(_ group: Cgroup, _ result: inout CgroupStatistics) throws(CgroupError) {
        var cpu = result.cpu ?? .init()
        cpu.usage = (try group.number("cpuacct.usage") ?? 0) / 1000
        func list(_ file: String) throws(CgroupError) -> [UInt64] {
            try group.readIfPresent(file)?.split(whereSeparator: \.isWhitespace).compactMap { UInt64($0) } ?? []
        }
        cpu.perCPU = try list("cpuacct.usage_percpu")
        cpu.perCPUKernel = try list("cpuacct.usage_percpu_sys")
        cpu.perCPUUser = try list("cpuacct.usage_percpu_user")
        // The sums come in nanoseconds since Linux 4.12; the older file counts in ticks of a hundredth of a second.
        if let user = try group.number("cpuacct.usage_user"), let system = try group.number("cpuacct.usage_sys") {
            (cpu.user, cpu.system) = (user / 1000, system / 1000)
        } else {
            let ticks = CgroupText.keyed(try group.readIfPresent("cpuacct.stat") ?? "")
            (cpu.user, cpu.system) = ((ticks["user"] ?? 0) &* 10_000, (ticks["system"] ?? 0) &* 10_000)
        }
        result.cpu = cpu
    }

    private static func memory(_ group: Cgroup) throws(CgroupError) -> CgroupStatistics.Memory? {
        guard let current = try group.number("memory.usage_in_bytes") else { return nil }
        // What has no limit has the highest multiple of a page as one.
        func limit(_ file: String) throws(CgroupError) -> UInt64? {
            try group.number(file).flatMap { $0 >= 0x7FFF_FFFF_FFFF_0000 ? nil : $0 }
        }
        func counter(_ prefix: String) throws(CgroupError) -> CgroupStatistics.Counter? {
            guard let usage = try group.number("\(prefix).usage_in_bytes") else { return nil }
            return CgroupStatistics.Counter(
                usage: usage, peak: try group.number("\(prefix).max_usage_in_bytes") ?? 0,
                limit: try limit("\(prefix).limit_in_bytes"), failures: try group.number("\(prefix).failcnt") ?? 0)
        }
        var memory = CgroupStatistics.Memory()
        memory.current = current
        memory.peak = try group.number("memory.max_usage_in_bytes")
        memory.limit = try limit("memory.limit_in_bytes")
        memory.failures = try group.number("memory.failcnt") ?? 0
        memory.details = CgroupText.keyed(try group.readIfPresent("memory.stat") ?? "")
        memory.kernel = try counter("memory.kmem")
        memory.kernelTCP = try counter("memory.kmem.tcp")
        memory.withSwap = try counter("memory.memsw")
        memory.swapCurrent = memory.details["swap"]
        memory.events.max = memory.failures
        memory.events.oomKill = CgroupText.keyed(try group.readIfPresent("memory.oom_control") ?? "")["oom_kill"] ?? 0
        return memory
    }

    private static func blockIO(_ group: Cgroup) throws(CgroupError) -> [String: CgroupStatistics.IO]? {
        // The throttling layer counts whatever the scheduler; the recursive files include groups below.
        func text(_ name: String) throws(CgroupError) -> String? {
            let recursive = try group.readIfPresent("blkio.throttle.\(name)_recursive")
            return if let recursive { recursive } else { try group.readIfPresent("blkio.throttle.\(name)") }
        }
        guard let bytes = try text("io_service_bytes") else { return nil }
        var result: [String: CgroupStatistics.IO] = [:]
        for (device, operation, value) in entries(bytes) {
            switch operation {
            case "Read": result[device, default: .init()].readBytes = value
            case "Write": result[device, default: .init()].writtenBytes = value
            case "Discard": result[device, default: .init()].discardedBytes = value
            default: continue
            }
        }
        for (device, operation, value) in entries(try text("io_serviced") ?? "") {
            switch operation {
            case "Read": result[device, default: .init()].reads = value
            case "Write": result[device, default: .init()].writes = value
            case "Discard": result[device, default: .init()].discards = value
            default: continue
            }
        }
        return result
    }

    /// Lines such as `8:0 Read 4096`; the totals have no device.
    static func entries(_ text: String) -> [(device: String, operation: String, value: UInt64)] {
        text.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count == 3, fields[0].contains(":"), let value = UInt64(fields[2]) else { return nil }
            return (String(fields[0]), String(fields[1]), value)
        }
    }
}
