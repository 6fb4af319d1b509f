// Serves a model from a Swift program: pull with progress, start, observe, stop.
//
//     swift run Embed oci-archive:model.oci

import MLRun
import OCISpec
import Serving

@main
enum Embed {
    static func main() async throws {
        guard let reference = CommandLine.arguments.dropFirst().first else {
            print("usage: Embed IMAGE")
            return
        }
        let host = try ModelHost()

        var pulled: PulledImage?
        for try await event in host.pull(reference) {
            switch event {
            case .resolved(let image): print("resolved \(image.reference) to \(image.manifestDigest)")
            case .progress(let layer): print("layer \(layer.layer.short): \(layer.received) of \(layer.total) bytes")
            case .finished(let image): pulled = image
            }
        }
        guard let image = pulled?.image else { return }

        var settings = ServiceSettings(
            name: "embedded",
            image: ServiceSettings.ImageIdentity(
                reference: image.reference, manifestDigest: image.manifestDigest, configDigest: image.config))
        settings.ports = [try PublishedPort(parsing: "127.0.0.1:0:8000")]
        settings.limitPolicy = .bestEffort

        let watching = Task {
            for try await event in host.events() { print("event \(event.text())") }
        }
        let service = try await host.start(settings)
        print("serving at \(service["urls"]?.text() ?? "no port")")

        try await host.stop("embedded")
        try await host.remove("embedded")
        watching.cancel()
    }
}
