import ArgumentParser
internal import MLRun

struct TagCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tag", abstract: "Give an image another reference.",
        discussion: "An image that had the reference before is left untagged, until it is removed or pruned.")

    @Argument(help: "A reference, digest or image ID.")
    var image: String

    @Argument(help: "The new reference, such as registry.example/chat:v1.")
    var reference: String

    func run() throws { try ModelHost().tag(image, as: reference) }
}
