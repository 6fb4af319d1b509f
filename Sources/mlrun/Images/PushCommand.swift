import ArgumentParser
internal import MLRun
internal import OCISpec

struct PushCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "push", abstract: "Bring an image from the store into a registry.",
        discussion: """
            Every digest stays as it is. Layers that the store did not keep (pull --keep-blobs) are streamed from where the \
            image came from; those that the registry has already, in this or another repository, are not sent.

            An image that was chosen from an index is pushed for this platform alone, unless --all-platforms copies the \
            whole index from the registry it came from.
            """)

    @Flag(name: [.short, .long], help: "Show no progress.")
    var quiet = false

    @Flag(help: "Push the index that the image was chosen from, with the images of all its platforms.")
    var allPlatforms = false

    @Option(
        name: [.customShort("o"), .long],
        help: ArgumentHelp("How to print progress: text, or json with an event on each line.", valueName: "format"))
    var output = TextOrJSON.text

    @Argument(help: "A reference, digest or image ID.")
    var image: String

    @Argument(help: "What to call it there; by default its reference.")
    var destination: String?

    func run() async throws {
        let host = try ModelHost()
        let display = ProgressDisplay.chosen(quiet: quiet, json: output == .json)
        let pushed = try await host.push(image, to: destination, allPlatforms: allPlatforms) { event in
            if case .progress(let progress) = event { display.show(progress) }
        }
        if output == .json {
            return Output.line(
                JSON.object(
                    JSONObject([
                        ("event", "finished"), ("reference", .string(pushed.reference)),
                        ("digest", .string(pushed.digest.description)), ("uploaded", .integer(Int64(pushed.uploaded))),
                        ("mounted", .integer(Int64(pushed.mounted))), ("existed", .integer(Int64(pushed.existed))),
                        ("sent", .integer(pushed.sentBytes)),
                    ])
                ).text())
        }
        if !quiet {
            Output.error(
                "\(pushed.reference) is there: \(HumanUnits.bytes(pushed.sentBytes)) sent, "
                    + "\(pushed.existed + pushed.mounted) of \(pushed.existed + pushed.mounted + pushed.uploaded) blobs "
                    + "were known")
            if pushed.isPartOfIndex {
                Output.error("  only the image for \(Platform.host); --all-platforms pushes its whole index")
            }
        }
        Output.line("\(pushed.reference)@\(pushed.digest)")
    }
}
