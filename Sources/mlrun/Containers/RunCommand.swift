import ArgumentParser
internal import Container
internal import MLRun
internal import OCISpec
internal import Serving

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Run a command in a new container in the foreground; ends with the command's exit code.",
        discussion: """
            The container needs no mlrund and is forgotten when it ends, with what it wrote. Its published ports lead to it as \
            long as it runs; requests that come before it listens are answered with 502. Options stand before the image; what \
            follows it is the command:
              mlrun run --rm -it debian:12 bash
              mlrun run --rm -p 8000 model:v1
            """)

    @Flag(help: "Accepted as Docker writes it: what runs in the foreground is always removed when it ends.")
    var rm = false

    @OptionGroup var attachment: AttachOptions
    @OptionGroup var options: StartOptions
    @OptionGroup var pulling: PullOptions

    @Option(
        help: ArgumentHelp(
            "When to ask the registry: if the image is missing here, always, or never.", valueName: "when"))
    var pull = PullPolicy.missing

    @Argument(help: "A reference such as debian:12, or oci:DIR, oci-archive:FILE, docker-archive:FILE.")
    var image: String

    @Argument(parsing: .captureForPassthrough, help: "The command and its arguments, in place of the image's.")
    var arguments: [String] = []

    func run() async throws {
        let streams = try attachment.streams()
        if options.userns == .host { try SealedProgram.enter() }
        let asked = try options.settings(
            image: ServiceSettings.ImageIdentity(reference: "x"), arguments: arguments)
        let trust = try pulling.settings()
        let host = try ModelHost()
        let display = ProgressDisplay.chosen(quiet: pulling.quiet, json: false)
        // A host that cannot give what is asked for says so before gigabytes are pulled; with the image there the start does.
        let pulled = try await host.image(
            image, policy: pull, platform: try pulling.chosenPlatform(), settings: trust,
            beforePull: { () throws(MLRunError) in try host.check(asked) }, report: { display.show($0) })
        let settings = try options.settings(
            image: ServiceSettings.ImageIdentity(
                reference: pulled.image.reference, manifestDigest: pulled.image.manifestDigest,
                configDigest: pulled.image.config),
            arguments: arguments)
        let container = try ForegroundContainer.launch(settings, pulled.image, streams, host.directories)
        for warning in container.warnings { Output.error("mlrun: warning: \(warning)") }
        if !pulling.quiet {
            for port in container.ports { Output.error("mlrun: \(port.shownIP):\(port.hostPort) leads to it") }
        }
        let status: Int32
        do {
            status = try ForegroundSession(process: container.process).wait()
        } catch {
            try? container.remove()
            throw error
        }
        try container.remove()
        throw CommandFailure.ProgramEnded(exitCode: status)
    }
}
