import ArgumentParser
internal import MLRun
internal import OCISpec
internal import Serving

struct EventsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "events", abstract: "Show what happens to services, until interrupted.")

    @Option(
        help: ArgumentHelp(
            "Begin with what happened since then: 10m for ten minutes ago, a date, or a time such as 2026-11-23T04:46:17Z.",
            valueName: "time"))
    var since: String?

    @Flag(inversion: .prefixedNo, help: "Go on with what happens from now on.")
    var follow = true

    @Option(
        name: [.customShort("o"), .long],
        help: ArgumentHelp("How to print: text, or json with an event on each line.", valueName: "format"))
    var output = TextOrJSON.text

    @Argument(help: "Names; by default all services.")
    var services: [String] = []

    func run() async throws {
        let wanted = Set(services)
        let output = self.output
        let since = try since.map { try Timestamp(parsing: $0, now: .now).nanoseconds }
        let request = ControlRequest.events(name: nil, since: since, follow: follow)
        _ = try await ModelHost().ask(request, startsSupervisor: true) { event in
            if !wanted.isEmpty, !wanted.contains(event["service"]?.string ?? "") { return true }
            Output.line(output == .json ? event.text() : Self.line(event))
            return true
        }
    }

    private static func line(_ event: JSON) -> String {
        let time = event["time"]?.int.map { Timestamp(nanoseconds: Int64($0)).description }
        let words = [time, event["service"]?.string, event["kind"]?.string, event["text"]?.string]
        return ShownText.lines(words.compactMap { $0 }.joined(separator: " "))
    }
}
