import LinuxSystem
import OCISpec
import Testing

@testable import ImageStore

@Suite("measuring the store")
struct StoreUsageTests {
    @Test("shared layers count once, and what only an unused image has can be had back")
    func sharing() throws {
        let test = try TestStore()
        let (base, own, other) = try (test.plantLayer("base"), test.plantLayer("own"), test.plantLayer("other"))
        let stray = try test.plantLayer("stray")
        let used = try test.plantImage("used", layers: [base, own], command: "/bin/used")
        try test.plantImage("alias", layers: [base, own], command: "/bin/used")
        let unused = try test.plantImage("unused", layers: [base, other, base], command: "/bin/unused")
        var uses = ImageUses()
        uses.add(used.manifestDigest, by: "the service chat")
        let usage = try test.store.usage(uses: uses)
        func image(_ record: ImageRecord) -> StoreUsage.Image? { usage.images.first { $0.config == record.config } }
        #expect(usage.images.count == 2)
        #expect(image(used)?.references == ["docker.io/library/alias:latest", "docker.io/library/used:latest"])
        #expect(image(used)?.users == ["the service chat"] && image(unused)?.users == [])
        for record in [used, unused] {
            #expect(image(record)?.size == 16384 && image(record)?.sharedSize == 8192)
            #expect(image(record)?.uniqueSize == 8192)
        }
        #expect(usage.layerSize == 4 * 8192 && usage.reclaimable == 2 * 8192)
        func layer(_ record: LayerRecord) -> StoreUsage.Layer? { usage.layers.first { $0.digest == record.digest } }
        #expect(layer(base)?.images.count == 2 && layer(base)?.isUsed == true)
        #expect(layer(stray)?.images == [] && layer(stray)?.isUsed == false)
        #expect(usage.documents > 0 && usage.unfinished == 0)
        // The figure keeps its word.
        let removal = try test.store.prune(all: true, uses: uses, grace: 0)
        #expect(removal.freedBytes == usage.reclaimable)
        #expect(Set(removal.deletedLayers) == [other.digest, stray.digest])
        #expect(try test.store.usage(uses: uses).reclaimable == 0)
    }

    @Test("an empty store takes nothing")
    func empty() throws {
        let test = try TestStore()
        #expect(try test.store.usage() == StoreUsage())
    }
}
