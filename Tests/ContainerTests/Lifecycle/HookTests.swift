import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import Container

/// The six kinds of hooks (runtime-spec, config.md and runtime.md).
@Suite(.enabled(if: LaunchFixture.isPossible, "needs root and busybox-static"))
struct HookTests {
    let fixture: LaunchFixture
    let containers: ContainerDirectory

    init() throws {
        fixture = try LaunchFixture()
        containers = ContainerDirectory(root: "\(fixture.directory)/state")
        chmod("\(fixture.root)/tmp", 0o1777)
        symlink("busybox", "\(fixture.root)/bin/env")
    }

    private func options(_ hooks: RuntimeSpec.Hooks, _ script: String = "true") throws -> CreateOptions {
        var spec = LaunchFixture.spec(script)
        spec.hooks = hooks
        spec.process?.env.append("LD_PRELOAD=/tmp/evil.so")
        try File.replace("\(fixture.directory)/config.json", with: spec.json.bytes(), durable: false)
        var options = CreateOptions(bundle: fixture.directory)
        options.cgroupManager = .disabled
        options.streams = .files(input: nil, output: nil, error: nil)
        return options
    }

    /// A hook that tells where it is, who asked for it and what is around it.
    private func witness(_ stage: String, in directory: String, shell: String = "/bin/sh") -> RuntimeSpec.Hook {
        let script = """
            read state; { echo "$state"; pwd; env; readlink /proc/self/ns/net; } > \(directory)/\(stage)
            """
        return .init(path: shell, args: ["sh", "-c", script], env: ["ONLY=\(stage)", "PATH=/bin:/usr/bin"])
    }

    private func said(_ stage: String, in directory: String) throws -> (state: ContainerState, lines: [String]) {
        let lines = try File.readText("\(directory)/\(stage)").split(separator: "\n").map(String.init)
        let state = try ContainerState(JSONCursor(try JSON(parsing: Array(try #require(lines.first).utf8))))
        return (state, Array(lines.dropFirst()))
    }

    @Test("each kind runs at its point with the state of then, in its namespaces, with its own environment alone")
    func all() throws {
        let place = fixture.directory
        let hooks = RuntimeSpec.Hooks(
            prestart: [witness("prestart", in: place)], createRuntime: [witness("createRuntime", in: place)],
            createContainer: [witness("createContainer", in: place)],
            startContainer: [witness("startContainer", in: "/tmp")], poststart: [witness("poststart", in: place)],
            poststop: [witness("poststop", in: place)])
        let (process, _) = try containers.create("all", try options(hooks, "sleep 1000"))
        defer { _ = try? process.kill() }
        #expect(!File.exists("\(fixture.root)/tmp/startContainer"))
        try containers.start("all")
        let network = try File.readLink("/proc/\(process.pid)/ns/net")
        let own = try File.readLink("/proc/self/ns/net")
        try process.kill()
        #expect(try containers.delete("all") == [])
        let expected: [(String, ContainerState.Status, String, String, String)] = [
            ("prestart", .created, place, place, own), ("createRuntime", .created, place, place, own),
            ("createContainer", .created, place, place, network),
            ("startContainer", .created, "\(fixture.root)/tmp", "/", network),
            ("poststart", .running, place, place, own), ("poststop", .stopped, place, place, own),
        ]
        for (stage, status, directory, working, namespace) in expected {
            let (state, lines) = try said(stage, in: directory)
            #expect(state.status == status && state.id == "all" && state.bundle == place, "\(stage)")
            let seen = namespace == own ? process.pid : 1
            #expect(state.pid == (status == .stopped ? nil : seen), "\(stage)")
            #expect(lines.first == working, "\(stage)")
            #expect(lines.last == namespace, "\(stage)")
            #expect(lines.contains("ONLY=\(stage)") && !lines.contains { $0.hasPrefix("LD_PRELOAD") }, "\(stage)")
        }
    }

    @Test("hooks in a container that joins a pid namespace are told its process's number there")
    func joinsNumbers() throws {
        let (host, _) = try containers.create("host", try options(.init(), "sleep 1000"))
        defer { try? containers.delete("host", force: true) }
        var options = try options(.init())
        var spec = try RuntimeSpec(JSONCursor(try JSON(parsing: try File.read("\(fixture.directory)/config.json"))))
        spec.linux?.namespaces.removeAll { $0.kind == .pid }
        spec.linux?.namespaces.append(.init(.pid, path: "/proc/\(host.pid)/ns/pid"))
        // A hook's parent is the process that becomes the container's.
        func hook(_ file: String) -> RuntimeSpec.Hook {
            let script = "{ read state; echo \"$state\"; echo $PPID; } > \(file)"
            return .init(path: "/bin/sh", args: ["sh", "-c", script])
        }
        spec.hooks = .init(createContainer: [hook("\(fixture.directory)/first")], startContainer: [hook("/tmp/second")])
        try File.replace("\(fixture.directory)/config.json", with: spec.json.bytes(), durable: false)
        options.startsAtOnce = true
        let (process, _) = try containers.create("guest", options)
        defer {
            // The other one's end waits for this one to be taken away, which only its parent can.
            _ = try? process.kill()
            try? containers.delete("guest", force: true)
        }
        for (stage, directory) in [("first", fixture.directory), ("second", "\(fixture.root)/tmp")] {
            let (state, lines) = try said(stage, in: directory)
            #expect(state.pid.map(String.init) == lines.first && state.pid != process.pid, "\(stage)")
        }
    }

    private static let failing = RuntimeSpec.Hook(path: "/bin/sh", args: ["sh", "-c", "exit 7"])

    @Test(
        "a hook before the program that fails stops the creation, is named, and leaves nothing",
        arguments: ["prestart", "createRuntime", "createContainer"])
    func failsCreate(_ stage: String) throws {
        var hooks = RuntimeSpec.Hooks(poststop: [witness("poststop", in: fixture.directory)])
        switch stage {
        case "prestart": hooks.prestart = [Self.failing]
        case "createRuntime": hooks.createRuntime = [Self.failing]
        default: hooks.createContainer = [Self.failing]
        }
        let error = #expect(throws: ContainerError.self) { try containers.create("x", try options(hooks)) }
        #expect(error?.description == "\(stage) hook /bin/sh exited with code 7")
        #expect(try containers.list().isEmpty)
        #expect(try said("poststop", in: fixture.directory).state.status == .stopped)
    }

    @Test("a startContainer hook that fails stops the start, and is named")
    func failsStart() throws {
        let (process, _) = try containers.create("x", try options(.init(startContainer: [Self.failing])))
        let error = #expect(throws: ContainerError.self) { try containers.start("x") }
        #expect(error?.description == "startContainer hook /bin/sh exited with code 7")
        #expect(error?.exitCode == 1)
        try process.wait()
        try containers.delete("x", force: true)
    }

    @Test("a hook after the program's start that fails ends the container and is named", arguments: [false, true])
    func failsAfterStart(_ atOnce: Bool) throws {
        let place = fixture.directory
        let hooks = RuntimeSpec.Hooks(
            poststart: [Self.failing, witness("poststart", in: place)],
            poststop: [Self.failing, witness("poststop", in: place)])
        var options = try options(hooks, "echo $$ > /tmp/pid; sleep 1000")
        options.startsAtOnce = atOnce
        let process = atOnce ? nil : try containers.create("x", options).process
        let error = #expect(throws: ContainerError.self) {
            if atOnce { _ = try containers.create("x", options) } else { try containers.start("x") }
        }
        #expect(
            error?.description
                == "poststart hook /bin/sh exited with code 7; poststop hook /bin/sh exited with code 7")
        #expect(error?.exitCode == 1)
        #expect(!File.exists("\(place)/poststart"), "hooks behind the one that failed run")
        let seen = try said("poststop", in: place).state
        #expect(seen.status == .stopped)
        #expect(try containers.list().isEmpty)
        if let process { #expect(kill(process.pid, 0) < 0 || (try? process.wait()) != nil) }
        try containers.delete("x", force: true)
    }

    @Test("hooks after the container's end only warn, and all of them run")
    func warnsOnly() throws {
        let place = fixture.directory
        let hooks = RuntimeSpec.Hooks(poststop: [Self.failing, witness("poststop", in: place)])
        let (process, _) = try containers.create("x", try options(hooks, "sleep 1000"))
        try containers.start("x")
        try process.kill()
        #expect(try containers.delete("x") == ["poststop hook /bin/sh exited with code 7"])
        #expect(File.exists("\(place)/poststop"))
        #expect(try containers.list().isEmpty)
    }

    @Test("a hook that does not end in time is killed and named", arguments: ["createRuntime", "createContainer"])
    func timeout(_ stage: String) throws {
        let slow = RuntimeSpec.Hook(path: "/bin/sh", args: ["sh", "-c", "sleep 100"], timeout: 1)
        let hooks = stage == "createRuntime" ? RuntimeSpec.Hooks(createRuntime: [slow]) : .init(createContainer: [slow])
        let error = #expect(throws: ContainerError.self) { try containers.create("x", try options(hooks)) }
        #expect(
            error?.description.hasPrefix("\(stage) hook /bin/sh did not end") == true, "\(String(describing: error))")
    }

    private func failure(_ stage: String, _ script: String, timeout: Int? = nil) throws -> String {
        let hook = RuntimeSpec.Hook(path: "/bin/sh", args: ["sh", "-c", script], timeout: timeout)
        var hooks = RuntimeSpec.Hooks()
        switch stage {
        case "createRuntime": hooks.createRuntime = [hook]
        case "createContainer": hooks.createContainer = [hook]
        default: hooks.startContainer = [hook]
        }
        let options = try options(hooks)
        let error = #expect(throws: ContainerError.self) {
            let (process, _) = try containers.create("x", options)
            // This process is its parent, and nobody else can take it away.
            defer { _ = try? process.kill() }
            _ = try containers.start("x")
        }
        try containers.delete("x", force: true)
        return "\(error.map(String.init(describing:)) ?? "no error")"
    }

    private static let stages = ["createRuntime", "createContainer", "startContainer"]

    @Test("what a hook said last is in its error, in one line without control characters", arguments: stages)
    func said(_ stage: String) throws {
        #expect(
            try failure(stage, #"echo out; printf 'cli: \033[31mno\r\n\tsuch \302\233device\n\n' >&2; exit 4"#)
                == "\(stage) hook /bin/sh exited with code 4: cli: [31mno such device")
        #expect(
            try failure(stage, "echo no device; echo >&2; exit 4")
                == "\(stage) hook /bin/sh exited with code 4: no device")
        #expect(try failure(stage, "exit 4") == "\(stage) hook /bin/sh exited with code 4")
    }

    @Test("a hook that says more than is kept is not held up, and its last words are told", arguments: stages)
    func muchSaid(_ stage: String) throws {
        let error = try failure(
            stage, "head -c 1000000 /dev/zero | tr '\\0' a | tee /dev/stderr; echo ' end' >&2; exit 4")
        #expect(error.hasPrefix("\(stage) hook /bin/sh exited with code 4: aaa"))
        #expect(error.hasSuffix("aaa end"), "\(error)")
        #expect(error.utf8.count < 4200)
    }

    @Test("whom a hook leaves behind with its streams is not waited for", arguments: stages)
    func leavesDaemon(_ stage: String) throws {
        let began = mlr_monotonic_nanoseconds()
        #expect(try failure(stage, "yes >&2 & sleep 30 & echo no device >&2; exit 4").contains("exited with code 4: "))
        #expect(mlr_monotonic_nanoseconds() - began < 20_000_000_000)
    }

    @Test("a hook that does not end in time is told of with what it said", arguments: stages)
    func saidInTime(_ stage: String) throws {
        #expect(
            try failure(stage, "echo waiting >&2; sleep 100", timeout: 1)
                == "\(stage) hook /bin/sh did not end within 1 s and was killed: waiting")
    }

    @Test("a hook that is not there is no missing program: its error never has the kernel's sentence for that")
    func missing() throws {
        let gone = RuntimeSpec.Hook(path: "/no/such/hook")
        for hooks in [RuntimeSpec.Hooks(createRuntime: [gone]), .init(createContainer: [gone])] {
            let error = #expect(throws: ContainerError.self) { try containers.create("x", try options(hooks)) }
            #expect(
                error?.description.contains("hook /no/such/hook cannot be run") == true, "\(String(describing: error))")
            #expect(error?.description.contains("no such file") == false)
        }
    }
}
