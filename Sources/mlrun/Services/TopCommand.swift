import ArgumentParser
internal import Container
internal import MLRun
internal import OCISpec
internal import Serving

struct TopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top", abstract: "List the processes of services, as the host sees them.")

    @OptionGroup var list: ListOptions

    @Argument(help: "Names of services; by default all that run.")
    var services: [String] = []

    func run() throws {
        var rows: [JSON] = []
        for replica in try ModelHost().runningReplicas(of: services) {
            for pid in try Cgroup(path: replica.cgroup).processes().sorted() {
                guard let process = ProcessTable.row(pid) else { continue }
                rows.append([
                    "service": .string(replica.service), "replica": .string(replica.id.rawValue),
                    "pid": .integer(Int64(pid)), "ppid": .integer(Int64(process.parent)),
                    "uid": .integer(Int64(process.uid)), "threads": .integer(Int64(process.threads)),
                    "cpuSeconds": .number(process.cpuSeconds), "resident": .integer(process.resident),
                    "command": .string(process.command),
                ])
            }
        }
        try list.show(
            rows, name: { "\($0["pid"]?.int ?? 0)" },
            titles: ["SERVICE", "PID", "PPID", "UID", "THREADS", "CPU", "RESIDENT", "COMMAND"]
        ) { row in
            [
                row["service"]?.string ?? "", "\(row["pid"]?.int ?? 0)", "\(row["ppid"]?.int ?? 0)",
                "\(row["uid"]?.int ?? 0)", "\(row["threads"]?.int ?? 0)",
                "\(HumanUnits.fixed(row["cpuSeconds"]?.double ?? 0, 2)) s",
                HumanUnits.binary(Int64(row["resident"]?.int ?? 0)), row["command"]?.string ?? "",
            ]
        }
    }
}
