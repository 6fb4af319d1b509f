internal import OCISpec

/// Translates `linux.resources` into files of cgroup v1, which the specification was written after. Pure, apart from
/// asking what a file holds now.
enum LegacyLimits {
    /// The files to write, in an order that the kernel accepts.
    /// - Parameter current: the present content of a controller's file, nil where there is none.
    static func settings(
        for resources: RuntimeSpec.Resources, current: (_ controller: String, _ file: String) -> String?
    ) throws(CgroupError) -> [CgroupSetting] {
        var settings: [CgroupSetting] = []
        func add(_ field: String, _ controller: String, _ file: String, _ value: String, optional: Bool = false) {
            settings.append(
                CgroupSetting(field: field, controller: controller, file: file, value: value, optional: optional))
        }
        if let memory = resources.memory { settings += try Self.memory(memory) { current("memory", $0) } }
        if let cpu = resources.cpu { settings += try Self.cpu(cpu) { current("cpu", $0) } }
        if let limit = resources.pids?.limit {
            settings.append(
                CgroupSetting(
                    field: "pids.limit", controller: "pids", file: "pids.max",
                    value: CgroupLimits.processes(limit).map { String($0) } ?? "max", holdsWithoutFile: limit < 0))
        }
        if let blockIO = resources.blockIO { settings += try Self.blockIO(blockIO) { current("blkio", $0) } }
        for (index, limit) in resources.hugepageLimits.enumerated() {
            let field = "hugepageLimits[\(index)]"
            try CgroupLimits.checkPageSize(limit.pageSize, field)
            add(field, "hugetlb", "hugetlb.\(limit.pageSize).limit_in_bytes", String(limit.limit))
            add(field, "hugetlb", "hugetlb.\(limit.pageSize).rsvd.limit_in_bytes", String(limit.limit), optional: true)
        }
        if let network = resources.network {
            if let id = network.classID, id != 0 { add("network.classID", "net_cls", "net_cls.classid", String(id)) }
            for (interface, priority) in network.priorities.sorted(by: { $0.key < $1.key }) {
                guard !interface.isEmpty, interface.utf8.count < 16,
                    interface.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F })
                else {
                    throw CgroupError(
                        .value(field: "network.priorities"),
                        "network.priorities: \"\(interface)\" is no name of a network interface")
                }
                add("network.priorities", "net_prio", "net_prio.ifpriomap", "\(interface) \(priority)")
            }
        }
        settings += try CgroupLimits.rdma(resources.rdma)
        return settings
    }

    private static func memory(
        _ memory: RuntimeSpec.Resources.Memory, current: (String) -> String?
    ) throws(CgroupError) -> [CgroupSetting] {
        var settings: [CgroupSetting] = []
        func add(_ field: String, _ file: String, _ value: String, holdsWithoutFile: Bool = false) {
            settings.append(
                CgroupSetting(
                    field: "memory.\(field)", controller: "memory", file: file, value: value,
                    holdsWithoutFile: holdsWithoutFile))
        }
        func amount(_ value: Int64, _ field: String) throws(CgroupError) -> String {
            _ = try CgroupLimits.amount(value, "memory.\(field)")
            return String(value)
        }
        if let hierarchical = memory.useHierarchy, current("memory.use_hierarchy")?.first != (hierarchical ? "1" : "0")
        {
            add("useHierarchy", "memory.use_hierarchy", hierarchical ? "1" : "0")
        }
        let limit = memory.limit.flatMap { $0 == 0 ? nil : $0 }
        // Unlimited memory under a limit for both would not be unlimited.
        let both = memory.swap.flatMap { $0 == 0 ? nil : $0 } ?? (limit == -1 ? -1 : nil)
        if let limit, let both, both != -1, both < limit || limit == -1 {
            throw CgroupError(
                .value(field: "memory.swap"),
                "memory.swap (\(both)) is less than memory.limit (\(limit)), although it contains it",
                remedy: "set it to memory.limit for no swap at all, or higher")
        }
        if let both { _ = try CgroupLimits.amount(both, "memory.swap") }
        if let limit { _ = try CgroupLimits.amount(limit, "memory.limit") }
        let swap = both.map { ("swap", "memory.memsw.limit_in_bytes", String($0), $0 == -1) }
        let plain = limit.map { ("limit", "memory.limit_in_bytes", String($0), $0 == -1) }
        // At no time may the limit of memory lie above that of memory and swap.
        let present = current("memory.memsw.limit_in_bytes").flatMap(CgroupText.limit) ?? 0
        let rises = both.map { $0 == -1 || UInt64($0) > present } ?? false
        for entry in rises ? [swap, plain] : [plain, swap] {
            if let entry { add(entry.0, entry.1, entry.2, holdsWithoutFile: entry.3) }
        }
        if let reservation = memory.reservation, reservation != 0 {
            add("reservation", "memory.soft_limit_in_bytes", try amount(reservation, "reservation"))
        }
        if let tcp = memory.kernelTCP, tcp != 0 {
            add("kernelTCP", "memory.kmem.tcp.limit_in_bytes", try amount(tcp, "kernelTCP"))
        }
        if let swappiness = memory.swappiness {
            guard swappiness <= 100 else {
                throw CgroupError(
                    .value(field: "memory.swappiness"), "memory.swappiness is \(swappiness), outside of 0 to 100",
                    remedy: "60 is usual")
            }
            add("swappiness", "memory.swappiness", String(swappiness))
        }
        if let disabled = memory.disableOOMKiller {
            let present = CgroupText.keyed(current("memory.oom_control") ?? "")["oom_kill_disable"] == 1
            if disabled != present { add("disableOOMKiller", "memory.oom_control", disabled ? "1" : "0") }
        }
        return settings
    }

    private static func cpu(
        _ cpu: RuntimeSpec.Resources.CPU, current: (String) -> String?
    ) throws(CgroupError) -> [CgroupSetting] {
        var settings: [CgroupSetting] = []
        func add(_ field: String, _ file: String, _ value: String, holdsWithoutFile: Bool = false) {
            settings.append(
                CgroupSetting(
                    field: "cpu.\(field)", controller: file.hasPrefix("cpuset") ? "cpuset" : "cpu", file: file,
                    value: value, holdsWithoutFile: holdsWithoutFile))
        }
        try CgroupLimits.checkIdle(cpu.idle)
        if cpu.idle == 0 { add("idle", "cpu.idle", "0", holdsWithoutFile: true) }
        if let shares = cpu.shares, shares != 0 { add("shares", "cpu.shares", String(min(max(shares, 2), 262_144))) }
        if let period = cpu.realtimePeriod, period != 0 { add("realtimePeriod", "cpu.rt_period_us", String(period)) }
        if let runtime = cpu.realtimeRuntime, runtime != 0 {
            add("realtimeRuntime", "cpu.rt_runtime_us", String(runtime))
        }
        let quota = cpu.quota.flatMap { $0 == 0 ? nil : $0 }
        if let quota, quota < -1 {
            throw CgroupError(
                .value(field: "cpu.quota"), "cpu.quota is \(quota), which is no time", remedy: "use -1 for unlimited")
        }
        let oldBurst = current("cpu.cfs_burst_us").flatMap(CgroupText.limit) ?? 0
        if oldBurst > 0, quota != nil || cpu.burst != nil { add("burst", "cpu.cfs_burst_us", "0") }
        if let period = cpu.period, period != 0 {
            // The kernel compares the new period with the old quota, which may not fit beside it.
            if quota != nil, let old = current("cpu.cfs_quota_us"), !old.hasPrefix("-1") {
                add("quota", "cpu.cfs_quota_us", "-1")
            }
            add("period", "cpu.cfs_period_us", String(period))
        }
        if let quota { add("quota", "cpu.cfs_quota_us", String(quota), holdsWithoutFile: quota == -1) }
        if let burst = cpu.burst { add("burst", "cpu.cfs_burst_us", String(burst), holdsWithoutFile: burst == 0) }
        if cpu.idle == 1 { add("idle", "cpu.idle", "1") }
        for (field, file, list) in [("cpus", "cpuset.cpus", cpu.cpus), ("mems", "cpuset.mems", cpu.mems)] {
            guard let list, !list.isEmpty else { continue }
            add(field, file, try CgroupLimits.listed(list, "cpu.\(field)"))
        }
        return settings
    }

    private static func blockIO(
        _ blockIO: RuntimeSpec.Resources.BlockIO, current: (String) -> String?
    ) throws(CgroupError) -> [CgroupSetting] {
        var settings: [CgroupSetting] = []
        func add(_ field: String, _ file: String, _ value: String, holdsWithoutFile: Bool = false) {
            settings.append(
                CgroupSetting(
                    field: field, controller: "blkio", file: file, value: value, holdsWithoutFile: holdsWithoutFile))
        }
        // Since Linux 5.0 only the BFQ scheduler knows weights; CFQ had the plain names.
        let bfq = current("blkio.weight") == nil && current("blkio.bfq.weight") != nil ? "blkio.bfq." : "blkio."
        func checked(_ weight: UInt16?, _ field: String) throws(CgroupError) -> UInt16? {
            guard let weight, weight != 0 else { return nil }
            guard (10...1000).contains(weight) else { throw CgroupLimits.weightError(field, weight) }
            return weight
        }
        if let weight = try checked(blockIO.weight, "blockIO.weight") {
            add("blockIO.weight", "\(bfq)weight", String(weight))
        }
        if let leaf = try checked(blockIO.leafWeight, "blockIO.leafWeight") {
            add("blockIO.leafWeight", "blkio.leaf_weight", String(leaf))
        }
        for (index, device) in blockIO.weightDevice.enumerated() {
            let field = "blockIO.weightDevice[\(index)]"
            let number = try CgroupLimits.number(device.major, device.minor, field)
            if let weight = try checked(device.weight, "\(field).weight") {
                add(field, "\(bfq)weight_device", "\(number) \(weight)")
            }
            if let leaf = try checked(device.leafWeight, "\(field).leafWeight") {
                add(field, "blkio.leaf_weight_device", "\(number) \(leaf)")
            }
        }
        for (name, file, devices) in [
            ("throttleReadBpsDevice", "read_bps_device", blockIO.throttleReadBpsDevice),
            ("throttleWriteBpsDevice", "write_bps_device", blockIO.throttleWriteBpsDevice),
            ("throttleReadIOPSDevice", "read_iops_device", blockIO.throttleReadIOPSDevice),
            ("throttleWriteIOPSDevice", "write_iops_device", blockIO.throttleWriteIOPSDevice),
        ] {
            for (index, device) in devices.enumerated() {
                let field = "blockIO.\(name)[\(index)]"
                let number = try CgroupLimits.number(device.major, device.minor, field)
                add(field, "blkio.throttle.\(file)", "\(number) \(device.rate)", holdsWithoutFile: device.rate == 0)
            }
        }
        return settings
    }
}
