import ArgumentParser
internal import ImageStore
internal import MLRun
internal import OCISpec
internal import Serving

struct InspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Print everything that is known of services or images, as JSON.")

    enum Kind: String, ExpressibleByArgument, CaseIterable {
        case service, image
    }

    @Option(help: ArgumentHelp("Look only for services, or only for images.", valueName: "kind"))
    var type: Kind?

    @Option(
        help: ArgumentHelp(
            "Print each through a Go template, such as '{{.Status}}' or '{{json .Settings}}'.", valueName: "template"))
    var format: String?

    @Flag(
        help:
            "Ask the registries of images what refers to them, such as signatures and lists of materials (referrers API)."
    )
    var referrers = false

    @Argument(help: "Names of services, or references, digests or IDs of images.")
    var names: [String]

    func run() async throws {
        let host = try ModelHost()
        var found: [JSON] = []
        for name in names { found.append(try await inspect(name, host)) }
        if let format, format != "json" {
            Output.text(try FormatTemplate(format).render(found))
        } else {
            Output.json(.array(found))
        }
    }

    private func inspect(_ name: String, _ host: ModelHost) async throws -> JSON {
        if type != .image, let service = try await host.service(name) { return service }
        if type != .service, let image = try host.store.image(name) {
            var description = Self.describe(image)
            if referrers { description["referrers"] = .array(try await host.referrers(of: name).map(Self.describe)) }
            return .object(description)
        }
        let kinds = type.map(\.rawValue) ?? "service or image"
        throw CommandFailure(
            "there is no \(kinds) \(name)", remedy: "`mlrun ps --all` and `mlrun images` list what is there")
    }

    private static func describe(_ referrer: Referrer) -> JSON {
        var object = JSONObject([("subject", .string(referrer.subject.description))])
        for member in referrer.descriptor.json.object?.members ?? [] { object[member.name] = member.value }
        return .object(object)
    }

    private static func describe(_ image: ImageRecord) -> JSONObject {
        let configuration = image.configuration
        var object = JSONObject([
            ("kind", "image"), ("reference", .string(image.reference)), ("id", .string(image.config.description)),
            ("digest", .string(image.manifestDigest.description)),
        ])
        if let index = image.indexDigest { object["indexDigest"] = .string(index.description) }
        object["source"] = .string(image.source)
        object["origin"] = image.origin?.json
        object["pulledAt"] = .integer(image.pulledAt)
        object["created"] = configuration.created.map(JSON.string)
        object["platform"] = .string(configuration.platform.description)
        object["size"] = .integer(image.size)
        object["config"] = [
            "user": .string(configuration.user), "env": .array(configuration.environment.map(JSON.string)),
            "entrypoint": .array(configuration.entrypoint.map(JSON.string)),
            "cmd": .array(configuration.command.map(JSON.string)),
            "workingDir": .string(configuration.workingDirectory),
            "exposedPorts": .array(configuration.exposedPorts.map(JSON.string)),
            "volumes": .array(configuration.volumes.map(JSON.string)), "labels": JSON(configuration.labels),
            "stopSignal": configuration.stopSignal.map(JSON.string) ?? .null,
        ]
        object["layers"] = .array(image.layers.map(\.json))
        return object
    }
}
