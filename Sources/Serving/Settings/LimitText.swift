extension ResourceUlimit {
    /// The names of setrlimit(2) in Docker's form.
    static let names: Set<String> = [
        "as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss",
        "rtprio",
        "rttime", "sigpending", "stack",
    ]

    /// `name=soft[:hard]`; `-1` and `unlimited` mean no limit.
    public init(parsing text: String) throws(SettingError) {
        func invalid(_ reason: String) -> SettingError {
            SettingError("ulimit", text, reason, remedy: "write name=soft[:hard], such as nofile=65536 or memlock=-1")
        }
        func value(_ text: Substring) throws(SettingError) -> UInt64? {
            if text == "-1" || text == "unlimited" { return nil }
            guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let value = UInt64(text) else {
                throw invalid("\"\(text)\" is no number")
            }
            return value
        }
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2 else { throw invalid("the value is missing") }
        guard Self.names.contains(String(parts[0])) else { throw invalid("\"\(parts[0])\" is no resource") }
        let values = parts[1].split(separator: ":", omittingEmptySubsequences: false)
        guard values.count <= 2 else { throw invalid("it has more than two values") }
        let soft = try value(values[0])
        let hard = values.count == 2 ? try value(values[1]) : soft
        guard (soft ?? .max) <= (hard ?? .max) else { throw invalid("the soft limit is above the hard limit") }
        self.init(name: String(parts[0]), soft: soft, hard: hard)
    }

    /// The form that ``init(parsing:)`` reads.
    public var text: String {
        func text(_ value: UInt64?) -> String { value.map(String.init) ?? "-1" }
        return "\(name)=\(text(soft)):\(text(hard))"
    }
}

extension IODeviceLimit {
    /// `device:value`, as Docker's `--device-read-bps` and its kin take it; bytes may have a unit.
    public init(parsing text: String, measure: Measure) throws(SettingError) {
        func invalid(_ reason: String) -> SettingError {
            SettingError("I/O limit", text, reason, remedy: "write device:rate, such as /dev/sda:50m")
        }
        guard let colon = text.lastIndex(of: ":") else { throw invalid("the rate is missing") }
        let device = String(text[..<colon])
        let rate = String(text[text.index(after: colon)...])
        guard device.hasPrefix("/dev/") else { throw invalid("\"\(device)\" is no path below /dev") }
        let limit: UInt64
        switch measure {
        case .readBytes, .writeBytes: limit = UInt64(try ByteSize.bytes(rate))
        case .readOperations, .writeOperations:
            guard let number = UInt64(rate) else { throw invalid("\"\(rate)\" is no number of operations") }
            limit = number
        }
        if limit == 0 { throw invalid("the rate is 0") }
        self.init(device: device, measure: measure, limit: limit)
    }
}

extension ResourceLimits {
    /// `1.5` or `2`; above 0.
    public static func parseCPUs(_ text: String) throws(SettingError) -> Double {
        let isPlain = text.utf8.allSatisfy { (0x30...0x39).contains($0) || $0 == 0x2E }
        guard isPlain, let cpus = Double(text), cpus >= 0.01, cpus < 65536 else {
            throw SettingError(
                "number of processors", text, "it is no number from 0.01 up", remedy: "write a number such as 2 or 1.5")
        }
        return cpus
    }

    /// A number above 0, or -1 for unlimited.
    public static func parsePids(_ text: String) throws(SettingError) -> Int64 {
        guard let pids = Int64(text), pids > 0 || pids == -1 else {
            throw SettingError(
                "pids limit", text, "it is neither a number above 0 nor -1",
                remedy: "write a number such as 4096, or -1")
        }
        return pids
    }
}
