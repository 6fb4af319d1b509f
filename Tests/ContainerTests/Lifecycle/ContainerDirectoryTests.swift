import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import Container

@Suite(.enabled(if: LaunchFixture.isPossible, "needs root and busybox-static"))
struct ContainerDirectoryTests {
    let fixture: LaunchFixture
    let containers: ContainerDirectory

    init() throws {
        fixture = try LaunchFixture()
        containers = ContainerDirectory(root: "\(fixture.directory)/state")
    }

    private func options(_ spec: RuntimeSpec) throws -> CreateOptions {
        try File.replace("\(fixture.directory)/config.json", with: spec.json.bytes(), durable: false)
        var options = CreateOptions(bundle: fixture.directory)
        options.cgroupManager = .disabled
        options.streams = .files(input: nil, output: nil, error: nil)
        return options
    }

    private func waitUntil(_ id: String, is status: ContainerState.Status) throws {
        for _ in 0..<500 {
            if try containers.state(id).status == status { return }
            usleep(10_000)
        }
        Issue.record("\(id) did not become \(status)")
    }

    @Test("a container whose end waits for a process that nobody takes away is told of after ten seconds")
    func endsLate() throws {
        let (first, _) = try containers.create("first", try options(LaunchFixture.spec("sleep 1000")))
        defer { _ = try? first.kill() }
        var spec = LaunchFixture.spec("true")
        spec.linux?.namespaces.removeAll { $0.kind == .pid }
        spec.linux?.namespaces.append(.init(.pid, path: "/proc/\(first.pid)/ns/pid"))
        var options = try options(spec)
        options.startsAtOnce = true
        // Its parent is this process, which takes its time: the first one's pid namespace cannot end before.
        let (second, _) = try containers.create("second", options)
        let error = #expect(throws: ContainerError.self) { try containers.delete("first", force: true) }
        #expect(error?.description.contains("process \(first.pid) was killed and has not ended in 10 s") == true)
        #expect(try containers.list().contains("first"))
        try second.wait()
        try containers.delete("first", force: true)
        try containers.delete("second", force: true)
        #expect(try containers.list().isEmpty)
    }

    @Test("a container goes from created to running to stopped, and is gone when deleted")
    func life() throws {
        var spec = LaunchFixture.spec("")
        spec.process?.args = ["sleep", "1000"]
        spec.annotations = ["model": "silero"]
        let (process, _) = try containers.create("life", try options(spec))
        #expect(try containers.state("life").status == .created)
        #expect(try containers.state("life").pid == process.pid)
        #expect(try containers.list() == ["life"])
        #expect(throws: ContainerError.self) { try containers.create("life", try options(spec)) }
        try containers.start("life")
        #expect(try containers.state("life").status == .running)
        #expect(try containers.state("life").annotations == ["model": "silero"])
        let second = try containers.exec("life", .init(args: ["true"], env: ["PATH=/bin"]))
        #expect(try second.wait() == .exited(0))
        #expect("\(#expect(throws: ContainerError.self) { try containers.delete("life") }!)".contains("not stopped"))
        try containers.kill("life", .kill)
        #expect(try process.wait() == .killed(.kill, coreDumped: false))
        #expect(try containers.state("life").status == .stopped)
        #expect(try containers.state("life").pid == nil)
        let late = #expect(throws: ContainerError.self) { try containers.kill("life", .terminate) }
        #expect(late?.description.contains("container not running") == true)
        try containers.delete("life")
        let gone = #expect(throws: ContainerError.self) { try containers.state("life") }
        #expect(gone?.description == "container \"life\" does not exist")
        try containers.delete("life", force: true)
    }

    @Test("without a process a container can be created and deleted, and to start it is an error that changes nothing")
    func noProcess() throws {
        var spec = LaunchFixture.spec("true")
        spec.process = nil
        let (process, _) = try containers.create("waits", try options(spec))
        let rights = try File.readText("/proc/\(process.pid)/status").split(separator: "\n")
        #expect(rights.contains("CapPrm:\t0000000000000000") && rights.contains("CapBnd:\t0000000000000000"))
        let error = #expect(throws: ContainerError.self) { try containers.start("waits") }
        #expect(error?.description.hasPrefix("config.json: process: is missing") == true)
        #expect(try containers.state("waits").status == .created)
        try containers.delete("waits")
        #expect(try process.wait() == .killed(.kill, coreDumped: false))

        var options = try options(spec)
        options.startsAtOnce = true
        #expect(throws: ContainerError.self) { try containers.create("runs", options) }
        #expect(try containers.list().isEmpty)
    }

    private var mountsOfHost: [Substring] {
        get throws {
            try File.readText("/proc/self/mountinfo").split(separator: "\n").filter { $0.contains(fixture.directory) }
        }
    }

    @Test("without a mount namespace a container has its root and its mounts in the host's, until it is deleted")
    func noMountNamespace() throws {
        var spec = LaunchFixture.spec("sleep 1000")
        spec.linux?.namespaces.removeAll { $0.kind == .mount }
        spec.root?.readonly = true
        let (process, warnings) = try containers.create("shared", try options(spec))
        #expect(warnings.contains { $0.hasPrefix("linux.namespaces: without a mount namespace") })
        let own = try File.readLink("/proc/self/ns/mnt")
        #expect(try File.readLink("/proc/\(process.pid)/ns/mnt") == own)
        #expect(try mountsOfHost.count > 5)
        try containers.start("shared")
        let joined = try LaunchFixture.capture { streams in
            var options = ExecOptions()
            options.streams = streams
            let script = "ls /; touch /x || echo read-only; cat /proc/1/comm; [ -e /etc/shadow ] || echo inside"
            return try containers.exec(
                "shared", .init(args: ["sh", "-c", script], env: ["PATH=/bin"], capabilities: .init()), options)
        }
        #expect(
            joined.lines == ["bin", "dev", "etc", "place", "proc", "sys", "tmp", "read-only", "sleep", "inside"],
            "\(joined)")
        try containers.delete("shared", force: true)
        #expect(try mountsOfHost.isEmpty)

        // What cannot be made leaves nothing mounted either, and takes away nothing that was there before.
        try check(mlr_mount(fixture.root, fixture.root, nil, UInt(MLR_MS_BIND), nil), "bind", path: fixture.root)
        defer { _ = mlr_umount(fixture.root, Int32(MLR_MNT_DETACH)) }
        spec.process?.args = ["no-such-program"]
        #expect(throws: ContainerError.self) { try containers.create("broken", try options(spec)) }
        #expect(try mountsOfHost.count == 1)
        spec.mounts = [.init(destination: "/x", type: "bind", source: "/no/such/source", options: ["bind"])]
        #expect(throws: ContainerError.self) { try containers.create("broken", try options(spec)) }
        #expect(try mountsOfHost.count == 1)
    }

    @Test("a failed creation leaves no state, no process, and runs the poststop hooks")
    func failedCreation() throws {
        var spec = LaunchFixture.spec("true")
        spec.process?.args = ["no-such-program"]
        let place = "\(fixture.directory)/stopped"
        spec.hooks = .init(poststop: [.init(path: "/bin/sh", args: ["sh", "-c", "cat > \(place)"])])
        let error = #expect(throws: ContainerError.self) { try containers.create("broken", try options(spec)) }
        #expect(error?.exitCode == 127)
        #expect(try containers.list().isEmpty)
        let state = try ContainerState(JSONCursor(try JSON(parsing: try File.read(place))))
        #expect(state.status == .stopped && state.id == "broken")
    }

    @Test("hooks run in order, each with the state on its standard input")
    func hooks() throws {
        let place = "\(fixture.directory)/order"
        func hook(_ name: String) -> RuntimeSpec.Hook {
            .init(path: "/bin/sh", args: ["sh", "-c", "read s; echo \"\(name) $s\" >> \(place)"])
        }
        var spec = LaunchFixture.spec("true")
        spec.process?.args = ["true"]
        spec.hooks = .init(
            prestart: [hook("prestart")], createRuntime: [hook("createRuntime")],
            createContainer: [hook("createContainer")], poststart: [hook("poststart")], poststop: [hook("poststop")])
        let (process, _) = try containers.create("hooks", try options(spec))
        try containers.start("hooks")
        try process.wait()
        try containers.delete("hooks")
        let lines = try File.readText(place).split(separator: "\n")
        #expect(
            lines.map { $0.split(separator: " ")[0] }
                == ["prestart", "createRuntime", "createContainer", "poststart", "poststop"])
        #expect(lines[1].contains("\"pid\":\(process.pid)"))
        #expect(lines[2].contains("\"pid\":1,"))
    }

    @Test("an id cannot lead out of the state directory", arguments: ["../x", "a/b", "", ".hidden", "a b", "ü"])
    func badID(_ id: String) throws {
        let error = #expect(throws: ContainerError.self) { try containers.delete(id, force: true) }
        guard case .invalidID = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test(
        "a bundle that denies all devices has the standard ones, and no other even with a node of it",
        .enabled(if: LaunchExecTests.hasCgroup2, "needs a cgroup2 hierarchy"))
    func devices() throws {
        let group = "/mlrun-oci-test-\(File.randomName())"
        let script = "echo x > /dev/null || touch /tmp/null; cat /dev/kmsg || touch /tmp/refused"
        var spec = LaunchFixture.spec(script)
        spec.linux?.devices = [.init(type: "c", path: "/dev/kmsg", major: 1, minor: 11)]
        spec.linux?.resources = .init()
        spec.linux?.resources?.devices = [.init(allow: false, access: "rwm")]
        spec.linux?.cgroupsPath = group
        var options = try options(spec)
        options.cgroupManager = .cgroupfs
        options.startsAtOnce = true
        // A creation that fails leaves a group that it has not made.
        let place = try CgroupHierarchy.discover().group(at: group).path
        try File.makeDirectories(place)
        spec.process?.args = ["no-such-program"]
        try File.replace("\(fixture.directory)/config.json", with: spec.json.bytes(), durable: false)
        #expect(throws: ContainerError.self) { try containers.create("devices", options) }
        #expect(rmdir(place) == 0)
        spec.process?.args = ["sh", "-c", script]
        try File.replace("\(fixture.directory)/config.json", with: spec.json.bytes(), durable: false)
        let (process, _) = try containers.create("devices", options)
        try process.wait()
        try containers.delete("devices")
        #expect(File.exists("\(fixture.root)/tmp/refused"))
        #expect(!File.exists("\(fixture.root)/tmp/null"))
        #expect(!(try CgroupHierarchy.discover().group(at: group).exists))
    }

    @Test(
        "with namespaces of users and cgroups a container that may write to its groups makes some of its own",
        .enabled(if: LaunchExecTests.hasCgroup2, "needs a cgroup2 hierarchy"))
    func delegation() throws {
        for isWritable in [true, false] {
            let script = """
                cd /sys/fs/cgroup; mkdir own && echo 1 >own/cgroup.procs && grep -q '^1$' own/cgroup.procs && touch /tmp/made
                echo max >cgroup.max.depth && touch /tmp/limits
                """
            var spec = LaunchFixture.inUserNamespace(LaunchFixture.spec(script))
            spec.linux?.cgroupsPath = "/mlrun-oci-test-\(File.randomName())"
            let options = ["nosuid", "noexec", "nodev"] + (isWritable ? [] : ["ro"])
            let mount = RuntimeSpec.Mount(
                destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: options)
            spec.mounts.append(mount)
            spec.mounts.append(
                .init(destination: "/tmp", type: "bind", source: "\(fixture.root)/tmp", options: ["bind"]))
            try check(chmod("\(fixture.root)/tmp", 0o777), "open", path: fixture.root)
            var create = try self.options(spec)
            create.cgroupManager = .cgroupfs
            create.startsAtOnce = true
            let (process, _) = try containers.create("delegation", create)
            try process.wait()
            try containers.delete("delegation")
            #expect(File.exists("\(fixture.root)/tmp/made") == isWritable)
            #expect(!File.exists("\(fixture.root)/tmp/limits"))
            #expect(!(try CgroupHierarchy.discover().group(at: spec.linux?.cgroupsPath ?? "/").exists))
            try File.removeIfPresent("\(fixture.root)/tmp/made")
        }
    }

    @Test("the group goes to the user of the process, and only where it sees and may write to its own groups alone")
    func ownerOfCgroup() {
        var spec = LaunchFixture.inUserNamespace(LaunchFixture.spec("true"), first: 5000)
        #expect(spec.ownerOfCgroup == nil)
        spec.mounts.append(.init(destination: "/sys/fs/cgroup/", type: "cgroup2", options: ["nosuid"]))
        #expect(spec.ownerOfCgroup == 5000)
        spec.process?.user.uid = 7
        #expect(spec.ownerOfCgroup == 5007)
        spec.process?.user.uid = 70_000
        #expect(spec.ownerOfCgroup == nil)
        spec.process?.user.uid = 0
        for change in [
            { $0.mounts[$0.mounts.count - 1].options = ["ro"] },
            { $0.linux?.namespaces.removeAll { $0.kind == .user } },
            { $0.linux?.namespaces.removeAll { $0.kind == .cgroup } }, { $0.linux?.uidMappings = [] },
            { $0.mounts[$0.mounts.count - 1].type = "bind" },
        ] as [(inout RuntimeSpec) -> Void] {
            var other = spec
            change(&other)
            #expect(other.ownerOfCgroup == nil)
        }
    }

    @Test("the terminal goes to the console socket, in one message with its name")
    func consoleSocket() throws {
        let path = "\(fixture.directory)/console.sock"
        let listener = OwnedDescriptor(
            taking: try check(mlr_socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0), "create a socket"))
        try check(mlr_bind_unix(listener.rawValue, path), "bind", path: path)
        try check(mlr_listen(listener.rawValue, 1), "listen", path: path)
        var spec = LaunchFixture.spec("")
        spec.process?.args = ["tty"]
        spec.process?.terminal = true
        var options = try options(spec)
        #expect(throws: ContainerError.self) { try containers.create("console", options) }
        options.consoleSocket = path
        let (process, _) = try containers.create("console", options)
        let connection = OwnedDescriptor(taking: try check(mlr_accept(listener.rawValue, 0), "accept"))
        var name = [UInt8](repeating: 0, count: 64)
        var terminal: Int32 = -1
        var count = 1
        let got = mlr_receive_descriptors(connection.rawValue, &name, name.count, &terminal, &count, 0)
        #expect(String(decoding: name.prefix(Int(got)), as: UTF8.self) == "/dev/ptmx")
        #expect(count == 1)
        let console = SharedDescriptor(taking: terminal)
        process.console = nil
        try containers.start("console")
        try process.wait()
        var bytes = [UInt8](repeating: 0, count: 256)
        let length = read(console.rawValue, &bytes, bytes.count)
        #expect(String(decoding: bytes.prefix(max(0, length)), as: UTF8.self) == "/dev/pts/0\r\n")
        try containers.delete("console")
    }
}
