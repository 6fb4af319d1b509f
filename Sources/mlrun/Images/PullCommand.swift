import ArgumentParser
internal import MLRun
internal import OCISpec
internal import Trust

/// What every command that may pull needs to know.
struct PullOptions: ParsableArguments {
    @Flag(name: [.short, .long], help: "Show no progress.")
    var quiet = false

    @Option(
        help: ArgumentHelp(
            "Which image of an index, such as linux/amd64; by default this machine's.", valueName: "os/arch"))
    var platform: String?

    @Flag(
        help:
            "Keep the layers as they were transported, beside what is made of them, so that the image can be saved and pushed without its registry."
    )
    var keepBlobs = false

    @Option(
        help: ArgumentHelp(
            "Demand a cosign signature by this public key (PEM, ECDSA P-256 or Ed25519), whatever the policy says; repeated, by one of them.",
            valueName: "file"))
    var verifyKey: [String] = []

    /// Reads the keys: what is wrong with them is said before anything is pulled.
    func settings() throws -> PullSettings {
        PullSettings(keepBlobs: keepBlobs, verificationKeys: try verifyKey.map { try VerificationKey(file: $0) })
    }

    func chosenPlatform() throws -> Platform {
        guard let platform else { return .host }
        guard let parsed = Platform(parsing: platform) else {
            throw CommandFailure(
                "--platform: \"\(platform)\" is not of the form os/architecture[/variant]", exitCode: 125)
        }
        return parsed
    }
}

struct PullCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pull", abstract: "Bring an image into the store.",
        discussion: """
            The source is a registry (host[:port]/repository:tag or @sha256:…), an OCI layout (oci:DIR[:tag]), an archive \
            (oci-archive:FILE[:tag], docker-archive:FILE[:reference]), or - for an archive on standard input. Every blob is \
            verified; a wrong one stops the pull and leaves nothing behind.

            The policy in /etc/mlrun/policy.json (or MLRUN_POLICY) says which images may come in: for registries, \
            repositories and local files accept, reject, or signed by certain keys. What is not signed as it must be never \
            reaches the store.
            """)

    @OptionGroup var options: PullOptions

    @Option(
        name: [.customShort("o"), .long],
        help: ArgumentHelp("How to print progress: text, or json with an event on each line.", valueName: "format"))
    var output = TextOrJSON.text

    @Argument(help: "A reference such as registry.example/chat:v1, or one of the sources above.")
    var image: String

    func run() async throws {
        let settings = try options.settings()
        let host = try ModelHost()
        let display = ProgressDisplay.chosen(quiet: options.quiet, json: output == .json)
        let pulled = try await host.bring(image, platform: try options.chosenPlatform(), settings: settings) {
            display.show($0)
        }
        if output == .json { return }
        if !options.quiet {
            Output.error(
                pulled.wasUpToDate
                    ? "\(pulled.image.reference) is up to date"
                    : "\(pulled.image.reference) is there: \(HumanUnits.bytes(pulled.timing.received)) received")
        }
        Output.line(pulled.image.reference)
    }
}

enum TextOrJSON: String, ExpressibleByArgument, CaseIterable {
    case text, json
}
