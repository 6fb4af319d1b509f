import Container
import LinuxSystem
import OCISpec

extension OCIVerbs {
    private typealias Resources = RuntimeSpec.Resources

    /// What one flag of `update` changes.
    private struct Change: Sendable {
        let rule: OptionRule
        let apply: @Sendable (String, inout RuntimeSpec.Resources) throws -> Void

        init(
            _ name: String, _ value: String, _ help: String,
            _ apply: @escaping @Sendable (String, inout RuntimeSpec.Resources) throws -> Void
        ) {
            rule = OptionRule(name, value: value, help)
            self.apply = apply
        }
    }

    static let updating =
        [OptionRule("resources", short: "r", value: "FILE", "limits as JSON; - for standard input")]
        + changes.map(\.rule)

    private static let changes = [
        Change("blkio-weight", "WEIGHT", "share of disks, 10 to 1000") { text, resources in
            try set(&resources.blockIO, .init(), \.weight, number(text))
        },
        Change("cpu-period", "MICROSECONDS", "period of the quota") { text, resources in
            try set(&resources.cpu, .init(), \.period, number(text))
        },
        Change("cpu-quota", "MICROSECONDS", "processor time in each period; -1 is unlimited") { text, resources in
            try set(&resources.cpu, .init(), \.quota, number(text))
        },
        Change("cpu-burst", "MICROSECONDS", "unused quota that may be saved up") { text, resources in
            try set(&resources.cpu, .init(), \.burst, number(text))
        },
        Change("cpu-share", "SHARES", "share of processors, 2 to 262144") { text, resources in
            try set(&resources.cpu, .init(), \.shares, number(text))
        },
        Change("cpu-rt-period", "MICROSECONDS", "period of realtime scheduling") { text, resources in
            try set(&resources.cpu, .init(), \.realtimePeriod, number(text))
        },
        Change("cpu-rt-runtime", "MICROSECONDS", "realtime processor time in each period") { text, resources in
            try set(&resources.cpu, .init(), \.realtimeRuntime, number(text))
        },
        Change("cpu-idle", "0|1", "only the processors' idle time") { text, resources in
            try set(&resources.cpu, .init(), \.idle, number(text))
        },
        Change("cpuset-cpus", "LIST", "processors, such as 0-3,7") { text, resources in
            set(&resources.cpu, .init(), \.cpus, text)
        },
        Change("cpuset-mems", "LIST", "memory nodes") { text, resources in
            set(&resources.cpu, .init(), \.mems, text)
        },
        Change("kernel-memory", "BYTES", "kernel memory (cgroup v1)") { text, resources in
            try set(&resources.memory, .init(), \.kernel, bytes(text))
        },
        Change("kernel-memory-tcp", "BYTES", "buffers of TCP (cgroup v1)") { text, resources in
            try set(&resources.memory, .init(), \.kernelTCP, bytes(text))
        },
        Change("memory", "BYTES", "memory; -1 is unlimited") { text, resources in
            try set(&resources.memory, .init(), \.limit, bytes(text))
        },
        Change("memory-reservation", "BYTES", "memory that is kept for it") { text, resources in
            try set(&resources.memory, .init(), \.reservation, bytes(text))
        },
        Change("memory-swap", "BYTES", "memory and swap together; -1 is unlimited") { text, resources in
            try set(&resources.memory, .init(), \.swap, bytes(text))
        },
        Change("pids-limit", "NUMBER", "processes and threads; -1 is unlimited") { text, resources in
            resources.pids = .init(limit: try number(text))
        },
        Change("l3-cache-schema", "TEXT", "Intel RDT's share of the L3 cache") { _, _ in
            throw UsageError("a container's resctrl group is chosen when it is made, and not changed by update")
        },
        Change("mem-bw-schema", "TEXT", "Intel RDT's share of memory bandwidth") { _, _ in
            throw UsageError("a container's resctrl group is chosen when it is made, and not changed by update")
        },
    ]

    @Sendable static func update(_ invocation: Invocation) throws -> Int32 {
        let flags = changes.filter { invocation.value($0.rule.name) != nil }
        var resources = Resources()
        if let path = invocation.value("resources") {
            // As runc: the document is the whole of it.
            if let flag = flags.first {
                throw UsageError("--resources and --\(flag.rule.name) exclude each other")
            }
            do throws(JSONError) { resources = try Resources(JSONCursor(try JSON(parsing: try readInput(path)))) } catch
            {
                throw ContainerError.option("\(path == "-" ? "standard input" : path): \(error)")
            }
        } else if flags.isEmpty {
            throw UsageError("update needs --resources or a limit; see update --help")
        }
        for flag in flags {
            guard let text = invocation.value(flag.rule.name) else { continue }
            do { try flag.apply(text, &resources) } catch { throw UsageError("--\(flag.rule.name): \(error)") }
        }
        warn(try containers(invocation).update(invocation.arguments[0], resources))
        return 0
    }

    private static func set<Part, Value>(
        _ part: inout Part?, _ fresh: Part, _ field: WritableKeyPath<Part, Value?>, _ value: Value
    ) {
        var changed = part ?? fresh
        changed[keyPath: field] = value
        part = changed
    }

    private static func number<Number: FixedWidthInteger>(_ text: String) throws(UsageError) -> Number {
        guard !text.hasPrefix("+"), let number = Number(text) else {
            throw UsageError("\"\(text)\" is no number from \(Number.min) to \(Number.max)")
        }
        return number
    }

    /// A number with an optional unit of 1024 (`512k`, `64M`, `2GiB`), or -1, as Docker's `--memory` takes it.
    static func bytes(_ text: String) throws(UsageError) -> Int64 {
        if text == "-1" { return -1 }
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let unit = text.dropFirst(digits.count).lowercased()
        let powers = [
            "": 0, "b": 0, "k": 1, "kb": 1, "kib": 1, "m": 2, "mb": 2, "mib": 2, "g": 3, "gb": 3, "gib": 3, "t": 4,
            "tb": 4, "tib": 4,
        ]
        guard let number = Int64(digits), let power = powers[unit] else {
            throw UsageError("\"\(text)\" is no size: give a number with an optional unit such as 512M, or -1")
        }
        let (product, overflow) = number.multipliedReportingOverflow(by: 1 << (10 * Int64(power)))
        if overflow { throw UsageError("\"\(text)\" is above \(Int64.max) bytes") }
        return product
    }
}
