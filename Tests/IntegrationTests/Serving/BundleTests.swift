import LinuxSystem
import OCISpec
import Testing

extension Integration {
    /// `mlrun-oci` on a bundle that another program has unpacked.
    @Suite(
        .enabled(if: TestMachine.isNative, "\(TestMachine.needs); runs natively"),
        .enabled(if: TestMachine.isInstalled("umoci"), "needs Debian's umoci"))
    struct BundleTests {
        private static func bundle(_ image: TestImage, _ command: [String]) throws -> String {
            let bundle = "\(image.directory.path)/bundle"
            try Program.succeed("umoci", "unpack", "--image", "\(image.layout):v1", bundle)
            var config = try JSON(parsing: File.read("\(bundle)/config.json")).object ?? JSONObject()
            var process = config["process"]?.object ?? JSONObject()
            process["args"] = .array(command.map { .string($0) })
            process["terminal"] = false
            // Limits above this process's own cannot be set without CAP_SYS_RESOURCE.
            process["rlimits"] = nil
            config["process"] = .object(process)
            // This host may lack the controllers that umoci's limits on devices and others need.
            var linux = config["linux"]?.object ?? JSONObject()
            linux["resources"] = nil
            config["linux"] = .object(linux)
            try File.replace("\(bundle)/config.json", with: JSON.object(config).bytes(), mode: 0o644)
            return bundle
        }

        @Test("a bundle made by umoci runs, and its exit code is passed on")
        func run() throws {
            let image = try TestImage()
            let bundle = try Self.bundle(image, ["sh", "-c", "echo $$; cat /srv/www/index.html; exit 4"])
            try TestHost.with { host throws in
                let ran = try host.start(
                    "mlrun-oci", ["--root", "\(host.state)/oci", "run", "--bundle", bundle, "bundle-run"]
                ).wait()
                #expect(ran.status == 4, "\(ran)")
                #expect(ran.lines == ["1", "hello from mlrun"])
            }
        }

        @Test("create, state, start, kill and delete lead a container through its life")
        func life() throws {
            let image = try TestImage()
            let bundle = try Self.bundle(image, ["sleep", "1000"])
            try TestHost.with { host throws in
                func oci(_ arguments: String...) throws -> Program.Outcome {
                    try host.start("mlrun-oci", ["--root", "\(host.state)/oci"] + arguments).wait()
                }
                func status() throws -> String? {
                    try JSON(parsing: Array(try oci("state", "life").output.utf8))["status"]?.string
                }
                let created = try oci("create", "--bundle", bundle, "life")
                #expect(created.status == 0, "\(created)")
                #expect(try status() == "created")
                #expect(try oci("start", "life").status == 0)
                #expect(try status() == "running")
                #expect(try oci("delete", "life").status != 0, "what runs is not deleted")
                #expect(try oci("kill", "life", "KILL").status == 0)
                #expect(try TestMachine.eventually { try status() == "stopped" })
                #expect(try oci("delete", "life").status == 0)
                #expect(try oci("state", "life").status != 0)
            }
        }
    }
}
