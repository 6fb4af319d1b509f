internal import OCISpec

/// Translates `linux.resources` of the runtime-spec into files of cgroup v2. Pure, apart from asking what a file of the
/// group holds now.
enum CgroupLimits {
    /// Enabled whenever there are any: statistics and the cause of a death come from them.
    static let forStatistics: Set<String> = ["cpu", "io", "memory", "pids"]

    /// The controllers that these resources need.
    static func controllers(of resources: RuntimeSpec.Resources) -> Set<String> {
        // Broken values are reported when they are applied.
        let settings = (try? settings(for: resources, current: { _ in nil })) ?? []
        return Set(settings.map(\.controller)).subtracting(["cgroup"])
    }

    /// The files to write, in an order that the kernel accepts.
    /// - Parameters:
    ///   - killsWholeGroup: whether an out-of-memory kill is to end all processes of the group.
    ///   - current: the present content of a file of the group, nil where it has none.
    static func settings(
        for resources: RuntimeSpec.Resources, killsWholeGroup: Bool = true, current: (String) -> String?
    ) throws(CgroupError) -> [CgroupSetting] {
        var settings: [CgroupSetting] = []
        if let memory = resources.memory {
            settings += try Self.memory(memory, killsWholeGroup: killsWholeGroup, current: current)
        }
        if let cpu = resources.cpu { settings += try Self.cpu(cpu, current: current) }
        if let limit = resources.pids?.limit {
            settings.append(
                CgroupSetting(
                    field: "pids.limit", controller: "pids", file: "pids.max",
                    value: processes(limit).map { String($0) } ?? "max", holdsWithoutFile: limit < 0))
        }
        if let blockIO = resources.blockIO { settings += try Self.io(blockIO, current: current) }
        for (index, limit) in resources.hugepageLimits.enumerated() {
            let field = "hugepageLimits[\(index)]"
            let size = limit.pageSize
            try checkPageSize(size, field)
            for (suffix, optional) in [("max", false), ("rsvd.max", true)] {
                settings.append(
                    CgroupSetting(
                        field: field, controller: "hugetlb", file: "hugetlb.\(size).\(suffix)",
                        value: String(limit.limit), optional: optional))
            }
        }
        settings += try rdma(resources.rdma)
        settings += try unified(resources.unified)
        return settings
    }

    /// How many processes a limit allows; nil for any number. None at all is one, in which no process can be started either:
    /// systemd knows no limit of none, and both managers are to do the same.
    static func processes(_ limit: Int64) -> Int64? { limit < 0 ? nil : max(limit, 1) }

    /// Fields that callers send from of old, and that every runtime goes on without, each with the reason.
    static func ignored(_ resources: RuntimeSpec.Resources) -> [String] {
        guard let kernel = resources.memory?.kernel, kernel > 0 else { return [] }
        return [
            "memory.kernel is ignored: it is no limit that a runtime sets any more, since Linux 5.16 has none of that kind; "
                + "the kernel's memory for a group counts as part of memory.limit"
        ]
    }

    /// Fields of cgroup v1 that version 2 has no counterpart for, each with the reason.
    static func unsupported(_ resources: RuntimeSpec.Resources) -> [(field: String, controller: String, reason: String)]
    {
        var found: [(field: String, controller: String, reason: String)] = []
        func add(_ field: String, _ controller: String, _ reason: String) { found.append((field, controller, reason)) }
        if let memory = resources.memory {
            let counted = "cgroup v2 counts kernel memory as part of memory.limit"
            if let tcp = memory.kernelTCP, tcp > 0 { add("memory.kernelTCP", "memory", counted) }
            if memory.swappiness != nil {
                add("memory.swappiness", "memory", "cgroup v2 has no swappiness of a group")
            }
            if memory.disableOOMKiller == true {
                add("memory.disableOOMKiller", "memory", "cgroup v2 cannot pause a group at its limit")
            }
            if memory.useHierarchy == false {
                add("memory.useHierarchy", "memory", "cgroup v2 is always hierarchical")
            }
        }
        if let cpu = resources.cpu {
            let realtime = "cgroup v2 has no realtime budget of a group"
            if let runtime = cpu.realtimeRuntime, runtime > 0 { add("cpu.realtimeRuntime", "cpu", realtime) }
            if let period = cpu.realtimePeriod, period > 0 { add("cpu.realtimePeriod", "cpu", realtime) }
        }
        if let io = resources.blockIO {
            let flat = "cgroup v2 has no leaf weight: processes are in leaves only"
            if let weight = io.leafWeight, weight > 0 { add("blockIO.leafWeight", "io", flat) }
            for (index, device) in io.weightDevice.enumerated() where (device.leafWeight ?? 0) > 0 {
                add("blockIO.weightDevice[\(index)].leafWeight", "io", flat)
            }
        }
        if let network = resources.network {
            let packets = "cgroup v2 has no network controller: packets are classified by the firewall or by eBPF"
            if let id = network.classID, id > 0 { add("network.classID", "net_cls", packets) }
            if !network.priorities.isEmpty { add("network.priorities", "net_prio", packets) }
        }
        return found
    }

    private static func unified(_ map: [String: String]) throws(CgroupError) -> [CgroupSetting] {
        var settings: [CgroupSetting] = []
        for (file, value) in map.sorted(by: { $0.key < $1.key }) {
            let field = "unified.\(file)"
            guard let dot = file.firstIndex(of: "."), dot != file.startIndex, !file.contains("/"),
                file.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
            else {
                throw CgroupError(
                    .value(field: field), "\(field) does not name a file of a cgroup",
                    remedy: "name one such as memory.high, without a directory")
            }
            // The kernel reads one line at a time from the files that hold several, such as io.max.
            let lines = value.split(separator: "\n")
            for line in lines.isEmpty ? [""] : lines {
                settings.append(
                    CgroupSetting(field: field, controller: String(file[..<dot]), file: file, value: String(line)))
            }
        }
        return settings
    }

    static func checkPageSize(_ size: String, _ field: String) throws(CgroupError) {
        guard size.utf8.allSatisfy({ isDigit($0) || "KMGB".utf8.contains($0) }), size.hasSuffix("B") else {
            throw CgroupError(
                .value(field: field), "\(field).pageSize \"\(size)\" is no size of huge pages",
                remedy: "write it as the kernel does, such as 2MB or 1GB")
        }
    }

    static func rdma(_ devices: [String: RuntimeSpec.Resources.RDMA]) throws(CgroupError) -> [CgroupSetting] {
        var settings: [CgroupSetting] = []
        for (device, limit) in devices.sorted(by: { $0.key < $1.key }) {
            guard !device.isEmpty, device.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else {
                throw CgroupError(.value(field: "rdma"), "rdma: \"\(device)\" is no name of an RDMA device")
            }
            let handles = limit.hcaHandles.map { " hca_handle=\($0)" } ?? ""
            let objects = limit.hcaObjects.map { " hca_object=\($0)" } ?? ""
            if handles.isEmpty, objects.isEmpty { continue }
            settings.append(
                CgroupSetting(
                    field: "rdma.\(device)", controller: "rdma", file: "rdma.max", value: device + handles + objects))
        }
        return settings
    }

    static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    /// -1 is how the runtime-spec writes "unlimited".
    static func amount(_ value: Int64, _ field: String) throws(CgroupError) -> String {
        if value == -1 { return "max" }
        guard value >= 0 else {
            throw CgroupError(
                .value(field: field), "\(field) is \(value), which is no amount", remedy: "use -1 for unlimited")
        }
        return String(value)
    }
}
