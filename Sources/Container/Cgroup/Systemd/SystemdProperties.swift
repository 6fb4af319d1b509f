internal import LinuxSystem
internal import OCISpec

/// What a unit is told of a container (systemd.resource-control(5)), in the names and units of D-Bus.
enum SystemdProperties {
    typealias Property = (name: String, value: DBusValue)

    /// As `a(sv)`.
    static func array(_ properties: [Property]) -> DBusValue {
        .array(of: "(sv)", properties.map { .structure([.string($0.name), .variant($0.value)]) })
    }

    /// Where the unit lies, what it is for, and that what is below it is not systemd's business.
    static func placement(_ unit: CgroupPath.Unit, id: String, process: Int32?) -> [Property] {
        var properties: [Property] = [("Description", .string("mlrun-oci container \(id)"))]
        if unit.isSlice {
            properties.append(("Wants", .strings([unit.slice])))
        } else {
            properties.append(("Slice", .string(unit.slice)))
            properties.append(("Delegate", .bool(true)))
            properties.append(("CollectMode", .string("inactive-or-failed")))
        }
        if let process { properties.append(("PIDs", .array(of: "u", [.uint32(UInt32(bitPattern: process))]))) }
        for kind in ["CPU", "Memory", "IO", "Tasks"] { properties.append(("\(kind)Accounting", .bool(true))) }
        properties.append(("DefaultDependencies", .bool(false)))
        return properties
    }

    // MARK: Limits

    /// The properties that stand for files of cgroup v2. Files that systemd knows no property for are set in the group
    /// alone, where it leaves them as they are.
    static func limits(_ settings: [CgroupSetting], version: Int) throws(DBusFailure) -> [Property] {
        var properties: [Property] = []
        var byDevice: [String: [DBusValue]] = [:]
        for setting in settings {
            if let name = sizes[setting.file] {
                properties.append((name, .uint64(try amount(setting))))
            } else if setting.file == "cpu.max" {
                properties += try bandwidth(setting, version: version)
            } else if setting.file == "cpu.idle" {
                // A weight of zero is how "idle" is written; the weight of before comes back with cpu.weight.
                if setting.value == "1", version >= 252 { properties.append(("CPUWeight", .uint64(0))) }
            } else if setting.file.hasPrefix("cpuset."), version >= 244 {
                let name = setting.file == "cpuset.cpus" ? "AllowedCPUs" : "AllowedMemoryNodes"
                if ["cpuset.cpus", "cpuset.mems"].contains(setting.file) {
                    properties.append((name, .array(of: "y", bits(setting.value).map { .byte($0) })))
                }
            } else if setting.file == "io.weight" || setting.file == "io.max" {
                try io(setting, &properties, &byDevice)
            }
        }
        for (name, values) in byDevice.sorted(by: { $0.key < $1.key }) {
            properties.append((name, .array(of: "(st)", values)))
        }
        return properties
    }

    private static let sizes = [
        "memory.max": "MemoryMax", "memory.high": "MemoryHigh", "memory.low": "MemoryLow", "memory.min": "MemoryMin",
        "memory.swap.max": "MemorySwapMax", "pids.max": "TasksMax", "cpu.weight": "CPUWeight",
    ]

    private static func amount(_ setting: CgroupSetting) throws(DBusFailure) -> UInt64 {
        let text = setting.value.filter { !$0.isWhitespace }
        if text == "max" { return .max }
        // The kernel takes a suffix too.
        let shift: UInt64 =
            switch text.last {
            case "k", "K": 10
            case "m", "M": 20
            case "g", "G": 30
            default: 0
            }
        let digits = shift == 0 ? Substring(text) : text.dropLast()
        guard let number = UInt64(digits), number.leadingZeroBitCount >= shift else { throw unreadable(setting) }
        return number << shift
    }

    private static func unreadable(_ setting: CgroupSetting) -> DBusFailure {
        .value(
            CgroupError(
                .value(field: setting.field),
                "\(setting.field) is \"\(setting.value)\", which systemd has no value for",
                remedy: "write it as the kernel shows it"))
    }

    /// Microseconds for each second of time, in steps of a hundredth of a processor as systemd rounds them itself.
    private static func bandwidth(_ setting: CgroupSetting, version: Int) throws(DBusFailure) -> [Property] {
        let fields = setting.value.split(whereSeparator: \.isWhitespace)
        let period = fields.count > 1 ? UInt64(fields[1]) : 100_000
        guard let period, period > 0, !fields.isEmpty else { throw unreadable(setting) }
        var perSecond = UInt64.max
        if fields[0] != "max" {
            guard let quota = UInt64(fields[0]), quota < 1 << 40 else { throw unreadable(setting) }
            perSecond = (quota * 1_000_000 / period + 9999) / 10_000 * 10_000
        }
        var properties: [Property] = [("CPUQuotaPerSecUSec", .uint64(perSecond))]
        if version >= 242 { properties.append(("CPUQuotaPeriodUSec", .uint64(period))) }
        return properties
    }

    private static func io(
        _ setting: CgroupSetting, _ properties: inout [Property], _ byDevice: inout [String: [DBusValue]]
    ) throws(DBusFailure) {
        let fields = setting.value.split(separator: " ").map(String.init)
        guard let first = fields.first, first.contains(":") else {
            if setting.file == "io.weight", let weight = fields.last.flatMap({ UInt64($0) }) {
                properties.append(("IOWeight", .uint64(weight)))
            }
            return
        }
        let device = "/dev/block/\(first)"
        if setting.file == "io.weight" {
            guard let weight = fields.last.flatMap({ UInt64($0) }) else { throw unreadable(setting) }
            byDevice["IODeviceWeight", default: []].append(.structure([.string(device), .uint64(weight)]))
            return
        }
        for field in fields.dropFirst() {
            let parts = field.split(separator: "=")
            guard parts.count == 2, let name = throttles[String(parts[0])] else { continue }
            guard let rate = parts[1] == "max" ? .max : UInt64(parts[1]) else { throw unreadable(setting) }
            byDevice[name, default: []].append(.structure([.string(device), .uint64(rate)]))
        }
    }

    private static let throttles = [
        "rbps": "IOReadBandwidthMax", "wbps": "IOWriteBandwidthMax", "riops": "IOReadIOPSMax",
        "wiops": "IOWriteIOPSMax",
    ]

    /// `0-3,7` as a mask, the lowest eight numbers in the first byte.
    static func bits(_ list: String) -> [UInt8] {
        var bytes: [UInt8] = []
        for number in CgroupStatistics.numbers(list) where number < 1 << 16 {
            let index = Int(number) / 8
            if index >= bytes.count { bytes += [UInt8](repeating: 0, count: index + 1 - bytes.count) }
            bytes[index] |= 1 << UInt8(number % 8)
        }
        return bytes
    }

    // MARK: Devices

    /// The device rules of a container, so that systemd's own program, which it loads anew whenever it likes, allows what
    /// the container's does. Empty for no rules.
    ///
    /// systemd knows lists of what is allowed, and nothing else: for rules of another shape it is told to have no program.
    static func devices(
        _ rules: [RuntimeSpec.Resources.DeviceRule], drivers: String? = try? File.readText("/proc/devices")
    ) throws(CgroupError) -> [Property] {
        if rules.isEmpty { return [] }
        _ = try DeviceProgram(rules)
        let complete = DeviceRules.complete(rules)
        guard let allowed = allowList(complete) else {
            return [("DevicePolicy", .string("auto")), ("DeviceAllow", .array(of: "(ss)", []))]
        }
        let names = DeviceDrivers(drivers ?? "")
        var entries: [DBusValue] = []
        for rule in allowed {
            guard let node = names.node(rule) else {
                // A driver without a name: systemd could not be told, and must not take away what it was not told of.
                return [("DevicePolicy", .string("auto")), ("DeviceAllow", .array(of: "(ss)", []))]
            }
            entries.append(
                .structure([.string(node), .string(rule.access.flatMap { $0.isEmpty ? nil : $0 } ?? "rwm")]))
        }
        // An empty list first takes back what was said before.
        return [
            ("DevicePolicy", .string("strict")), ("DeviceAllow", .array(of: "(ss)", [])),
            ("DeviceAllow", .array(of: "(ss)", entries)),
        ]
    }

    /// The rules that allow, where the rest is denied; nil for rules that deny parts of what is allowed.
    static func allowList(_ rules: [RuntimeSpec.Resources.DeviceRule]) -> [RuntimeSpec.Resources.DeviceRule]? {
        guard let reset = rules.lastIndex(where: { !$0.allow && DeviceRules.isForAll($0) }) else { return nil }
        let rest = rules[(reset + 1)...]
        if rest.contains(where: { !$0.allow || ($0.type ?? "a") == "a" }) { return nil }
        return Array(rest)
    }
}

/// The names that systemd calls drivers by (proc_devices(5)).
struct DeviceDrivers {
    private var characters: [Int64: String] = [:]
    private var blocks: [Int64: String] = [:]

    init(_ text: String) {
        var isBlock = false
        for line in text.split(separator: "\n") {
            if line.hasPrefix("Block") { isBlock = true }
            let fields = line.split(separator: " ")
            guard fields.count == 2, let major = Int64(fields[0]) else { continue }
            if isBlock { blocks[major] = String(fields[1]) } else { characters[major] = String(fields[1]) }
        }
    }

    /// How systemd's DeviceAllow names what a rule is about; nil if it has no name.
    func node(_ rule: RuntimeSpec.Resources.DeviceRule) -> String? {
        let isBlock = rule.type == "b"
        let kind = isBlock ? "block" : "char"
        guard let major = rule.major, major >= 0 else {
            return rule.minor.map { $0 < 0 } ?? true ? "\(kind)-*" : nil
        }
        if let minor = rule.minor, minor >= 0 { return "/dev/\(kind)/\(major):\(minor)" }
        return (isBlock ? blocks : characters)[major].map { "\(kind)-\($0)" }
    }
}
