public import ArgumentParser
internal import MLRun
internal import OCISpec
internal import Serving

struct StartCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "start", abstract: "Serve an image: pull it if need be, start it, wait until it is ready.",
        discussion: """
            Prints the service's name and its URLs. mlrund, which supervises it, is started when it does not run. What follows \
            the image replaces the image's command.

            Probes are auto, none, http:/path[:port], tcp[:port], exec:command or json:/path[:port]#field=value.
            """)

    @OptionGroup var options: StartOptions
    @OptionGroup var pulling: PullOptions

    @Option(help: "When to ask the registry: missing, always or never.")
    var pull = PullPolicy.missing

    @Option(help: ArgumentHelp("How to know that it can take requests.", valueName: "probe"))
    var ready: String?

    @Option(help: ArgumentHelp("How to know that it is alive.", valueName: "probe"))
    var live: String?

    @Option(help: ArgumentHelp("How long it may take to become ready.", valueName: "duration"))
    var startupTimeout: String?

    @Option(help: ArgumentHelp("no, on-failure[:N], always or unless-stopped.", valueName: "policy"))
    var restart: String?

    @Option(help: ArgumentHelp("How long requests may take when it stops.", valueName: "duration"))
    var drainTimeout: String?

    @Flag(inversion: .prefixedNo, help: "Wait until the service is ready.")
    var wait = true

    @Flag(help: "Print how long each step took.")
    var timing = false

    @Option(name: [.customShort("o"), .long], help: "text or json.")
    var output = TextOrJSON.text

    @Argument(help: "A reference, or oci:DIR, oci-archive:FILE, docker-archive:FILE, - (see `mlrun pull --help`).")
    var image: String

    @Argument(parsing: .captureForPassthrough, help: "The command and its arguments, in place of the image's.")
    var arguments: [String] = []

    func run() async throws {
        // Everything that can be wrong with the options is said before anything is pulled.
        _ = try settings(image: ServiceSettings.ImageIdentity(reference: "x"))
        let host = try ModelHost()
        let display = ProgressDisplay.chosen(quiet: pulling.quiet, json: false)
        let pulled = try await host.image(image, policy: pull, platform: try pulling.chosenPlatform()) {
            display.show($0)
        }
        let identity = ServiceSettings.ImageIdentity(
            reference: pulled.image.reference, manifestDigest: pulled.image.manifestDigest,
            configDigest: pulled.image.config)
        let taken = Set(try ServiceFiles.names(host.directories))
        let quiet = pulling.quiet || output == .json
        let service = try await host.start(
            try settings(image: identity, taken: taken.contains), untilReady: wait, pulled: pulled.timing
        ) { event in
            if !quiet { ServiceText.narrate(event) }
        }
        if output == .json { return Output.json(service) }
        for line in ServiceText.started(service) { Output.line(line) }
        if timing { for line in ServiceText.timing(service) { Output.line(line) } }
    }

    private func settings(
        image: ServiceSettings.ImageIdentity, taken: (String) -> Bool = { _ in false }
    ) throws -> ServiceSettings {
        var settings = try options.settings(image: image, arguments: arguments, taken: taken)
        if let ready { settings.ready = try Probe(parsing: ready) }
        if let live { settings.live = try Probe(parsing: live) }
        if let startupTimeout { settings.startupTimeout = try Duration(parsing: startupTimeout) }
        if let restart { settings.restart = try RestartPolicy(parsing: restart) }
        if let drainTimeout { settings.drainTimeout = try Duration(parsing: drainTimeout) }
        return settings
    }
}

extension PullPolicy: ExpressibleByArgument {}
