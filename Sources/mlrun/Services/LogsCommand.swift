import ArgumentParser
internal import Glibc
internal import LinuxSystem
internal import MLRun
internal import OCISpec
internal import Serving

struct LogsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logs", abstract: "Print what a service has written; works also while mlrund does not run.")

    @Flag(name: [.short, .long], help: "Wait for more, until interrupted.")
    var follow = false

    @Option(
        name: [.customShort("n"), .long],
        help: ArgumentHelp("Only the last so many lines; by default all.", valueName: "number"))
    var tail: String?

    @Option(
        help: ArgumentHelp(
            "Only what was written since then: 10m for ten minutes ago, a date, or a time such as 2026-11-23T04:46:17Z.",
            valueName: "time"))
    var since: String?

    @Option(help: ArgumentHelp("Only what was written until then, written alike.", valueName: "time"))
    var until: String?

    @Flag(name: [.short, .long], help: "Print before each line when it was written.")
    var timestamps = false

    @Option(
        name: [.customShort("o"), .long],
        help: ArgumentHelp("How to print: text, or json with a record on each line.", valueName: "format"))
    var output = TextOrJSON.text

    @Argument(help: "The service's name.")
    var service: String

    func run() throws {
        let directories = MLRunDirectories.fromEnvironment()
        let files = ServiceFiles(directories, name: service)
        guard File.exists(files.record) else { throw CommandFailure.noSuchService(service) }
        let reader = LogReader(files.log, try query())
        if follow { try reader.startWatching() }
        var end: Timestamp? = nil
        if let until { end = try Timestamp(parsing: until, now: .now) }
        func show(_ record: LogRecord) -> Bool {
            print(record)
            return true
        }
        try reader.read(show)
        while follow, end.map({ .now < $0 }) ?? true {
            let left = end.map { $0 - .now }
            guard try reader.wait(timeout: left) else { continue }
            if try !reader.readNew(show) { return }
        }
    }

    private func query() throws -> LogQuery {
        var query = LogQuery()
        if let tail, tail != "all" {
            guard let count = Int(tail), count >= 0 else {
                throw CommandFailure("--tail: \"\(tail)\" is no number of lines", remedy: "write a number, or all")
            }
            query.tail = count
        }
        if let since { query.since = try Timestamp(parsing: since, now: .now) }
        if let until { query.until = try Timestamp(parsing: until, now: .now) }
        return query
    }

    private func print(_ record: LogRecord) {
        if output == .json { return Output.line(record.json.text()) }
        let text = (timestamps ? "\(record.time) " : "") + record.message + (record.isPartial ? "" : "\n")
        Output.write(text, to: record.stream == .stdout ? STDOUT_FILENO : STDERR_FILENO)
    }
}

extension CommandFailure {
    static func noSuchService(_ name: String) -> CommandFailure {
        CommandFailure("there is no service \(name)", remedy: "`mlrun ps --all` lists them")
    }
}
