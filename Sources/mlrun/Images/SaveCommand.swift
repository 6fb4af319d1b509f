public import ArgumentParser
internal import Glibc
public import ImageStore
internal import LinuxSystem
internal import MLRun

struct SaveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "save", abstract: "Write images into an archive.",
        discussion: """
            oci-archive keeps every digest; docker-archive is what `docker load` takes: it keeps the image ID, and holds \
            layers uncompressed. Layers that the store did not keep (pull --keep-blobs) are read again from where the image \
            came from, and verified. Nothing is ever compressed anew.

              mlrun save -o models.oci registry.example/chat:v1 registry.example/embed:v2
              mlrun save --format docker-archive registry.example/chat:v1 | ssh host docker load
            """)

    @Option(
        name: [.customShort("o"), .long],
        help: ArgumentHelp(
            "Where to write it; by default standard output, unless that is a terminal.", valueName: "file"))
    var output: String?

    @Option(help: ArgumentHelp("The kind of archive.", valueName: "format"))
    var format = ImageArchiveFormat.ociArchive

    @Flag(name: [.short, .long], help: "Show no progress.")
    var quiet = false

    @Argument(help: "References, digests or image IDs.")
    var images: [String]

    func validate() throws {
        if images.isEmpty { throw ValidationError("name at least one image") }
    }

    func run() async throws {
        if output == nil, Terminal.isTerminal(STDOUT_FILENO) {
            throw CommandFailure(
                "an archive is not written to a terminal", remedy: "name a file with -o, or pass it on by a pipe")
        }
        let host = try ModelHost()
        let display = ProgressDisplay.chosen(quiet: quiet, json: false)
        if let output {
            try await host.save(images, format: format, toFile: output) { display.show($0) }
        } else {
            let copy = SharedDescriptor(taking: dup(STDOUT_FILENO))
            try await host.save(images, format: format, to: copy, path: "standard output") { display.show($0) }
        }
    }
}

extension ImageArchiveFormat: ExpressibleByArgument {}
