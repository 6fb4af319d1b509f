import ArgumentParser
internal import ImageStore
internal import MLRun
internal import OCISpec

struct RmiCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rmi", abstract: "Remove images, and the layers nothing else needs.")

    @Flag(
        name: [.short, .long],
        help:
            "Remove an image by its ID although it has several references, or although a service or container uses it.")
    var force = false

    @Argument(help: "References, digests or image IDs.")
    var images: [String]

    func run() async throws {
        let host = try ModelHost()
        let uses = try host.imageUses()
        try await forEach(images) { image in
            for line in try host.store.remove(image, force: force, uses: uses).lines { Output.line(line) }
        }
    }
}

extension Removal {
    /// One line for each thing that is gone.
    var lines: [String] {
        untagged.map { "untagged: \($0)" } + deletedImages.map { "deleted: \($0)" }
            + deletedLayers.map { "deleted layer: \($0)" }
    }
}
