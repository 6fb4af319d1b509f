/// The formats that files of cgroup v2 have (the kernel's cgroup-v2.rst, "Format").
enum CgroupText {
    /// `key value` lines, as memory.stat and cgroup.events.
    static func keyed(_ text: String) -> [String: UInt64] {
        var result: [String: UInt64] = [:]
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: " ")
            if fields.count == 2, let value = UInt64(fields[1]) { result[String(fields[0])] = value }
        }
        return result
    }

    /// `key name=value name=value` lines, as io.stat and memory.pressure; values stay text.
    static func nested(_ text: String) -> [(key: String, values: [String: String])] {
        text.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            guard let key = fields.first else { return nil }
            var values: [String: String] = [:]
            for field in fields.dropFirst() {
                let parts = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                if parts.count == 2 { values[String(parts[0])] = String(parts[1]) }
            }
            return (String(key), values)
        }
    }

    /// One number, or `max` as nil.
    static func limit(_ text: String) -> UInt64? { UInt64(text.filter { !$0.isWhitespace }) }
}
