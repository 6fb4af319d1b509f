import LinuxSystem
import MLRun
import Testing

@Suite("Images from layouts")
struct ImportTests {
    private let image = TestImage(layers: ["weights", "server"])

    @Test("an image comes out of a layout, each layer through its phases in order, the image last")
    func layout() async throws {
        let test = try TestHost()
        try image.write(to: "\(test.path)/layout")
        var phases: [OCISpec.Digest: [PullProgress.Phase]] = [:]
        var finished: PulledImage?
        for try await event in test.host.pull("oci:\(test.path)/layout:v1") {
            #expect(finished == nil, "nothing follows the end")
            switch event {
            case .resolved: break
            case .progress(let progress):
                #expect((0...progress.total).contains(progress.received))
                phases[progress.layer, default: []].append(progress.phase)
            case .finished(let pulled): finished = pulled
            }
        }
        let order: [PullProgress.Phase] = [.waiting, .pulling, .verifying, .done]
        #expect(Set(phases.keys) == Set(image.layers.map(\.digest)))
        for heard in phases.values {
            let places = heard.compactMap(order.firstIndex)
            #expect(places.count == heard.count && places == places.sorted() && heard.last == .done)
        }
        let pulled = try #require(finished)
        #expect(pulled.image.manifestDigest == image.manifest.digest)
        #expect(pulled.image.layers.map(\.digest) == image.layers.map(\.digest))
        #expect(pulled.timing.received == image.layers.reduce(0) { $0 + $1.size })
        #expect(try test.host.store.images().map(\.manifestDigest) == [image.manifest.digest])
    }

    @Test("a damaged layer is named with both digests and leaves nothing behind")
    func damaged() async throws {
        let test = try TestHost()
        let broken = image.damaged(layer: 1)
        try broken.write(to: "\(test.path)/layout")
        let error = try #require(await failure { try await test.host.bring("oci:\(test.path)/layout:v1") })
        let stated = image.layers[1].digest.description
        let actual = TestImage.digest(try #require(broken.blobs[stated])).description
        #expect(error.code == .storeFailed)
        #expect(error.message.contains(stated) && error.message.contains(actual), "\(error.message)")
        #expect(error.remedy != nil && error.underlying is StoreError)
        #expect(try test.residue() == [])
    }

    @Test(
        "what cannot be found or read is an error with a code, a remedy and Docker's exit code",
        arguments: [
            ("oci:/nowhere/at/all", MLRunError.Code.storeFailed), ("Not A Name", .invalidArgument),
            ("127.0.0.1:1/team/app:v1", .pullFailed),
        ])
    func refused(reference: String, code: MLRunError.Code) async throws {
        let test = try TestHost()
        let error = try #require(await failure { try await test.host.bring(reference) })
        #expect(error.code == code, "\(error)")
        #expect(error.exitCode == 125 && error.remedy != nil)
        #expect(error.description.contains(error.message))
    }
}
