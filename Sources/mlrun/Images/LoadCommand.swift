import ArgumentParser
internal import Glibc
internal import ImageStore
internal import MLRun

struct LoadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "load", abstract: "Bring every image of an archive into the store, with its references.",
        discussion: """
            The archive is an OCI archive or what `docker save` writes, compressed or not. Every digest is verified; when \
            one is wrong nothing of the archive comes in. For one image of several see oci-archive:FILE:TAG of `mlrun pull`.
            """)

    @Option(
        name: [.customShort("i"), .long],
        help: ArgumentHelp("The archive; by default standard input, unless that is a terminal.", valueName: "file"))
    var input: String?

    @Flag(help: "Keep the layers as they are in the archive, so that the images can be saved and pushed without it.")
    var keepBlobs = false

    @Flag(name: [.short, .long], help: "Show no progress.")
    var quiet = false

    func run() async throws {
        if input == nil, Terminal.isTerminal(STDIN_FILENO) {
            throw CommandFailure(
                "an archive is not read from a terminal", remedy: "name a file with -i, or pass it in by a pipe")
        }
        let host = try ModelHost()
        let display = ProgressDisplay.chosen(quiet: quiet, json: false)
        let images = try await host.load(file: input, settings: PullSettings(keepBlobs: keepBlobs)) {
            display.show($0)
        }
        for image in images {
            Output.line(image.reference == ImageRecord.untagged ? image.config.description : image.reference)
        }
    }
}
