internal import Glibc
internal import OCISpec

extension CgroupLimits {
    /// cpu.weight, cpu.max, cpu.max.burst, cpu.idle and the two cpusets.
    static func cpu(
        _ cpu: RuntimeSpec.Resources.CPU, current: (String) -> String?
    ) throws(CgroupError) -> [CgroupSetting] {
        var settings: [CgroupSetting] = []
        func add(_ field: String, _ file: String, _ value: String, holdsWithoutFile: Bool = false) {
            settings.append(
                CgroupSetting(
                    field: field, controller: file.hasPrefix("cpuset") ? "cpuset" : "cpu", file: file, value: value,
                    holdsWithoutFile: holdsWithoutFile))
        }
        try checkIdle(cpu.idle)
        // A group that is idle has no weight: the kernel refuses one until idle is off again.
        if cpu.idle == 0 { add("cpu.idle", "cpu.idle", "0", holdsWithoutFile: true) }
        if let shares = cpu.shares, shares != 0 { add("cpu.shares", "cpu.weight", String(weight(fromShares: shares))) }
        if let value = try bandwidth(cpu, current: current("cpu.max")) {
            let unlimited = value.hasPrefix("max")
            // A burst may not exceed the quota: drop an old one before the quota can fall below it.
            if !unlimited, let old = current("cpu.max.burst"), old.first != "0" {
                add("cpu.burst", "cpu.max.burst", "0")
            }
            add(cpu.quota == nil ? "cpu.period" : "cpu.quota", "cpu.max", value, holdsWithoutFile: unlimited)
        }
        if let burst = cpu.burst { add("cpu.burst", "cpu.max.burst", String(burst), holdsWithoutFile: burst == 0) }
        if cpu.idle == 1 { add("cpu.idle", "cpu.idle", "1") }
        for (field, file, list) in [
            ("cpu.cpus", "cpuset.cpus", cpu.cpus), ("cpu.mems", "cpuset.mems", cpu.mems),
        ] {
            guard let list, !list.isEmpty else { continue }
            add(field, file, try listed(list, field))
        }
        return settings
    }

    static func checkIdle(_ idle: Int64?) throws(CgroupError) {
        guard let idle, idle != 0, idle != 1 else { return }
        throw CgroupError(
            .value(field: "cpu.idle"), "cpu.idle is \(idle), but only 0 and 1 mean something", remedy: "use 0 or 1")
    }

    /// A list as the kernel takes it, which reads up to the first line feed: one at the end, as its own files have it, is left
    /// out, and what follows another would be ignored.
    static func listed(_ text: String, _ field: String) throws(CgroupError) -> String {
        let list = text.hasSuffix("\n") ? String(text.dropLast()) : text
        let parts = list.utf8.split { ", ".utf8.contains($0) }
        let isList =
            !parts.isEmpty
            && parts.allSatisfy { part in
                part.first.map(isDigit) == true && part.allSatisfy { isDigit($0) || "-:/".utf8.contains($0) }
            }
        guard isList else {
            throw CgroupError(
                .value(field: field), "\(field) \"\(list)\" is no list of numbers", remedy: "write it as 0-3,7")
        }
        return list
    }

    /// The content of cpu.max: microseconds of quota in each period. A period alone keeps the quota that is set.
    private static func bandwidth(
        _ cpu: RuntimeSpec.Resources.CPU, current: String?
    ) throws(CgroupError) -> String? {
        let period = cpu.period.flatMap { $0 == 0 ? nil : $0 }
        var quota: String?
        if let value = cpu.quota, value != 0 {
            guard value >= -1 else {
                throw CgroupError(
                    .value(field: "cpu.quota"), "cpu.quota is \(value), which is no time",
                    remedy: "use -1 for unlimited")
            }
            quota = value == -1 ? "max" : String(value)
        }
        guard quota != nil || period != nil else { return nil }
        let present = current?.split(whereSeparator: \.isWhitespace).map(String.init) ?? []
        let chosen = quota ?? present.first ?? "max"
        return period.map { "\(chosen) \($0)" } ?? chosen
    }

    /// Shares (2 to 262144, default 1024) to weight (1 to 10000, default 100), on the curve that runc and crun agreed on
    /// so that the two defaults meet.
    static func weight(fromShares shares: UInt64) -> Int {
        let clamped = min(max(shares, 2), 262_144)
        if clamped == 2 { return 1 }
        if clamped == 262_144 { return 10_000 }
        let power = log2(Double(clamped))
        let exponent = (power * power + 125 * power) / 612 - 7.0 / 34
        return min(max(Int(pow(10, exponent).rounded(.up)), 1), 10_000)
    }
}
