import LinuxSystem
import OCISpec
import Testing

@testable import ImageStore

@Suite("removing images")
struct StoreRemovalTests {
    @Test("the last reference takes the image and the layers only it needed with it")
    func lastReference() throws {
        let test = try TestStore()
        let (base, own, other) = try (test.plantLayer("base"), test.plantLayer("own"), test.plantLayer("other"))
        let image = try test.plantImage("app:v1", layers: [base, own])
        try test.plantImage("app:v2", layers: [base, other])
        try test.plantImage("alias", layers: [base, own])
        let first = try test.store.remove("alias")
        #expect(first.untagged == ["docker.io/library/alias:latest"])
        #expect(first.deletedImages == [] && first.deletedLayers == [] && first.freedBytes == 0)
        let second = try test.store.remove("app:v1")
        #expect(second.untagged == ["docker.io/library/app:v1"])
        #expect(second.deletedImages == [image.config])
        #expect(second.deletedLayers == [own.digest])
        #expect(second.freedBytes == 8192)
        #expect(try test.store.layer(own.digest) == nil)
        #expect(try test.store.layer(base.digest) == base)
        #expect(try test.store.blob(image.config) == nil)
        #expect(try test.store.images().map(\.reference) == ["docker.io/library/app:v2"])
        _ = try test.store.remove("app:v2")
        #expect(try test.residue() == [])
    }

    @Test("an ID with several references needs force")
    func byID() throws {
        let test = try TestStore()
        let layer = try test.plantLayer("base")
        let image = try test.plantImage("one", layers: [layer])
        try test.plantImage("two", layers: [layer])
        let name = String(image.config.hex.prefix(12))
        let references = ["docker.io/library/one:latest", "docker.io/library/two:latest"]
        #expect(
            storeError { _ = try test.store.remove(name) } == .image(.severalReferences(name, references: references)))
        let removal = try test.store.remove(name, force: true)
        #expect(removal.untagged.sorted() == references)
        #expect(removal.deletedImages == [image.config])
        #expect(try test.residue() == [])
    }

    @Test("a reference that moves to another image leaves the first untagged, for prune to remove")
    func moved() throws {
        let test = try TestStore()
        let (old, new) = try (test.plantLayer("old"), test.plantLayer("new"))
        let first = try test.plantImage("app", layers: [old])
        let second = try test.plantImage("app", layers: [new])
        #expect(try test.store.image("app") == second)
        let untagged = try #require(try test.store.image(first.config.description))
        #expect(untagged.reference == ImageRecord.untagged)
        let removal = try test.store.prune(all: false)
        #expect(removal.untagged == [])
        #expect(removal.deletedImages == [first.config])
        #expect(removal.deletedLayers == [old.digest])
        #expect(try test.store.images() == [second])
    }

    @Test("an untagged image that gets a reference again is one record, not two")
    func retagged() throws {
        let test = try TestStore()
        let (old, new) = try (test.plantLayer("old"), test.plantLayer("new"))
        try test.plantImage("app", layers: [old])
        try test.plantImage("app", layers: [new])
        try test.plantImage("app:old", layers: [old])
        #expect(
            try test.store.images().map(\.reference).sorted()
                == ["docker.io/library/app:latest", "docker.io/library/app:old"])
    }

    @Test("an image in use is removed only by force, and then keeps all it needs")
    func inUse() throws {
        let test = try TestStore()
        let layer = try test.plantLayer("base")
        let image = try test.plantImage("app", layers: [layer])
        var uses = ImageUses()
        for user in ["the service chat", "the container run-1", "the service chat"] {
            uses.add(image.manifestDigest, by: user)
        }
        let error = try #require(storeError { _ = try test.store.remove("app", uses: uses) })
        #expect(error == .image(.inUse("app", by: ["the container run-1", "the service chat"])))
        #expect(error.description.hasSuffix("it is used by the container run-1, the service chat"))
        let removal = try test.store.remove("app", force: true, uses: uses)
        #expect(removal.untagged == ["docker.io/library/app:latest"])
        #expect(removal.deletedImages == [] && removal.deletedLayers == [])
        #expect(try test.store.image(image.config.description)?.reference == ImageRecord.untagged)
        #expect(try test.store.prune(all: true, uses: uses) == Removal())
        #expect(try test.store.prune(all: true).deletedLayers == [layer.digest])
    }

    @Test("a layer named as in use stays although no image needs it")
    func layerInUse() throws {
        let test = try TestStore()
        let (base, own) = try (test.plantLayer("base"), test.plantLayer("own"))
        try test.plantImage("app", layers: [base, own])
        var uses = ImageUses()
        uses.add(base.digest, by: "the service chat")
        let removal = try test.store.remove("app", uses: uses)
        #expect(removal.deletedLayers == [own.digest])
        #expect(try test.store.layer(base.digest) == base)
    }

    @Test("prune removes layers of interrupted pulls once the grace period is over, never pinned ones")
    func grace() throws {
        let test = try TestStore()
        let fresh = try test.plantLayer("fresh")
        let old = try test.plantLayer("old", age: 700)
        let pinned = try test.plantLayer("pinned", age: 700)
        let fetching = try test.plantLayer("fetching", age: 700)
        let pins = try test.store.pinLayers([pinned.digest])
        let lock = try test.store.lockLayer(fetching.digest)
        #expect(try test.store.prune(all: false).deletedLayers == [old.digest])
        for layer in [fresh, pinned, fetching] { #expect(try test.store.layer(layer.digest) == layer) }
        withExtendedLifetime((pins, lock)) {}
    }

    @Test("prune takes only images that came before a time, where one is given")
    func before() throws {
        let test = try TestStore()
        var old = try test.plantImage("old", layers: [try test.plantLayer("old")], command: "/bin/old")
        let new = try test.plantImage("new", layers: [try test.plantLayer("new")], command: "/bin/new")
        old.pulledAt -= 1000
        try test.store.commit(old)
        #expect(try test.store.prune(all: true, before: old.pulledAt).deletedImages == [])
        #expect(try test.store.prune(all: true, before: new.pulledAt - 1).deletedImages == [old.config])
        #expect(try test.store.images() == [new])
    }

    @Test("the grace period can be shortened and taken away")
    func shorterGrace() throws {
        let test = try TestStore()
        let layer = try test.plantLayer("minute", age: 60)
        let fresh = try test.plantLayer("fresh")
        #expect(try test.store.collectUnreferenced().deletedLayers == [])
        #expect(try test.store.collectUnreferenced(grace: 50).deletedLayers == [layer.digest])
        #expect(try test.store.prune(all: false, grace: 0).deletedLayers == [fresh.digest])
        #expect(try test.residue() == [])
    }

    @Test("prune removes temporary files of the dead, and leaves those that may be at work")
    func temporaries() throws {
        let test = try TestStore()
        let layer = try test.plantLayer("base")
        let image = try test.plantImage("app", layers: [layer])
        let record = test.store.recordFile(of: image)
        let (old, fresh) = ("\(record).0123.tmp", "\(test.store.blobFile(image.config)).4567.tmp")
        for file in [old, fresh] { try File.replace(file, with: [1]) }
        try TestStore.setAge(of: old, 700)
        #expect(try test.store.prune(all: false) == Removal())
        #expect(!File.exists(old) && File.exists(fresh))
        #expect(try test.store.images() == [image])
    }

    @Test("the lock files of layers are gone with the last who holds them")
    func lockFiles() throws {
        let test = try TestStore()
        let digest = ContentHash.sha256(of: [1])
        do {
            let pins = try (test.store.pinLayers([digest]), test.store.pinLayers([digest, digest]))
            let lock = try test.store.lockLayer(digest)
            #expect(try test.residue().count == 2)
            withExtendedLifetime((pins, lock)) {}
        }
        #expect(try test.residue() == [])
    }

    @Test("a layer lock admits one at a time, from any number of threads")
    func exclusion() async throws {
        let test = try TestStore()
        let store = test.store
        let digest = ContentHash.sha256(of: [2])
        let counter = "\(test.path)/counter"
        try File.replace(counter, with: Array("0".utf8), durable: false)
        try await withThrowingTaskGroup { group in
            for _ in 0..<4 {
                group.addTask {
                    for _ in 0..<50 {
                        let lock = try store.lockLayer(digest)
                        let value = try #require(Int(try File.readText(counter)))
                        try File.replace(counter, with: Array(String(value + 1).utf8), durable: false)
                        withExtendedLifetime(lock) {}
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try File.readText(counter) == "200")
        #expect(try test.residue() == [])
    }

    @Test("opening the store removes unfinished files of the dead, and none of the living")
    func abandoned() throws {
        let test = try TestStore()
        let file = "\(test.store.directories.ingest)/0123.part"
        try File.replace(file, with: [1, 2, 3])
        do {
            let writer = try FileLock(test.store.ingestLock, exclusive: false)
            _ = try ImageStore(test.store.directories)
            #expect(File.exists(file))
            withExtendedLifetime(writer) {}
        }
        _ = try ImageStore(test.store.directories)
        #expect(!File.exists(file))
    }
}
