import CLinux
import Container
import Glibc
import LinuxSystem
import OCISpec

extension OCIVerbs {
    @Sendable static func events(_ invocation: Invocation) throws -> Int32 {
        let id = invocation.arguments[0]
        let interval = try nanoseconds(invocation.value("interval") ?? "5s")
        let containers = containers(invocation)
        guard let process = try containers.process(id) else { throw ContainerError.notRunning(id) }
        let cgroup = try containers.cgroup(id, to: "tell what is used by")
        if invocation.has("stats") {
            try emit("stats", id, try StatisticsReport.json(cgroup, process: process.pid))
            return 0
        }
        if interval == 0 { throw UsageError("--interval is 0: the figures need some time between them") }
        try stream(id, cgroup, process, every: interval)
        return 0
    }

    /// Until the container ends.
    private static func stream(
        _ id: String, _ cgroup: ContainerCgroup, _ process: ContainerProcess, every interval: UInt64
    ) throws {
        var watch = try cgroup.watch()
        var next = mlr_monotonic_nanoseconds() + interval
        while true {
            let now = mlr_monotonic_nanoseconds()
            if now >= next {
                try emit("stats", id, try StatisticsReport.json(cgroup, process: process.pid))
                next += interval * ((now - next) / interval + 1)
            }
            let milliseconds = (next - min(next, mlr_monotonic_nanoseconds()) + 999_999) / 1_000_000
            var entries = [
                pollfd(fd: process.pidfd, events: Int16(POLLIN), revents: 0),
                pollfd(fd: watch.descriptor.rawValue, events: Int16(POLLIN), revents: 0),
            ]
            try check(
                retrying { poll(&entries, 2, Int32(clamping: milliseconds)) < 0 ? -errno : 0 },
                "wait for process \(process.pid)")
            let hasEnded = entries[0].revents != 0
            // The end and its cause come together: the cause is told first.
            if hasEnded || entries[1].revents != 0 {
                for case .outOfMemory in try watch.read() { try emit("oom", id, nil) }
            }
            if hasEnded { return }
        }
    }

    /// One line, written at once: whoever reads a stream reads it line by line.
    private static func emit(_ type: String, _ id: String, _ data: JSON?) throws {
        var object = JSONObject()
        object["type"] = .string(type)
        object["id"] = .string(id)
        object["data"] = data
        try File.writeAll(JSON.object(object).bytes() + [UInt8(ascii: "\n")], to: 1, path: "standard output")
    }

    /// A duration as Go writes it: `5s`, `1m30s`, `250ms`.
    static func nanoseconds(_ text: String) throws(UsageError) -> UInt64 {
        let units: [String: UInt64] = [
            "ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000,
            "h": 3_600_000_000_000,
        ]
        var total: UInt64 = 0
        var rest = Substring(text)
        if text == "0" { return 0 }
        repeat {
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            rest = rest.dropFirst(digits.count)
            let unit = rest.prefix { !($0.isASCII && $0.isNumber) }
            rest = rest.dropFirst(unit.count)
            guard let number = UInt64(digits), let factor = units[String(unit)],
                case let (product, tooLong) = number.multipliedReportingOverflow(by: factor), !tooLong,
                case let (sum, tooMuch) = total.addingReportingOverflow(product), !tooMuch
            else { throw UsageError("\"\(text)\" is no time: give one such as 5s, 500ms or 1m30s") }
            total = sum
        } while !rest.isEmpty
        return total
    }
}
