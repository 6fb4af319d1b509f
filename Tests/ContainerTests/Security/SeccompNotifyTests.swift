import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import Container

/// System calls that an agent decides, with a real one that answers (seccomp_unotify(2)).
@Suite(.enabled(if: LaunchFixture.isPossible, "needs root and busybox-static"))
struct SeccompNotifyTests {
    let fixture: LaunchFixture
    let socket: String

    init() throws {
        fixture = try LaunchFixture()
        socket = "\(fixture.directory)/agent.sock"
    }

    static func profile(_ socket: String, flags: [String] = []) -> RuntimeSpec.Seccomp {
        .init(
            defaultAction: "SCMP_ACT_ALLOW", flags: flags, listenerPath: socket, listenerMetadata: "model=silero",
            syscalls: [.init(names: ["mkdir", "mkdirat"], action: "SCMP_ACT_NOTIFY")])
    }

    /// Takes one listener and answers every notification with an errno, until the filter's last process is gone.
    private func agent(answering errno: Int32) throws -> TestThread<(ContainerProcessState, Int)> {
        let listening = SharedDescriptor(
            taking: try check(mlr_socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0), "create a socket"))
        try check(mlr_bind_unix(listening.rawValue, socket), "bind", path: socket)
        try check(mlr_listen(listening.rawValue, 4), "listen", path: socket)
        return TestThread {
            let connection = OwnedDescriptor(taking: try check(mlr_accept(listening.rawValue, 0), "accept"))
            var bytes = [UInt8](repeating: 0, count: 1 << 16)
            var descriptor: Int32 = -1
            var count = 1
            let got = try check(
                mlr_receive_descriptors(connection.rawValue, &bytes, bytes.count, &descriptor, &count, 0), "receive")
            let listener = OwnedDescriptor(taking: descriptor)
            let rest = try File.readAll(connection.rawValue)
            let state = try ContainerProcessState(
                JSONCursor(try JSON(parsing: Array(bytes.prefix(Int(got))) + rest)))
            return (state, try Self.answer(listener.rawValue, errno))
        }
    }

    private static func answer(_ listener: Int32, _ errno: Int32) throws -> Int {
        var answered = 0
        while true {
            var entry = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
            if poll(&entry, 1, 30_000) <= 0 || entry.revents & Int16(POLLIN) == 0 { return answered }
            var notification = [UInt64](repeating: 0, count: 10)
            let received = notification.withUnsafeMutableBytes { mlr_ioctl(listener, 0xC050_2100, $0.baseAddress) }
            if received < 0 { continue }
            // id, value, and error with flags in one word.
            var response: [UInt64] = [notification[0], 0, UInt64(UInt32(bitPattern: -errno))]
            let sent = response.withUnsafeMutableBytes { mlr_ioctl(listener, 0xC018_2101, $0.baseAddress) }
            if sent >= 0 { answered += 1 }
        }
    }

    @Test(
        "the agent gets the listener with the container's state, and what it answers is what the program sees",
        arguments: [true, false])
    func answers(_ noNewPrivileges: Bool) throws {
        let agent = try agent(answering: ENOMEDIUM)
        var spec = LaunchFixture.spec("mkdir /place/x; exec /bin/busybox mkdir /place/y")
        symlink("busybox", "\(fixture.root)/bin/mkdir")
        spec.process?.noNewPrivileges = noNewPrivileges
        spec.linux?.seccomp = Self.profile(socket)
        let plan = try LaunchPlanner.plan(spec, host: try HostFacts.discover())
        let outcome = try LaunchFixture.capture { streams in
            var request = LaunchRequest(plan: plan, root: .path(fixture.root), streams: streams)
            request.hookState = .init(id: "agent", status: .creating, bundle: "/bundle", annotations: ["a": "b"])
            return try Launcher.launch(request)
        }
        #expect(outcome.error.lowercased().contains("no medium found"), "\(outcome.error)")
        let (state, answered) = try agent.value()
        #expect(answered == 2)
        #expect(state.fds == ["seccompFd"] && state.metadata == "model=silero")
        #expect(state.state.id == "agent" && state.state.status == .creating && state.state.annotations == ["a": "b"])
        #expect(state.pid > 0 && state.state.pid == state.pid)
        #expect(!File.exists("\(fixture.root)/place/x"))
    }

    @Test("a created container's agent has the listener before start, and a joining process's gets one of its own")
    func createAndExec() throws {
        let containers = ContainerDirectory(root: "\(fixture.directory)/state")
        symlink("busybox", "\(fixture.root)/bin/mkdir")
        var spec = LaunchFixture.spec("mkdir /place/x; exec sleep 1000")
        spec.linux?.seccomp = Self.profile(socket)
        try File.replace("\(fixture.directory)/config.json", with: spec.json.bytes(), durable: false)
        var options = CreateOptions(bundle: fixture.directory)
        options.cgroupManager = .disabled
        options.streams = .files(input: nil, output: nil, error: nil)
        let first = try agent(answering: EDQUOT)
        let (process, _) = try containers.create("agent", options)
        defer { _ = try? containers.delete("agent", force: true) }
        try containers.start("agent")
        unlink(socket)
        let second = try agent(answering: EXDEV)
        var joining = spec.process ?? .init()
        joining.args = ["mkdir", "/place/y"]
        let outcome = try LaunchFixture.capture { streams in
            var options = ExecOptions()
            options.streams = streams
            return try containers.exec("agent", joining, options)
        }
        #expect(outcome.error.lowercased().contains("cross-device"), "\(outcome.error)")
        let told = try second.value()
        #expect(told.0.state.status == .running && told.0.state.pid == process.pid && told.0.pid != process.pid)
        try process.kill()
        #expect(try first.value().1 == 1)
    }

    @Test("an agent that is not there stops the creation, named by its field")
    func noAgent() throws {
        var spec = LaunchFixture.spec("true")
        spec.linux?.seccomp = Self.profile(socket)
        let error = #expect(throws: LaunchError.self) { try fixture.run(spec) }
        #expect(error?.description.hasPrefix("linux.seccomp.listenerPath: cannot connect") == true)
        #expect(error?.description.contains(socket) == true)
    }

    @Test("profiles whose listener could not work are refused, each by its field")
    func refusals() throws {
        func problem(_ change: (inout RuntimeSpec.Seccomp) -> Void) -> String? {
            var spec = LaunchFixture.spec("true")
            var profile = Self.profile("/run/agent")
            change(&profile)
            spec.linux?.seccomp = profile
            do throws(PlanError) {
                _ = try LaunchPlanner.plan(spec, host: LaunchPlanTests.host)
                return nil
            } catch { return error.problems.first?.path }
        }
        #expect(problem { _ in } == nil)
        #expect(
            problem {
                $0.listenerPath = nil; $0.listenerMetadata = nil
            } == "linux.seccomp.listenerPath")
        #expect(problem { $0.listenerPath = nil } == "linux.seccomp.listenerMetadata")
        #expect(problem { $0.defaultAction = "SCMP_ACT_NOTIFY" } == "linux.seccomp.defaultAction")
        #expect(problem { $0.syscalls[0].names = ["sendmsg"] } == "linux.seccomp.syscalls[0]")
        #expect(
            problem {
                $0.syscalls = []
                $0.flags = ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]
            } == "linux.seccomp.flags[0]")
        #expect(problem { $0.flags = ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"] } == nil)
    }

    @Test("each flag of seccomp(2) that this kernel takes is taken, alone and with a listener")
    func flags() throws {
        let supported = SeccompFilter.supportedFlags()
        #expect(supported.contains("SECCOMP_FILTER_FLAG_LOG") && supported.contains("SECCOMP_FILTER_FLAG_TSYNC"))
        for flag in supported where flag != "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" {
            var spec = LaunchFixture.spec("true")
            spec.linux?.seccomp = .init(
                defaultAction: "SCMP_ACT_ALLOW", flags: [flag],
                syscalls: [.init(names: ["mkdir"], action: "SCMP_ACT_ERRNO")])
            #expect(try fixture.run(spec).status == .exited(0), "\(flag)")
        }
        let agent = try agent(answering: EPERM)
        var spec = LaunchFixture.spec("true")
        spec.linux?.seccomp = Self.profile(socket, flags: supported)
        #expect(try fixture.run(spec).status == .exited(0))
        #expect(try agent.value().1 == 0)
    }

    @Test("a filter that allows next to nothing still lets the program start: nothing of the player's runs under it")
    func strict() throws {
        var spec = LaunchFixture.spec("")
        spec.process?.args = ["/bin/true"]
        let calls = [
            "execve", "exit", "exit_group", "brk", "arch_prctl", "set_tid_address", "set_robust_list", "rseq",
            "prlimit64",
            "mprotect", "uname", "getrandom", "prctl", "readlink", "readlinkat", "getuid", "setuid", "setgid", "getgid",
            "munmap", "mmap", "fstat", "newfstatat", "ioctl",
        ]
        spec.linux?.seccomp = .init(
            defaultAction: "SCMP_ACT_KILL_PROCESS", syscalls: [.init(names: calls, action: "SCMP_ACT_ALLOW")])
        #expect(try fixture.run(spec).status == .exited(0))
    }

    @Test("the second start with one profile asks libseccomp for nothing")
    func cached() throws {
        let cache = "\(fixture.directory)/cache"
        let profile = RuntimeSpec.Seccomp(
            defaultAction: "SCMP_ACT_ALLOW", syscalls: [.init(names: ["mkdir"], action: "SCMP_ACT_ERRNO")])
        let first = try SeccompFilter.compile(profile, cache: cache)
        let second = try SeccompFilter.compile(profile, cache: cache) { _ throws(SeccompError) in
            throw SeccompError(reason: "compiled again")
        }
        #expect(first == second)
        var other = profile
        other.defaultAction = "SCMP_ACT_LOG"
        #expect(throws: SeccompError.self) {
            try SeccompFilter.compile(other, cache: cache) { _ throws(SeccompError) in
                throw SeccompError(reason: "compiled")
            }
        }
    }
}
