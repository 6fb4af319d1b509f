import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import Container

/// What tests of containers without root need.
enum Rootless {
    static let user: UInt32 = 64_321
    static let program = "\(File.parent(of: (try? File.readLink("/proc/self/exe")) ?? ""))/mlrun-oci"
    static var isPossible: Bool {
        LaunchFixture.isPossible && File.exists("/usr/bin/setpriv") && File.exists(program)
    }
    static var hasHelpers: Bool {
        ["/usr/bin/newuidmap", "/usr/bin/newgidmap", "/etc/subuid", "/etc/subgid"].allSatisfy { File.exists($0) }
    }
}

/// Containers of a user who is not root, by the runtime's own program.
@Suite(.enabled(if: Rootless.isPossible, "needs root, busybox-static, setpriv and a built mlrun-oci"))
struct RootlessTests {
    let fixture: LaunchFixture

    init() throws {
        fixture = try LaunchFixture()
        for path in ["", "/rootfs", "/rootfs/place", "/rootfs/tmp"] {
            chown(fixture.directory + path, Rootless.user, Rootless.user)
        }
    }

    static func mapped(_ spec: RuntimeSpec) -> RuntimeSpec {
        var spec = spec
        spec.linux?.namespaces.append(.init(.user))
        spec.linux?.uidMappings = [.init(containerID: 0, hostID: Rootless.user, size: 1)]
        spec.linux?.gidMappings = [.init(containerID: 0, hostID: Rootless.user, size: 1)]
        // Group 5 is not mapped.
        spec.mounts[2].options.removeAll { $0 == "gid=5" }
        spec.process?.rlimits = []
        return spec
    }

    /// Runs the program as the user; standard output and error together.
    private func call(
        _ arguments: String, around setup: String? = nil, program: String = Rootless.program
    ) throws -> (text: String, code: Int32) {
        let output = "\(fixture.directory)/output"
        let command =
            "cd \(fixture.directory) && setpriv --reuid \(Rootless.user) --regid \(Rootless.user) --clear-groups "
            + "\(program) --root \(fixture.directory)/state --cgroup-manager disabled \(arguments)"
        let script = "\(fixture.directory)/script"
        try File.replace(script, with: Array("\(setup.map { "\($0) && " } ?? "")\(command)".utf8), mode: 0o755)
        let place = setup == nil ? "" : "unshare --mount --propagation private"
        let status = system("\(place) sh \(script) > \(output) 2>&1 < /dev/null")
        return (try File.readText(output), status >> 8)
    }

    private func write(_ spec: RuntimeSpec) throws {
        try File.replace("\(fixture.directory)/config.json", with: spec.json.bytes(), mode: 0o644, durable: false)
    }

    @Test("with one id of its own a user runs a container: root inside, with devices, mounts and masks")
    func single() throws {
        let script =
            "id -u; touch /place/mine; echo x > /dev/null; ls /dev/shm; cat /proc/kcore; cat /proc/self/uid_map"
        try write(Self.mapped(LaunchFixture.spec(script)))
        let (text, code) = try call("run single")
        #expect(code == 0, "\(text)")
        let lines = text.split(separator: "\n").map(String.init)
        #expect(lines.first == "0", "\(text)")
        #expect(lines.last?.split(separator: " ") == ["0", "\(Rootless.user)", "1"], "\(text)")
        #expect(try File.status("\(fixture.root)/place/mine").uid == Rootless.user)
    }

    @Test("bind mounts of a user's own files keep their attributes and propagation")
    func binds() throws {
        try File.makeDirectories("\(fixture.directory)/volume")
        var spec = Self.mapped(
            LaunchFixture.spec("grep ' /place ' /proc/self/mountinfo; touch /place/x || echo refused"))
        symlink("busybox", "\(fixture.root)/bin/grep")
        spec.mounts.append(
            .init(destination: "/place", source: "volume", options: ["rbind", "ro", "nosuid", "nodev", "rslave"]))
        try write(spec)
        let (text, code) = try call("run binds")
        #expect(code == 0, "\(text)")
        #expect(text.contains(" /place ro,nosuid,nodev"), "\(text)")
        #expect(text.contains("refused"), "\(text)")
    }

    @Test("a user's container is created, started, joined, asked and deleted")
    func life() throws {
        var spec = Self.mapped(LaunchFixture.spec(""))
        spec.process?.args = ["sleep", "1000"]
        try write(spec)
        // The container's own streams must not be what the test waits for.
        #expect(try call("create --pid-file pid life > created 2>&1").code == 0)
        #expect(try call("start life").code == 0)
        let joined = try call("exec life sh -c 'id -u; cat /proc/1/cmdline'")
        #expect(joined.code == 0 && joined.text.hasPrefix("0\nsleep"), "\(joined.text)")
        #expect(try call("state life").text.contains("running"))
        #expect(try call("delete --force life").code == 0)
        #expect(try call("state life").code != 0)
    }

    @Test("a program that is the user's own runs from a copy that no container can write to (CVE-2019-5736)")
    func ownProgram() throws {
        var spec = Self.mapped(LaunchFixture.spec(""))
        spec.process?.args = ["sleep", "1000"]
        try write(spec)
        let own = "\(fixture.directory)/own"
        try File.replace(own, with: try File.read(Rootless.program), mode: 0o755)
        /// What a process of the container could hold of the runtime, and whether the user may write to it once nothing runs.
        func held(_ program: String) throws -> (path: String, isWritten: Bool) {
            let created = try call("create --pid-file pid held > created 2>&1", program: program)
            let said = try File.readText("\(fixture.directory)/created")
            #expect(created.code == 0, "\(said)")
            let pid = try File.readText("\(fixture.directory)/pid")
            let path = try File.readLink("/proc/\(pid)/exe")
            let descriptor = try File.open("/proc/\(pid)/exe", O_RDONLY)
            #expect(try call("delete --force held").code == 0)
            let again = "/proc/\(getpid())/fd/\(descriptor.rawValue)"
            let opened = open(again, O_WRONLY)
            defer { close(opened) }
            return (path, Glibc.write(opened, "x", 1) == 1)
        }
        chown(own, Rootless.user, Rootless.user)
        let copied = try held(own)
        #expect(copied.path.hasPrefix("/memfd:"), "\(copied)")
        #expect(!copied.isWritten)
        // One of somebody else costs no copy: it is nothing the user could write to.
        chown(own, 0, 0)
        #expect(try held(own).path == own)
    }

    @Test("what a user may not do is said by its field")
    func refusals() throws {
        try write(LaunchFixture.spec("true"))
        let without = try call("run x")
        #expect(without.code == 1 && without.text.contains("a user namespace is needed"), "\(without.text)")
        var spec = Self.mapped(LaunchFixture.spec("true"))
        spec.process?.user.additionalGids = [7]
        try write(spec)
        let groups = try call("run x")
        #expect(groups.code == 1 && groups.text.contains("process.user.additionalGids[0]"), "\(groups.text)")
        #expect(try call("list -q").text.isEmpty)
    }

    @Test(
        "subordinate ids are mapped by newuidmap and newgidmap",
        .enabled(if: Rootless.hasHelpers, "needs newuidmap (uidmap) and /etc/subuid"))
    func subordinate() throws {
        var spec = Self.mapped(LaunchFixture.spec("cat /proc/self/uid_map; id -G"))
        spec.linux?.uidMappings.append(.init(containerID: 1, hostID: 700_000, size: 65536))
        spec.linux?.gidMappings.append(.init(containerID: 1, hostID: 700_000, size: 65536))
        spec.process?.user = .init(uid: 1000, gid: 1000, additionalGids: [44])
        try write(spec)
        // In a mount namespace where the files say who the user is and what it was given.
        let given = "\(fixture.directory)/given"
        try File.replace(given, with: Array("model:700000:65536\n".utf8), mode: 0o644)
        let accounts = "\(fixture.directory)/accounts"
        let lines = "root:x:0:0::/root:/bin/sh\nmodel:x:\(Rootless.user):\(Rootless.user)::/:/bin/sh\n"
        try File.replace(accounts, with: Array(lines.utf8), mode: 0o644)
        let (text, code) = try call(
            "run subordinate",
            around: "mount --bind \(accounts) /etc/passwd && mount --bind \(given) /etc/subuid "
                + "&& mount --bind \(given) /etc/subgid")
        #expect(code == 0 && text.contains("700000"), "\(text)")
        #expect(text.contains("1000 44"), "\(text)")
    }
}
