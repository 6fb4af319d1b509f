import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import Container

/// What a further process gets from its container, and what the container cannot do to it.
@Suite(.enabled(if: LaunchFixture.isPossible, "needs root and busybox-static"))
struct ContainerExecTests {
    let fixture: LaunchFixture
    let containers: ContainerDirectory

    init() throws {
        fixture = try LaunchFixture()
        containers = ContainerDirectory(root: "\(fixture.directory)/state")
    }

    private func create(starts: Bool = true, _ change: (inout RuntimeSpec) -> Void = { _ in }) throws {
        var spec = LaunchFixture.spec("")
        spec.process?.args = ["sleep", "1000"]
        change(&spec)
        try File.replace("\(fixture.directory)/config.json", with: spec.json.bytes(), durable: false)
        var options = CreateOptions(bundle: fixture.directory)
        options.cgroupManager = .disabled
        options.streams = .files(input: nil, output: nil, error: nil)
        _ = try containers.create("one", options)
        if starts { try containers.start("one") }
    }

    private func delete() { _ = try? containers.delete("one", force: true) }

    private func exec(
        _ script: String, _ change: (inout RuntimeSpec.Process) -> Void = { _ in }
    ) throws -> LaunchFixture.Outcome {
        var process = RuntimeSpec.Process(args: ["sh", "-c", script], env: ["PATH=/bin"])
        change(&process)
        return try LaunchFixture.capture { [process] streams in
            var options = ExecOptions()
            options.streams = streams
            return try containers.exec("one", process, options)
        }
    }

    private func passwd(_ text: String) throws {
        try File.replace("\(fixture.root)/etc/passwd", with: Array(text.utf8), mode: 0o644, durable: false)
    }

    @Test("HOME is that of each process's own user, as the container's accounts are by then, unless it is given")
    func home() throws {
        try passwd("root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/srv/app:/bin/sh\n")
        try create { $0.process?.args = ["sh", "-c", "echo $HOME >/place/home; sleep 1000"] }
        defer { delete() }
        #expect(try exec("echo $HOME").lines == ["/root"])
        #expect(try exec("echo $HOME") { $0.user = .init(uid: 1000, gid: 1000) }.lines == ["/srv/app"])
        #expect(try exec("echo $HOME") { $0.user = .init(uid: 7, gid: 7) }.lines == ["/"])
        #expect(try exec("echo $HOME") { $0.env.append("HOME=/x") }.lines == ["/x"])
        // Without a process of its own: the first one's environment, but not its home.
        var process = try containers.known("one").process(args: ["sh", "-c", "echo $HOME $TERM"])
        process.user.uid = 1000
        #expect(try exec("") { $0 = process }.lines == ["/srv/app xterm"])
        try passwd("root:x:0:0::/elsewhere:/bin/sh\n")
        #expect(try exec("echo $HOME; cat /place/home").lines == ["/elsewhere", "/root"])
    }

    @Test("accounts that the container has exchanged for a FIFO or a link out of it hold nobody up and tell nothing")
    func hostileAccounts() throws {
        try create()
        defer { delete() }
        let place = "\(fixture.root)/etc/passwd"
        unlink(place)
        mkfifo(place, 0o666)
        #expect(try exec("echo $HOME").lines == ["/"])
        unlink(place)
        let outside = "\(fixture.directory)/passwd"
        try File.replace(outside, with: Array("root:x:0:0::/secret:/bin/sh\n".utf8), mode: 0o644)
        symlink(outside, place)
        #expect(try exec("echo $HOME").lines == ["/"])
        unlink(place)
        try passwd("root:x:0:0::/root:/bin/sh\n")
        // Who holds a lease is told of whoever wants the file.
        signal(SIGIO, SIG_IGN)
        defer { signal(SIGIO, SIG_DFL) }
        let leased = try File.open(place, O_RDWR)
        try check(mlr_fcntl_int(leased.rawValue, 1024 /* F_SETLEASE */, F_WRLCK), "take a lease")
        #expect(try exec("echo $HOME").lines == ["/"])
    }

    @Test("a user namespace that the first process has made for itself is not joined, and the container's own is")
    func namespaceOfItsOwn() throws {
        try create { $0.process?.args = ["busybox", "unshare", "-U", "-r", "sleep", "1000"] }
        let first = try #require(try containers.process("one"))
        let own = try File.readLink("/proc/self/ns/user")
        for _ in 0..<500 where try File.readLink("/proc/\(first.pid)/ns/user") == own { usleep(10_000) }
        #expect(try File.readLink("/proc/\(first.pid)/ns/user") != own)
        #expect(try exec("readlink /proc/self/ns/user").lines == [own])
        delete()

        chown(fixture.root, 200_000, 200_000)
        try create { $0 = LaunchFixture.inUserNamespace($0) }
        defer { delete() }
        let container = try #require(try containers.process("one"))
        let made = try File.readLink("/proc/\(container.pid)/ns/user")
        #expect(try made != own && exec("readlink /proc/self/ns/user").lines == [made])
    }

    @Test("the container's personality and memory policy hold for a further process too")
    func policies() throws {
        try create {
            $0.linux?.personality = .init(domain: "LINUX32", flags: ["ADDR_NO_RANDOMIZE"])
            $0.linux?.memoryPolicy = .init(mode: "MPOL_BIND", nodes: "0")
        }
        defer { delete() }
        let outcome = try exec("cat /proc/self/personality; exec cat /proc/self/numa_maps")
        #expect(outcome.lines.first == "00040008", "\(outcome)")
        #expect(outcome.output.contains("bind:0"), "\(outcome)")
    }

    @Test("what is kept for exec has all of the configuration that a further process needs")
    func record() {
        var spec = LaunchFixture.inUserNamespace(LaunchFixture.spec("true"))
        spec.linux?.personality = .init(domain: "LINUX32")
        spec.linux?.memoryPolicy = .init(mode: "MPOL_BIND", nodes: "0")
        spec.linux?.intelRdt = .init(closID: "gold")
        let record = ExecRecord(spec, program: nil)
        #expect(record.spec.linux?.namespaces == spec.linux?.namespaces)
        #expect(record.spec.linux?.personality == spec.linux?.personality)
        #expect(record.spec.linux?.memoryPolicy == spec.linux?.memoryPolicy)
        #expect(record.spec.linux?.intelRdt == spec.linux?.intelRdt)
        #expect(ExecRecord(record.bytes) == record)
    }

    @Test(
        "in a created container a process can be started, which cannot reach into the one that waits",
        arguments: [false, true])
    func created(inUserNamespace: Bool) throws {
        chown(fixture.root, inUserNamespace ? 200_000 : 0, inUserNamespace ? 200_000 : 0)
        try create(starts: false) { if inUserNamespace { $0 = LaunchFixture.inUserNamespace($0) } }
        defer { delete() }
        let outcome = try exec("for place in /bin /proc/1/exe /proc/1/root /proc/1/fd/*; do readlink -f $place; done")
        #expect(outcome.lines == ["/bin"], "\(outcome)")
        #expect(try containers.state("one").status == .created)
        try containers.start("one")
        #expect(try containers.state("one").status == .running)
        #expect(try exec("readlink /proc/1/exe").lines == ["/bin/busybox"])
    }

    @Test(
        "a container without a procfs is created and starts, and takes further processes",
        arguments: [nil, "tmpfs"], [false, true])
    func withoutProcfs(instead type: String?, inUserNamespace: Bool) throws {
        chown(fixture.root, inUserNamespace ? 200_000 : 0, inUserNamespace ? 200_000 : 0)
        try create(starts: false) { spec in
            spec.mounts.removeAll { $0.destination == "/proc" }
            if let type { spec.mounts.insert(.init(destination: "/proc", type: type, source: type), at: 0) }
            spec.process?.user = .init(uid: 1000, gid: 1000)
            if inUserNamespace { spec = LaunchFixture.inUserNamespace(spec) }
        }
        defer { delete() }
        #expect(try containers.state("one").status == .created)
        try containers.start("one")
        #expect(try containers.state("one").status == .running)
        #expect(try exec("echo inside").lines == ["inside"])
    }
}
