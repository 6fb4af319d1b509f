import ArgumentParser
internal import ImageStore
internal import MLRun
internal import OCISpec

struct ImagesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "images", abstract: "List the images in the store.")

    @OptionGroup var list: ListOptions

    func run() throws {
        let rows = try ModelHost().store.images().map(Self.row)
        try list.show(
            rows, name: { $0["id"]?.string ?? "" }, titles: ["REFERENCE", "IMAGE ID", "PULLED", "SIZE"]
        ) { row in
            [
                row["reference"]?.string ?? "", String((row["id"]?.string ?? "").dropFirst("sha256:".count).prefix(12)),
                HumanUnits.ago(Int64(row["pulledAt"]?.int ?? 0)), HumanUnits.bytes(Int64(row["size"]?.int ?? 0)),
            ]
        }
    }

    static func row(_ image: ImageRecord) -> JSON {
        let familiar = (try? ImageReference(parsing: image.reference))?.familiar ?? image.reference
        return [
            "reference": .string(familiar), "id": .string(image.config.description),
            "digest": .string(image.manifestDigest.description), "pulledAt": .integer(image.pulledAt),
            "created": image.created.map(JSON.integer) ?? .null, "size": .integer(image.size),
            "layers": .integer(Int64(image.layers.count)), "source": .string(image.source),
            "origin": image.origin?.json ?? .null,
        ]
    }
}
