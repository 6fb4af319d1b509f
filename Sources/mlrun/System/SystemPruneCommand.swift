import ArgumentParser
internal import Glibc
internal import ImageStore
internal import MLRun
internal import OCISpec
internal import Serving

/// What the commands that remove images in bulk have in common.
struct PruneOptions: ParsableArguments {
    @Flag(name: [.short, .long], help: "Remove every image that nothing uses, not only those without a reference.")
    var all = false

    @Option(
        help: ArgumentHelp(
            "Remove only images that came before a time: until=24h (so long ago), until=2026-01-31T12:00:00Z or "
                + "until=1769860800 (seconds since 1970). Layers that no image needs go whatever their age.",
            valueName: "until=TIME"))
    var filter: [String] = []

    @Option(
        help: ArgumentHelp(
            "How long layers stay that no image needs, for a pull that was cut off to find them again.",
            valueName: "duration"))
    var grace = "10m"

    func removal() throws -> Removal {
        let before = try filter.map { try Self.before($0, now: Int64(time(nil))) }.min()
        let seconds = try Duration(parsing: grace).components.seconds
        return try ModelHost().prune(all: all, before: before, grace: seconds)
    }

    /// The time that a filter names, in seconds since 1970.
    static func before(_ filter: String, now: Int64) throws(CommandFailure) -> Int64 {
        let parts = filter.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0] == "until" else {
            throw CommandFailure(
                "--filter: \"\(filter)\" is no filter of images here", remedy: "write until=24h or until=TIMESTAMP",
                exitCode: 125)
        }
        let text = String(parts[1])
        if let seconds = ImageRecord.seconds(rfc3339: text) { return seconds }
        // As Docker reads it: a bare number is a time, a number with a unit an age.
        if !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let seconds = Int64(text) {
            return seconds
        }
        guard let age = try? Duration(parsing: text) else {
            throw CommandFailure(
                "--filter: until=\(text) is neither an age nor a time",
                remedy: "write an age such as until=24h, a time such as 2026-01-31T12:00:00Z, or seconds since 1970",
                exitCode: 125)
        }
        return now - age.components.seconds
    }
}

struct SystemPruneCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune", abstract: "Remove images, layers and leftovers that nothing needs.",
        discussion: """
            Services, stopped ones too, keep their images, their logs and what they wrote; `mlrun rm` removes them.
            """)

    @OptionGroup var options: PruneOptions

    @Flag(name: [.short, .long], help: "Do not ask.")
    var force = false

    func run() throws {
        if !force, try !Self.isConfirmed(all: options.all, filtered: !options.filter.isEmpty) { return }
        PruneReport.show(try options.removal())
    }

    private static func isConfirmed(all: Bool, filtered: Bool) throws(CommandFailure) -> Bool {
        guard Terminal.isTerminal(STDIN_FILENO) else {
            throw CommandFailure(
                "mlrun system prune asks before it removes, and standard input is no terminal",
                remedy: "--force removes without asking", exitCode: 1)
        }
        let old = filtered ? ", of those that --filter names" : ""
        Output.text(
            """
            WARNING! This will remove:
              - \(all ? "all images that no service and no container uses" : "all images without a reference")\(old)
              - all layers and blobs that no image needs
              - what pulls and containers left whose programs were killed

            Are you sure you want to continue? [y/N]\u{20}
            """)
        let answer = (readLine() ?? "").lowercased()
        return answer == "y" || answer == "yes"
    }
}

struct PruneCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune", abstract: "Remove what no image and no service needs.",
        discussion: "The same as `mlrun system prune --force`.")

    @OptionGroup var options: PruneOptions

    func run() throws { PruneReport.show(try options.removal()) }
}

/// What a removal of many images prints.
enum PruneReport {
    static func show(_ removal: Removal) {
        for line in removal.lines { Output.line(line) }
        Output.line("freed \(HumanUnits.bytes(removal.freedBytes))")
    }
}
