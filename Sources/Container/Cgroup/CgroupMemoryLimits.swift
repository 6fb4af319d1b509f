internal import OCISpec

extension CgroupLimits {
    /// memory.max, memory.low and memory.swap.max.
    ///
    /// Zero means "not set", as the callers of OCI runtimes mean it. The runtime-spec's swap counts memory and swap
    /// together, while the kernel's file counts swap alone.
    static func memory(
        _ memory: RuntimeSpec.Resources.Memory, killsWholeGroup: Bool, current: (String) -> String?
    ) throws(CgroupError) -> [CgroupSetting] {
        var settings: [CgroupSetting] = []
        let limit = memory.limit.flatMap { $0 == 0 ? nil : $0 }
        if let reservation = memory.reservation, reservation != 0 {
            settings.append(
                CgroupSetting(
                    field: "memory.reservation", controller: "memory", file: "memory.low",
                    value: try amount(reservation, "memory.reservation")))
        }
        if let limit {
            settings.append(
                CgroupSetting(
                    field: "memory.limit", controller: "memory", file: "memory.max",
                    value: try amount(limit, "memory.limit"), holdsWithoutFile: limit == -1))
            // A server of several processes that lost one to the kernel is half dead and looks alive.
            if killsWholeGroup {
                settings.append(
                    CgroupSetting(
                        field: "memory.limit", controller: "memory", file: "memory.oom.group", value: "1",
                        optional: true))
            }
        }
        // A change of swap alone is about the limit of memory that is in force.
        let inForce = current("memory.max").flatMap(CgroupText.limit).flatMap { Int64(exactly: $0) }
        if let swap = try swapAlone(memory.swap, limit: limit ?? inForce) {
            settings.append(
                CgroupSetting(
                    field: "memory.swap", controller: "memory", file: "memory.swap.max", value: swap,
                    holdsWithoutFile: swap == "max"))
        }
        return settings
    }

    private static func swapAlone(_ swap: Int64?, limit: Int64?) throws(CgroupError) -> String? {
        let field = "memory.swap"
        guard let swap, swap != 0 else {
            // Unlimited memory with a limit of swap left over from before would not be unlimited.
            return limit == -1 ? "max" : nil
        }
        if swap == -1 { return "max" }
        guard swap > 0 else {
            throw CgroupError(
                .value(field: field), "\(field) is \(swap), which is no amount", remedy: "use -1 for unlimited")
        }
        guard let limit else {
            throw CgroupError(
                .value(field: field), "\(field) counts memory and swap together, but memory.limit is not set",
                remedy: "set memory.limit too")
        }
        guard limit != -1 else {
            throw CgroupError(
                .value(field: field), "\(field) is \(swap) while memory.limit is unlimited",
                remedy: "limit the memory too, or set memory.swap to -1")
        }
        guard swap >= limit else {
            throw CgroupError(
                .value(field: field),
                "\(field) (\(swap)) is less than memory.limit (\(limit)), although it contains it",
                remedy: "set it to memory.limit for no swap at all, or higher")
        }
        return String(swap - limit)
    }
}
