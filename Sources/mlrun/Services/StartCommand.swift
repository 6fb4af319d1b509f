public import ArgumentParser
internal import MLRun
internal import OCISpec
internal import Serving

struct StartCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "start", abstract: "Serve an image: pull it if need be, start it, wait until it is ready.",
        discussion: """
            Prints the service's name and its URLs. mlrund, which supervises it, is started when it does not run.

            Options stand before the image; what follows it replaces the image's command:
              mlrun start --name chat -p 8000 --memory 4G registry.example/chat:v1 --threads 8

            Probes are auto (tried by what the server answers), none, http:/path[:port], tcp[:port], exec:command or \
            json:/path[:port]#field=value. Durations are written 500ms, 30s, 1m30s or 2h; a bare number is seconds.
            """)

    @OptionGroup var options: StartOptions
    @OptionGroup var pulling: PullOptions

    @Option(
        help: ArgumentHelp(
            "When to ask the registry: if the image is missing here, always, or never.", valueName: "when"))
    var pull = PullPolicy.missing

    @Option(help: ArgumentHelp("How to know that it can take requests. (default: auto)", valueName: "probe"))
    var ready: String?

    @Option(
        help: ArgumentHelp(
            "How to know that it is not stuck; it is restarted when it is. (default: auto)", valueName: "probe"))
    var live: String?

    @Option(
        help: ArgumentHelp(
            "How long it may take to become ready. (default: 1h, or 10m without a sign of progress)",
            valueName: "duration"))
    var startupTimeout: String?

    @Option(
        help: ArgumentHelp(
            "When to start it again after it ended: no, on-failure[:N], always or unless-stopped. (default: unless-stopped)",
            valueName: "policy"))
    var restart: String?

    @Option(
        help: ArgumentHelp(
            "How long requests in flight may take when it is to stop. (default: 2m)", valueName: "duration"))
    var drainTimeout: String?

    @Flag(inversion: .prefixedNo, help: "Wait until it is ready; fail if it does not get there.")
    var wait = true

    @Flag(help: "Print how long each step of the start took.")
    var timing = false

    @Option(name: [.customShort("o"), .long], help: ArgumentHelp("How to print the result.", valueName: "format"))
    var output = TextOrJSON.text

    @Argument(
        help:
            "A reference such as registry.example/chat:v1, or oci:DIR, oci-archive:FILE, docker-archive:FILE, - (see `mlrun pull --help`)."
    )
    var image: String

    @Argument(parsing: .captureForPassthrough, help: "The command and its arguments, in place of the image's.")
    var arguments: [String] = []

    func run() async throws {
        // Everything that can be wrong with the options is said before anything is pulled.
        let asked = try settings(image: ServiceSettings.ImageIdentity(reference: "x"))
        let trust = try pulling.settings()
        let host = try ModelHost()
        let display = ProgressDisplay.chosen(quiet: pulling.quiet, json: false)
        // A host that cannot give what is asked for says so before gigabytes are pulled; with the image there the start does.
        let pulled = try await host.image(
            image, policy: pull, platform: try pulling.chosenPlatform(), settings: trust,
            beforePull: { () throws(MLRunError) in try host.check(asked) }, report: { display.show($0) })
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
