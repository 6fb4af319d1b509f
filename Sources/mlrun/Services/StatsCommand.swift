import ArgumentParser
internal import Container
internal import Glibc
internal import LinuxSystem
internal import MLRun
internal import OCISpec
internal import Serving

struct StatsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats", abstract: "Show what services use, anew each second until interrupted.",
        discussion: """
            CPU is of one processor: 200% is two. Where the host has no memory controller for cgroup v2, memory is the sum of what \
            each process holds, marked with ~, which counts shared pages more than once.
            """)

    @Flag(help: "Print one reading and end.")
    var noStream = false

    @OptionGroup var list: ListOptions

    @Argument(help: "Names of services; by default all that run.")
    var services: [String] = []

    func run() async throws {
        let host = try ModelHost()
        var before = try sample(host)
        // A rate needs two looks; the first is short, so that --no-stream answers soon.
        var pause = Duration.milliseconds(250)
        while true {
            try await Task.sleep(for: pause)
            let after = try sample(host)
            let earlier = Dictionary(before.map { ($0.replica, $0) }, uniquingKeysWith: { first, _ in first })
            let rows = after.map { row($0, before: earlier[$0.replica]) }
            try show(rows)
            if noStream { return }
            before = after
            pause = .seconds(1)
        }
    }

    private struct Sample {
        let service: String
        let replica: String
        let time: ContinuousClock.Instant
        let statistics: CgroupStatistics
        let processes: [Int32]
    }

    private func sample(_ host: ModelHost) throws -> [Sample] {
        try host.runningReplicas(of: services).compactMap { replica in
            let cgroup = Cgroup(path: replica.cgroup)
            // A replica may end between two looks.
            guard let statistics = try? cgroup.statistics(), let processes = try? cgroup.processes() else { return nil }
            return Sample(
                service: replica.service, replica: replica.id.rawValue, time: .now, statistics: statistics,
                processes: processes)
        }
    }

    private func row(_ sample: Sample, before: Sample?) -> JSON {
        var object = JSONObject([("service", .string(sample.service)), ("replica", .string(sample.replica))])
        if let cpu = sample.statistics.cpu, let earlier = before?.statistics.cpu, let before {
            let elapsed = (sample.time - before.time).fractionalSeconds
            if elapsed > 0 {
                object["cpuPercent"] = .number(Double(cpu.usage &- earlier.usage) / elapsed / 10_000)
            }
            if let periods = cpu.periods, let then = earlier.periods, let throttled = cpu.throttledPeriods,
                let throttledThen = earlier.throttledPeriods
            {
                let share = periods > then ? Double(throttled - throttledThen) / Double(periods - then) * 100 : 0
                object["throttledPercent"] = .number(share)
            }
        }
        if let memory = sample.statistics.memory {
            object["memory"] = .integer(Int64(memory.working))
            object["memoryPeak"] = memory.peak.map { .integer(Int64($0)) }
            object["memoryLimit"] = memory.limit.map { .integer(Int64(clamping: $0)) }
            object["anonymous"] = memory.details["anon"].map { .integer(Int64($0)) }
            object["file"] = memory.details["file"].map { .integer(Int64($0)) }
            object["shared"] = memory.details["shmem"].map { .integer(Int64($0)) }
        } else {
            object["memoryOfProcesses"] = .integer(
                sample.processes.reduce(0) { $0 + (ProcessTable.row($1)?.resident ?? 0) })
        }
        object["processes"] = .integer(Int64(sample.processes.count))
        object["pids"] = sample.statistics.pids.map { .integer(Int64($0.current)) }
        return .object(object)
    }

    private func show(_ rows: [JSON]) throws {
        let redraws = !noStream && Terminal.isTerminal(STDOUT_FILENO) && list.format == nil && list.output == .table
        if redraws { Output.text("\u{1B}[H\u{1B}[J") }
        try list.show(
            rows, name: { $0["service"]?.string ?? "" },
            titles: ["SERVICE", "REPLICA", "CPU%", "THROTTLED%", "MEMORY", "LIMIT", "PROCESSES"]
        ) { row in
            let memory =
                row["memory"]?.int.map { HumanUnits.binary(Int64($0)) }
                ?? row["memoryOfProcesses"]?.int.map { "~" + HumanUnits.binary(Int64($0)) } ?? "-"
            return [
                row["service"]?.string ?? "", row["replica"]?.string ?? "",
                row["cpuPercent"]?.double.map { HumanUnits.fixed($0, 1) } ?? "-",
                row["throttledPercent"]?.double.map { HumanUnits.fixed($0, 1) } ?? "-", memory,
                row["memoryLimit"]?.int.map { HumanUnits.binary(Int64($0)) } ?? "-",
                "\(row["pids"]?.int ?? row["processes"]?.int ?? 0)",
            ]
        }
    }
}
