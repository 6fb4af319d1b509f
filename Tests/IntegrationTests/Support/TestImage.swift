import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Synchronization
import Testing

/// A small image as an OCI layout: busybox with all its applets, users and groups, and an HTTP server that logs.
///
/// The server answers `/` with "hello from mlrun" and `/cgi-bin/slow` after a second, or as many as its query says; with NUMBERED
/// set it writes "line 1", "line 2", … to standard output without end.
final class TestImage: Sendable {
    let directory: TestDirectory
    var layout: String { "\(directory.path)/layout" }
    var reference: String { "oci:\(layout):v1" }
    let configDigest: String
    let layerDigest: String

    private static let cache = Mutex<TestImage?>(nil)

    /// One for all tests that only read it.
    static func shared() throws -> TestImage {
        try cache.withLock { cache in
            if let image = cache { return image }
            let image = try TestImage()
            cache = image
            return image
        }
    }

    /// Removes the shared image after the last test of a suite.
    struct RemovedAtEnd: SuiteTrait, TestScoping {
        func provideScope(
            for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
        ) async throws {
            defer { cache.withLock { $0 = nil } }
            try await function()
        }
    }

    /// - Parameter configuration: members of the image's `config` that replace the usual ones.
    init(configuration: [String: JSON] = [:]) throws {
        directory = try TestDirectory()
        try Self.makeTree(in: directory)
        let root = directory.path
        try Program.succeed(
            "tar", "--numeric-owner", "--sort=name", "--mtime=@1700000000", "-cf", "\(root)/layer.tar", "-C",
            "\(root)/tree", ".")
        let layer = try Self.addBlob(moving: "layer.tar", in: root)
        var config: [(name: String, value: JSON)] = [
            ("Cmd", ["/bin/serve"]), ("Env", ["PATH=/usr/bin:/bin", "GREETING=from the image"]),
            ("WorkingDir", "/srv"), ("ExposedPorts", ["8000/tcp": [:]]), ("StopSignal", "SIGTERM"),
            ("Labels", ["made-by": "the tests"]),
        ]
        for (name, value) in configuration {
            config.removeAll { $0.name == name }
            config.append((name, value))
        }
        let document: JSON = [
            "created": "2023-11-14T22:13:20Z", "architecture": .string(Platform.host.architecture), "os": "linux",
            "config": .object(JSONObject(config)),
            "rootfs": ["type": "layers", "diff_ids": [.string(layer.digest)]],
        ]
        try directory.write("config.json", document.bytes())
        let described = try Self.addBlob(moving: "config.json", in: root)
        let manifest: JSON = [
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": Self.descriptor("application/vnd.oci.image.config.v1+json", described),
            "layers": [Self.descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
        ]
        try directory.write("manifest.json", manifest.bytes())
        var entry = Self.descriptor(
            "application/vnd.oci.image.manifest.v1+json", try Self.addBlob(moving: "manifest.json", in: root)
        ).object
        entry?["annotations"] = ["org.opencontainers.image.ref.name": "v1"]
        let index: JSON = ["schemaVersion": 2, "manifests": [entry.map { .object($0) } ?? .null]]
        try directory.write("layout/index.json", index.bytes())
        try directory.write("layout/oci-layout", #"{"imageLayoutVersion":"1.0.0"}"#)
        try File.removeTree("\(root)/tree")
        configDigest = described.digest
        layerDigest = layer.digest
    }

    /// Copies the image with skopeo, so that it comes in the form another program writes.
    func copy(to destination: String, _ options: String...) throws {
        let arguments = ["skopeo", "--insecure-policy", "copy", "--quiet"] + options + [reference, destination]
        let outcome = try Program.run(arguments, seconds: 120)
        guard outcome.status == 0 else { throw TestFailure("\(arguments.joined(separator: " ")): \(outcome)") }
    }

    private static func makeTree(in directory: TestDirectory) throws {
        guard let busybox = TestMachine.path(of: "busybox") else { throw TestFailure("busybox is not installed") }
        let tree = "\(directory.path)/tree"
        for name in ["bin", "usr/bin", "proc", "sys", "dev", "run", "root", "srv", "etc", "data", "tmp"] {
            try File.makeDirectories("\(tree)/\(name)")
        }
        guard chmod("\(tree)/tmp", 0o1777) == 0 else { throw TestFailure("chmod: \(errno)") }
        try Program.succeed("cp", busybox, "\(tree)/bin/busybox")
        for applet in try Program.succeed(busybox, "--list").split(separator: "\n") where applet != "busybox" {
            guard symlink("busybox", "\(tree)/bin/\(applet)") == 0 else {
                throw TestFailure("symlink \(applet): \(errno)")
            }
        }
        let files: [(name: String, text: String, mode: UInt32)] = [
            ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nserver:x:1000:1000::/srv:/bin/sh\n", 0o644),
            ("etc/group", "root:x:0:\nserver:x:1000:\nmodels:x:2000:server\naudio:x:29:server\n", 0o644),
            ("srv/www/index.html", "hello from mlrun\n", 0o644),
            ("srv/www/cgi-bin/slow", "#!/bin/sh\nsleep ${QUERY_STRING:-1}\nprintf '\\r\\n'\necho slow\n", 0o755),
            ("srv/not-executable", "no program\n", 0o644),
            ("bin/serve", serverScript, 0o755),
        ]
        for (name, text, mode) in files { try directory.write("tree/\(name)", text, mode: mode) }
    }

    private static let serverScript = """
        #!/bin/sh
        trap 'echo stopping; exit 0' TERM
        echo "serving on ${PORT:-8000}"
        httpd -f -p 0.0.0.0:${PORT:-8000} -h /srv/www &
        if [ -n "$NUMBERED" ]; then
            number=0
            while :; do
                number=$((number + 1))
                echo "line $number"
                usleep 1000
            done
        fi
        wait

        """

    private struct Blob {
        let digest: String
        let size: Int64
    }

    /// Moves a file into the layout under the name of its SHA-256, as another program computes it.
    private static func addBlob(moving name: String, in root: String) throws -> Blob {
        let hex = String(try Program.succeed("sha256sum", "\(root)/\(name)").prefix(64))
        let size = Int64(try File.status("\(root)/\(name)").size)
        try File.makeDirectories("\(root)/layout/blobs/sha256")
        try File.rename("\(root)/\(name)", to: "\(root)/layout/blobs/sha256/\(hex)")
        return Blob(digest: "sha256:\(hex)", size: size)
    }

    private static func descriptor(_ mediaType: String, _ blob: Blob) -> JSON {
        ["mediaType": .string(mediaType), "digest": .string(blob.digest), "size": .integer(blob.size)]
    }
}
