import ArgumentParser
internal import ImageStore
internal import MLRun
internal import OCISpec

struct RmiCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rmi", abstract: "Remove images, and the layers nothing else needs.")

    @Flag(
        name: [.short, .long],
        help: "Remove an image by its ID although it has several references, or although a service uses it.")
    var force = false

    @Argument(help: "References, digests or image IDs.")
    var images: [String]

    func run() async throws {
        let host = try ModelHost()
        let inUse = try host.digestsInUse()
        try await forEach(images) { image in
            for line in try host.store.remove(image, force: force, inUse: inUse).lines { Output.line(line) }
        }
    }
}

struct PruneCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune", abstract: "Remove what no image and no service needs.")

    @Flag(name: [.short, .long], help: "Remove every image that no service uses, not only those without a reference.")
    var all = false

    func run() throws {
        let host = try ModelHost()
        let removal = try host.store.prune(all: all, inUse: host.digestsInUse())
        for line in removal.lines { Output.line(line) }
        Output.line("freed \(HumanUnits.bytes(removal.freedBytes))")
    }
}

extension Removal {
    fileprivate var lines: [String] {
        untagged.map { "untagged: \($0)" } + deletedImages.map { "deleted: \($0)" }
            + deletedLayers.map { "deleted layer: \($0)" }
    }
}
