import OCISpec
import Testing

@Suite("Image references")
struct ImageReferenceTests {
    @Test(
        "short names mean Docker Hub and latest",
        arguments: [
            ("busybox", "docker.io/library/busybox:latest"),
            ("user/app:v1", "docker.io/user/app:v1"),
            ("localhost/app", "localhost/app:latest"),
            ("localhost:5000/a/b/c:t", "localhost:5000/a/b/c:t"),
            ("ghcr.io/org/app", "ghcr.io/org/app:latest"),
            ("index.docker.io/library/x:1", "docker.io/library/x:1"),
            ("[::1]:5000/x:1", "[::1]:5000/x:1"),
            ("a__b/c-d.e:T_1", "docker.io/a__b/c-d.e:T_1"),
        ])
    func normalised(text: String, full: String) throws {
        #expect(try ImageReference(parsing: text).description == full)
    }

    @Test("a digest alone sets no tag, and both may stand together")
    func digests() throws {
        let digest = "sha256:" + String(repeating: "a", count: 64)
        let pinned = try ImageReference(parsing: "x.io/y@\(digest)")
        #expect(pinned.tag == nil)
        #expect(pinned.digest?.description == digest)
        #expect(try ImageReference(parsing: "x.io/y:1@\(digest)").description == "x.io/y:1@\(digest)")
    }

    @Test("the familiar form is what people type")
    func familiar() throws {
        #expect(try ImageReference(parsing: "docker.io/library/busybox:1").familiar == "busybox:1")
        #expect(try ImageReference(parsing: "quay.io/a/b:1").familiar == "quay.io/a/b:1")
    }

    @Test(
        "what is no reference is refused",
        arguments: [
            "", "UPPER", "a//b", "a:", "a:-x", "-a", "a-", "a..b", "a@sha256:12",
            "a@md5:\(String(repeating: "0", count: 32))",
            "x.io:99999/a", "x.io:p/a", "a b", "a:t:u", "x.io/", "../etc", "a___b",
        ])
    func refused(text: String) {
        #expect(throws: ImageReference.Invalid.self) { try ImageReference(parsing: text) }
    }
}

@Suite("Platforms")
struct PlatformTests {
    private func image(_ text: String, _ digit: Character) throws -> Descriptor {
        let digest = try #require(Digest("sha256:" + String(repeating: digit, count: 64)))
        return Descriptor(
            mediaType: MediaType.ociManifest, digest: digest, size: 1, platform: Platform(parsing: text))
    }

    @Test("an index gives the manifest of the host's platform")
    func choice() throws {
        let index = ImageIndex(manifests: [
            try image("linux/arm64/v8", "1"), try image("windows/amd64", "2"), try image("linux/amd64", "3"),
        ])
        let amd64 = Platform(os: "linux", architecture: "amd64")
        #expect(index.manifest(for: amd64)?.digest.hex.first == "3")
        #expect(index.manifest(for: Platform(os: "linux", architecture: "arm64"))?.digest.hex.first == "1")
        #expect(index.manifest(for: Platform(os: "linux", architecture: "riscv64")) == nil)
    }

    @Test("attestations beside the image are passed over")
    func attestations() throws {
        var attestation = try image("unknown/unknown", "9")
        attestation.annotations["vnd.docker.reference.type"] = "attestation-manifest"
        let only = Descriptor(mediaType: MediaType.ociManifest, digest: try image("a/b", "4").digest, size: 1)
        #expect(ImageIndex(manifests: [attestation, only]).manifest(for: .host)?.digest.hex.first == "4")
    }
}

@Suite("Signals")
struct SignalNameTests {
    @Test(
        "names and numbers are understood as people write them",
        arguments: [
            ("TERM", 15), ("SIGTERM", 15), ("sigkill", 9), ("9", 9), ("SIGRTMIN+3", 37), ("RTMAX-1", 63), ("WINCH", 28),
        ])
    func known(text: String, number: Int32) {
        #expect(SignalName(text)?.number == number)
    }

    @Test(
        "what is no signal is refused", arguments: ["", "0", "65", "-9", "+9", "SIGFOO", "9x", "RTMIN-1", "RTMIN+99"])
    func refused(text: String) {
        #expect(SignalName(text) == nil)
    }

    @Test("a signal prints by its name")
    func printed() {
        #expect(SignalName.terminate.description == "SIGTERM")
        #expect(SignalName(number: 37)?.description == "SIGRTMIN+3")
    }
}
