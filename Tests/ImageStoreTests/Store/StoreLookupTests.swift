import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import ImageStore

@Suite("finding images")
struct StoreLookupTests {
    @Test("an image is found by every form of its reference, by its digests and by four digits of its ID")
    func everyForm() throws {
        let test = try TestStore()
        let layer = try test.plantLayer("base")
        let image = try test.plantImage("busybox", layers: [layer])
        #expect(image.reference == "docker.io/library/busybox:latest")
        let names = [
            "busybox", "busybox:latest", "library/busybox", "docker.io/library/busybox:latest",
            "index.docker.io/library/busybox", image.config.description, image.manifestDigest.description,
            "busybox@\(image.manifestDigest)", image.config.hex, String(image.config.hex.prefix(4)),
            "sha256:\(image.config.hex.prefix(12))",
        ]
        for name in names { #expect(try test.store.image(name) == image, "\(name)") }
        #expect(try test.store.image("alpine@\(image.manifestDigest)") == nil)
        #expect(try test.store.image("busybox:1") == nil)
        #expect(try test.store.image(String(image.config.hex.prefix(3))) == nil)
    }

    @Test("the record survives a new opening of the store with all it says")
    func roundTrip() throws {
        let test = try TestStore()
        let layers = try [test.plantLayer("one"), test.plantLayer("two")]
        let image = try test.plantImage("registry.example:5000/team/model:v1", layers: layers)
        let again = try ImageStore(test.store.directories)
        let found = try #require(try again.image("registry.example:5000/team/model:v1"))
        #expect(found == image)
        #expect(found.layers == layers)
        #expect(found.size == layers.reduce(0) { $0 + $1.fileSize })
        #expect(found.created == 1_704_164_645)
        #expect(found.configuration.command == ["/bin/true"])
    }

    @Test("a reference longer than a file name can be is kept and found")
    func longReference() throws {
        let test = try TestStore()
        let name = "registry.example/" + Array(repeating: "abcdefghi", count: 20).joined(separator: "/") + ":v1"
        let image = try test.plantImage(name, layers: [try test.plantLayer("base")])
        #expect(try test.store.image(name) == image)
        #expect(try test.store.images() == [image])
    }

    @Test("a short ID that fits two images is an error that lists both")
    func ambiguous() throws {
        let test = try TestStore()
        let layer = try test.plantLayer("base")
        var seen: [String: String] = [:]
        // Four digits are few: among some hundred images two share them.
        for number in 0..<5000 {
            let command = "/bin/command-\(number)"
            let digest = ContentHash.sha256(of: OCILayout.document(diffIDs: [layer.diffID], command: command))
            let prefix = String(digest.hex.prefix(4))
            guard let earlier = seen.updateValue(command, forKey: prefix) else { continue }
            let first = try test.plantImage("first", layers: [layer], command: earlier)
            let second = try test.plantImage("second", layers: [layer], command: command)
            let error = storeError { _ = try test.store.image(prefix) }
            let candidates = [
                "docker.io/library/first:latest (\(first.config.short))",
                "docker.io/library/second:latest (\(second.config.short))",
            ]
            #expect(error == .image(.ambiguous(prefix, candidates: candidates)))
            #expect(try test.store.image(String(second.config.hex.prefix(24))) == second)
            return
        }
        Issue.record("no two images with the same four digits")
    }

    @Test("an image that is not there is an error that says how to get it")
    func missing() throws {
        let test = try TestStore()
        let error = try #require(storeError { _ = try test.store.existingImage("nothing:v1") })
        #expect(error == .image(.noSuchImage("nothing:v1")))
        #expect(error.description == "no such image: nothing:v1")
        #expect(error.remedy.contains("mlrun pull nothing:v1"))
        #expect(storeError { _ = try test.store.image("No Such") } == .image(.invalidName("No Such")))
    }

    @Test("a record never names a layer or blob that is not in the store")
    func incomplete() throws {
        let test = try TestStore()
        let layer = try test.plantLayer("base")
        try File.removeIfPresent(test.store.layerFile(layer.digest))
        let error = storeError { try test.plantImage("busybox", layers: [layer]) }
        #expect(
            error == .image(.incomplete(image: "docker.io/library/busybox:latest", missing: layer.digest)))
        #expect(try test.store.images() == [])
    }

    @Test("a damaged record or blob is named with its file, not passed over")
    func damaged() throws {
        let test = try TestStore()
        let image = try test.plantImage("busybox", layers: [try test.plantLayer("base")])
        let configuration = test.store.blobFile(image.config)
        try File.replace(configuration, with: Array("{}".utf8))
        guard case .image(.damaged(configuration, _)) = storeError({ _ = try test.store.image("busybox") }) else {
            Issue.record("a damaged configuration was not found")
            return
        }
        try File.removeIfPresent(configuration)
        let record = test.store.recordFile(of: image)
        guard case .image(.damaged(record, _)) = storeError({ _ = try test.store.images() }) else {
            Issue.record("a missing configuration was not found")
            return
        }
        try File.replace(record, with: Array("{".utf8))
        guard case .image(.damaged(record, _)) = storeError({ _ = try test.store.images() }) else {
            Issue.record("a damaged record was not found")
            return
        }
    }

    @Test("a blob is stored only under its own digest, sha512 too")
    func blobs() throws {
        let test = try TestStore()
        let bytes = Array("hello".utf8)
        let right = ContentHash.sha256(of: bytes)
        let wrong = ContentHash.sha256(of: [])
        #expect(
            storeError { try test.store.putBlob(bytes, as: wrong) } == .wrongDigest(expected: wrong, computed: right))
        try test.store.putBlob(bytes, as: right)
        #expect(try test.store.blob(right) == bytes)
        #expect(try test.store.blob(wrong) == nil)
        let long = try #require(
            Digest(
                "sha512:9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca7"
                    + "2323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043"))
        try test.store.putBlob(bytes, as: long)
        #expect(try test.store.blob(long) == bytes)
    }

    @Test(
        "times of RFC 3339 are read with offsets and fractions, and nothing else is",
        arguments: [
            ("1970-01-01T00:00:00Z", 0), ("2000-02-29T23:59:59.123456789Z", 951_868_799),
            ("2024-01-02T03:04:05+02:00", 1_704_157_445), ("1969-12-31t23:59:59z", -1),
            ("2024-01-02 03:04:05Z", nil), ("2024-13-02T03:04:05Z", nil), ("2024-01-02T03:04:05", nil), ("", nil),
        ] as [(String, Int64?)])
    func times(_ text: String, _ seconds: Int64?) {
        #expect(Timestamp.seconds(rfc3339: text) == seconds)
    }
}
