import ArgumentParser
internal import ImageStore
internal import MLRun
internal import OCISpec

struct SystemDfCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "df", abstract: "Show what images, containers and logs take on the disk.",
        discussion: """
            Sizes are those on the disk. What `mlrun system prune --all` would free is reclaimable: layers, and kept blobs, that no \
            image in use needs, and what containers wrote whose programs were killed.
            """)

    @Flag(name: [.short, .long], help: "Show each image, layer, container and log.")
    var verbose = false

    @Option(
        name: [.customShort("o"), .long],
        help: ArgumentHelp("How to print it: text, or json, which always shows everything.", valueName: "format"))
    var output = TextOrJSON.text

    func run() throws {
        let usage = try ModelHost().diskUsage()
        if output == .json { return Output.json(Self.json(usage)) }
        Output.text(Self.summary(usage).text)
        if verbose {
            for (title, table) in Self.details(usage) { Output.text("\n\(title):\n\n\(table.text)") }
        }
    }

    private static func summary(_ usage: DiskUsage) -> Table {
        let store = usage.store
        var table = Table(["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"])
        func add(_ type: String, _ total: Int, _ active: Int, _ size: Int64, _ reclaimable: Int64) {
            let share = size > 0 ? " (\(reclaimable * 100 / size)%)" : ""
            table.add([
                type, "\(total)", "\(active)", HumanUnits.bytes(size), HumanUnits.bytes(reclaimable) + share,
            ])
        }
        func bytes(_ layers: [StoreUsage.Layer], _ size: (StoreUsage.Layer) -> Int64) -> Int64 {
            layers.reduce(0) { $0 + size($1) }
        }
        let (named, unnamed) = (store.layers.filter { !$0.images.isEmpty }, store.layers.filter { $0.images.isEmpty })
        let kept = store.layers.filter { $0.keptBlob > 0 }
        add(
            "Images", store.images.count, store.images.count { !$0.users.isEmpty }, bytes(named) { $0.size },
            bytes(named.filter { !$0.isUsed }) { $0.size })
        add("Layers without image", unnamed.count, 0, bytes(unnamed) { $0.size }, bytes(unnamed) { $0.size })
        add(
            "Kept blobs", kept.count, kept.count(where: \.isUsed), store.keptBlobSize,
            bytes(kept.filter { !$0.isUsed }) { $0.keptBlob })
        add(
            "Containers", usage.containers.count, usage.containers.count(where: \.isRunning),
            usage.containers.reduce(0) { $0 + $1.size }, usage.abandoned)
        add("Logs", usage.logs.count, usage.logs.count, usage.logs.reduce(0) { $0 + $1.size }, 0)
        return table
    }

    private static func details(_ usage: DiskUsage) -> [(String, Table)] {
        var images = Table(["REFERENCE", "IMAGE ID", "PULLED", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "USED BY"])
        for image in usage.store.images {
            images.add([
                image.references.isEmpty
                    ? ImageRecord.untagged : image.references.map(familiar).joined(separator: ", "),
                image.config.short, HumanUnits.ago(image.pulledAt), HumanUnits.bytes(image.size),
                HumanUnits.bytes(image.sharedSize), HumanUnits.bytes(image.uniqueSize),
                image.users.joined(separator: ", "),
            ])
        }
        var layers = Table(["LAYER", "SIZE", "KEPT BLOB", "IMAGES", "IN USE"])
        for layer in usage.store.layers {
            layers.add([
                layer.digest.short, HumanUnits.bytes(layer.size), HumanUnits.bytes(layer.keptBlob),
                layer.images.map(\.short).joined(separator: ", "), layer.isUsed ? "yes" : "no",
            ])
        }
        var containers = Table(["CONTAINER", "SERVICE", "SIZE", "STATUS"])
        for container in usage.containers {
            containers.add([
                container.name, container.service ?? "", HumanUnits.bytes(container.size),
                container.isRunning ? "running" : container.service == nil ? "abandoned" : "stopped",
            ])
        }
        var logs = Table(["SERVICE", "LOG SIZE"])
        for log in usage.logs { logs.add([log.service, HumanUnits.bytes(log.size)]) }
        return [("Images", images), ("Layers", layers), ("Containers", containers), ("Logs", logs)]
    }

    private static func familiar(_ reference: String) -> String {
        (try? ImageReference(parsing: reference))?.familiar ?? reference
    }

    private static func json(_ usage: DiskUsage) -> JSON {
        let store = usage.store
        let images = store.images.map { image -> JSON in
            [
                "id": .string(image.config.description), "references": .array(image.references.map(JSON.string)),
                "pulledAt": .integer(image.pulledAt), "size": .integer(image.size),
                "sharedSize": .integer(image.sharedSize), "uniqueSize": .integer(image.uniqueSize),
                "usedBy": .array(image.users.map(JSON.string)),
            ]
        }
        let layers = store.layers.map { layer -> JSON in
            [
                "digest": .string(layer.digest.description), "size": .integer(layer.size),
                "keptBlobSize": .integer(layer.keptBlob),
                "images": .array(layer.images.map { .string($0.description) }), "inUse": .bool(layer.isUsed),
            ]
        }
        let containers = usage.containers.map { container -> JSON in
            [
                "name": .string(container.name), "service": container.service.map(JSON.string) ?? .null,
                "size": .integer(container.size), "running": .bool(container.isRunning),
            ]
        }
        let logs = usage.logs.map { log -> JSON in
            ["service": .string(log.service), "size": .integer(log.size)]
        }
        return [
            "images": .array(images), "layers": .array(layers), "containers": .array(containers),
            "logs": .array(logs), "layerSize": .integer(store.layerSize), "keptBlobSize": .integer(store.keptBlobSize),
            "documentSize": .integer(store.documents), "unfinishedSize": .integer(store.unfinished),
            "reclaimable": .integer(store.reclaimable + usage.abandoned),
        ]
    }
}
