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

    /// A duration as Go writes and reads it: `5s`, `1m30s`, `1.5s`, `250ms`.
    static func nanoseconds(_ text: String) throws(UsageError) -> UInt64 {
        if text == "0" { return 0 }
        var total: UInt64 = 0
        var rest = Substring(text)
        repeat {
            // What Go's type of a duration cannot hold is none.
            guard let part = takeDuration(from: &rest), part <= UInt64(Int64.max) - total else {
                throw UsageError("\"\(text)\" is no time: give one such as 5s, 500ms, 1.5s or 1m30s")
            }
            total += part
        } while !rest.isEmpty
        return total
    }

    /// One number with its unit, cut down to whole nanoseconds.
    private static func takeDuration(from rest: inout Substring) -> UInt64? {
        let units: [String: UInt64] = [
            "ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000, "s": 1_000_000_000,
            "m": 60_000_000_000, "h": 3_600_000_000_000,
        ]
        func isDigit(_ character: Character) -> Bool { character.isASCII && character.isNumber }
        func take(while belongs: (Character) -> Bool) -> Substring {
            let part = rest.prefix(while: belongs)
            rest = rest.dropFirst(part.count)
            return part
        }
        let whole = take(while: isDigit)
        let hasPoint = rest.first == "."
        if hasPoint { rest.removeFirst() }
        // More digits than these are less than a nanosecond of any unit.
        let fraction = hasPoint ? take(while: isDigit).prefix(18) : ""
        let scale = fraction.reduce(UInt64(1)) { scale, _ in scale * 10 }
        guard !whole.isEmpty || !fraction.isEmpty, let number = UInt64("0" + whole),
            let parts = UInt64("0" + fraction), let unit = units[String(take { !isDigit($0) && $0 != "." })],
            case let (product, tooLong) = number.multipliedReportingOverflow(by: unit), !tooLong,
            case let (sum, tooMuch) = product.addingReportingOverflow(
                scale.dividingFullWidth(unit.multipliedFullWidth(by: parts)).quotient), !tooMuch
        else { return nil }
        return sum
    }
}
