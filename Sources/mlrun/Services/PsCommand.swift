import ArgumentParser
internal import LinuxSystem
internal import MLRun
internal import OCISpec
internal import Serving

struct PsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ps", abstract: "List services: those that run, or with --all every one.")

    @Flag(name: [.short, .long], help: "Also those that are stopped or have failed.")
    var all = false

    @OptionGroup var list: ListOptions

    func run() async throws {
        let host = try ModelHost()
        let services = try await host.services()
        let shown = services.filter { all || !["stopped", "failed"].contains($0["status"]?.string) }
        try list.show(
            shown, name: { $0["name"]?.string ?? "" },
            titles: ["NAME", "STATE", "READY", "IMAGE", "PORTS", "UP", "RESTARTS"]
        ) { service in
            let image = service["image"]?.string ?? ""
            let runs = !["stopped", "failed", "pending", "crashloop"].contains(service["status"]?.string)
            let up = (runs ? service["startedAt"]?.int : nil).map {
                HumanUnits.roughly(max(0, Clock.seconds - Int64($0) / 1_000_000_000))
            }
            return [
                service["name"]?.string ?? "", service["status"]?.string ?? "",
                "\(service["ready"]?.int ?? 0)/\(service["replicas"]?.int ?? 0)",
                (try? ImageReference(parsing: image))?.familiar ?? image,
                ServiceText.ports(service), up ?? "",
                "\(service["restarts"]?.int ?? 0)",
            ]
        }
    }
}
