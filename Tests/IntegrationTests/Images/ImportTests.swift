import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

extension Integration {
    @Suite(
        .enabled(if: TestMachine.isNative, "\(TestMachine.needs); runs natively"),
        .enabled(if: TestMachine.isInstalled("skopeo"), "needs Debian's skopeo"))
    struct ImportTests {
        enum Form: String, CaseIterable {
            case layout, ociArchive, dockerArchive, standardInput, dockerStandardInput
        }

        @Test("every form that skopeo writes is imported, and is the image that it was", arguments: Form.allCases)
        func forms(_ form: Form) throws {
            let image = try TestImage()
            let archive = "\(image.directory.path)/image.tar"
            let source: String
            var input = "/dev/null"
            switch form {
            case .layout:
                source = "oci:\(image.directory.path)/copied:v1"
                try image.copy(to: source)
            case .ociArchive:
                try image.copy(to: "oci-archive:\(archive):hello:v1")
                source = "oci-archive:\(archive)"
            case .dockerArchive:
                try image.copy(to: "docker-archive:\(archive):example.org/hello:v1")
                source = "docker-archive:\(archive)"
            case .standardInput:
                try image.copy(to: "oci-archive:\(archive):hello:v1")
                (source, input) = ("-", archive)
            case .dockerStandardInput:
                try image.copy(to: "docker-archive:\(archive):example.org/hello:v1")
                (source, input) = ("-", archive)
            }
            try TestHost.with { host throws in
                let pulled = try host.succeed("pull", "--quiet", source, input: input)
                let name = try #require(pulled.lines.last)
                let listed = try #require(try host.json("images", "-o", "json").array?.first)
                // skopeo gzips layers for archives but leaves the configuration, and with it the image ID, as it was.
                #expect(listed["id"]?.string == image.configDigest)
                let ran = try host.shell(name, "echo $GREETING; cat /srv/www/index.html; stat -c %a /tmp")
                #expect(ran.lines == ["from the image", "hello from mlrun", "1777"], "\(ran)")
                try host.succeed("rmi", name)
            }
        }

        @Test("a service starts straight from an archive")
        func startFromArchive() throws {
            let image = try TestImage()
            let archive = "\(image.directory.path)/image.tar"
            try image.copy(to: "oci-archive:\(archive):hello:v1")
            try TestHost.with { host throws in
                try host.succeed("start", "--name", "hello", "-p", "127.0.0.1:0:8000", "oci-archive:\(archive)")
                #expect(try HTTPRequest(port: try host.port(of: "hello")).send().status == 200)
            }
        }

        @Test("a damaged layer stops the import, names both digests and leaves nothing behind")
        func damage() throws {
            let image = try TestImage()
            let hex = image.layerDigest.dropFirst("sha256:".count)
            let blob = "\(image.layout)/blobs/sha256/\(hex)"
            let file = try File.open(blob, O_WRONLY)
            let middle = off_t(try File.status(blob).size / 2)
            var byte: UInt8 = 0xA5
            #expect(pwrite(file.rawValue, &byte, 1, middle) == 1)
            try TestHost.with { host throws in
                let failed = try host.mlrun(["pull", image.reference])
                #expect(failed.status != 0)
                let digests = failed.errors.matches(of: /sha256:[0-9a-f]{64}/).map { String($0.output) }
                #expect(Set(digests).count == 2 && digests.contains(image.layerDigest), "\(failed)")
                #expect(try host.succeed("images", "-q").lines.isEmpty)
                for name in ["layers/sha256", "ingest"] {
                    #expect((try? File.list("\(host.root)/\(name)"))?.isEmpty ?? true, "\(name) holds something")
                }
            }
        }

        @Test("an archive that is none is an error in one line of cause")
        func nonsense() throws {
            let directory = try TestDirectory()
            let file = try directory.write("nonsense", String(repeating: "no archive\n", count: 1000))
            try TestHost.with { host throws in
                for source in [
                    "oci-archive:\(file)", "docker-archive:\(file)", "oci:\(directory.path)", "oci-archive:/none",
                ] {
                    let failed = try host.mlrun(["pull", source])
                    #expect(failed.status != 0)
                    #expect(failed.errors.split(separator: "\n").first?.hasPrefix("mlrun: ") == true, "\(failed)")
                    #expect(failed.output.isEmpty)
                }
            }
        }
    }
}
