import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import Container

@Suite(.enabled(if: LaunchFixture.isPossible, "needs root and busybox-static"))
struct LaunchExecTests {
    let fixture: LaunchFixture
    let host: HostFacts

    init() throws {
        fixture = try LaunchFixture()
        host = try HostFacts.discover()
    }

    private func sleeper(_ change: (inout RuntimeSpec) -> Void = { _ in }) throws -> ContainerProcess {
        var spec = LaunchFixture.spec("sleep 1000")
        spec.process?.args = ["sleep", "1000"]
        change(&spec)
        let plan = try LaunchPlanner.plan(spec, host: host)
        return try Launcher.launch(
            LaunchRequest(
                plan: plan, root: .path(fixture.root), streams: .files(input: nil, output: nil, error: nil)))
    }

    private func exec(
        _ script: String, in container: ContainerProcess,
        _ linux: RuntimeSpec.Linux? = LaunchFixture.inUserNamespace(LaunchFixture.spec("")).linux
    ) throws -> LaunchFixture.Outcome {
        try LaunchFixture.capture { streams in
            try ContainerExec.run(
                ExecRequest(
                    container: container, linux: linux, host: host,
                    process: LaunchFixture.spec(script).process ?? .init(), streams: streams))
        }
    }

    @Test("a process that joins a container sees its processes, host name, files and network")
    func joins() throws {
        let container = try sleeper()
        defer { _ = try? container.kill() }
        let outcome = try exec(
            "cat /proc/1/cmdline; echo; cat /proc/sys/kernel/hostname; ls /sys/class/net; ls /", in: container)
        #expect(outcome.status == .exited(0), "\(outcome.error)")
        #expect(outcome.lines.first == "sleep\u{0}1000\u{0}")
        #expect(Array(outcome.lines[1...2]) == ["sentiment", "lo"])
        #expect(!outcome.lines.contains("work/main"))
        for kind in RuntimeSpec.Namespace.Kind.allCases where kind != .user && kind != .time {
            let theirs = try File.readLink("/proc/\(container.pid)/ns/\(kind.link)")
            #expect(try exec("readlink /proc/self/ns/\(kind.link)", in: container).lines == [theirs])
        }
    }

    @Test("a process joins a container with a user namespace as its root")
    func joinsUserNamespace() throws {
        chown(fixture.root, 200_000, 200_000)
        let container = try sleeper { $0 = LaunchFixture.inUserNamespace($0) }
        defer { _ = try? container.kill() }
        let outcome = try exec("id -u; cat /proc/self/uid_map; cat /proc/self/status", in: container)
        #expect(outcome.lines.first == "0", "\(outcome.error)")
        #expect(outcome.lines.dropFirst().first?.split(separator: " ") == ["0", "200000", "65536"])
        #expect(outcome.lines.contains("NoNewPrivs:\t1"))
    }

    @Test("a joining process has its rights cut as the first one's: capabilities and no_new_privs")
    func rights() throws {
        let container = try sleeper()
        defer { _ = try? container.kill() }
        let status = try exec("cat /proc/self/status", in: container).lines
        let expected = CapabilitySet.dockerDefault.intersection(host.capabilities).rawValue
        let bounding = status.first { $0.hasPrefix("CapBnd") }?.split(separator: "\t").last
        #expect(bounding.flatMap { UInt64($0, radix: 16) } == expected)
        #expect(status.contains("NoNewPrivs:\t1"))
    }

    @Test("a program that the container lacks is 127, and the container goes on")
    func missingProgram() throws {
        let container = try sleeper()
        defer { _ = try? container.kill() }
        let error = #expect(throws: LaunchError.self) {
            _ = try ContainerExec.run(
                ExecRequest(
                    container: container, linux: LaunchFixture.spec("").linux, host: host,
                    process: .init(args: ["nvidia-smi"])))
        }
        #expect(error == .programNotFound("nvidia-smi"))
        #expect(try container.poll() == nil)
    }

    @Test("a process is adopted by pid and start time, and by nothing less")
    func adoption() throws {
        let container = try sleeper()
        let adopted = try ContainerProcess.adopt(pid: container.pid, startTime: container.startTime)
        #expect(adopted?.pid == container.pid)
        #expect(try ContainerProcess.adopt(pid: container.pid, startTime: container.startTime + 1) == nil)
        #expect(try container.kill() == .killed(.kill, coreDumped: false))
        #expect(try ContainerProcess.adopt(pid: container.pid, startTime: container.startTime) == nil)
        // Not a child any more: the kernel of 6.15 and later still tells how it ended.
        let status = try adopted?.wait()
        #expect(status == .killed(.kill, coreDumped: false) || status == .unknown)
    }

    @Test("a container with a terminal gets one of its own, which it controls")
    func console() throws {
        var spec = LaunchFixture.spec("tty; stat -c %t /dev/console; read line; echo got $line")
        spec.process?.terminal = true
        let plan = try LaunchPlanner.plan(spec, host: host)
        let process = try Launcher.launch(
            LaunchRequest(
                plan: plan, root: .path(fixture.root), streams: .console(.init(height: 40, width: 120))))
        let console = try #require(process.console)
        var rows: UInt16 = 0
        var columns: UInt16 = 0
        #expect(mlr_get_window_size(console.rawValue, &rows, &columns) == 0)
        #expect((rows, columns) == (40, 120))
        try File.writeAll(Array("hello\n".utf8), to: console.rawValue)
        try process.wait()
        var text = ""
        var bytes = [UInt8](repeating: 0, count: 4096)
        while true {
            let got = read(console.rawValue, &bytes, bytes.count)
            if got <= 0 { break }
            text += String(decoding: bytes[..<got], as: UTF8.self)
        }
        #expect(text.contains("/dev/pts/0"))
        #expect(text.contains("88"))
        #expect(text.contains("got hello"))
    }

    @Test("a gated container runs its program only once the gate is opened")
    func gate() throws {
        let fifo = "\(fixture.directory)/exec.fifo"
        try StartGate.make(fifo)
        let plan = try LaunchPlanner.plan(
            LaunchFixture.spec("touch /place/started"), host: host, options: .init(isGated: true))
        let process = try Launcher.launch(
            LaunchRequest(
                plan: plan, root: .path(fixture.root), streams: .files(input: nil, output: nil, error: nil),
                gate: .fifo(fifo)))
        #expect(try process.poll() == nil)
        #expect(!File.exists("\(fixture.root)/place/started"))
        try StartGate.open(fifo, for: process, program: "sh")
        #expect(try process.wait() == .exited(0))
        #expect(File.exists("\(fixture.root)/place/started"))
    }

    @Test("a container at its gate holds nothing open that its launcher has")
    func gateHoldsNothing() throws {
        var ends: [Int32] = [-1, -1]
        try check(mlr_pipe(&ends, 0), "create a pipe")
        defer { close(ends[0]) }
        let fifo = "\(fixture.directory)/exec.fifo"
        try StartGate.make(fifo)
        let plan = try LaunchPlanner.plan(LaunchFixture.spec("true"), host: host, options: .init(isGated: true))
        let process = try Launcher.launch(
            LaunchRequest(
                plan: plan, root: .path(fixture.root), streams: .files(input: nil, output: nil, error: nil),
                gate: .fifo(fifo)))
        defer { _ = try? process.kill() }
        close(ends[1])
        var entry = pollfd(fd: ends[0], events: Int16(POLLIN), revents: 0)
        #expect(poll(&entry, 1, 5000) == 1)
        #expect(entry.revents & Int16(POLLHUP) != 0)
    }

    @Test("the process starts inside its cgroup", .enabled(if: LaunchExecTests.hasCgroup2, "needs a cgroup2 hierarchy"))
    func cgroup() throws {
        let group = try CgroupHierarchy.discover().group(at: "/mlrun-launch-test-\(File.randomName())")
        try File.makeDirectories(group.path)
        defer { try? group.remove() }
        let directory = SharedDescriptor(try group.openDirectory())
        let outcome = try fixture.run(LaunchFixture.spec("cat /proc/self/cgroup"), cgroup: directory)
        // Its own cgroup namespace makes the container's cgroup the root.
        #expect(outcome.lines.contains("0::/"), "\(outcome.output)")
    }

    static var hasCgroup2: Bool { (try? CgroupHierarchy.discover()) != nil }
}
