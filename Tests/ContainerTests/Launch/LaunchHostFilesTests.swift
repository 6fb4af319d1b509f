import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import Container

/// A container's root without a user namespace is the host's root: what it is shown of the host must not be its to change.
@Suite(.serialized, .enabled(if: LaunchFixture.isPossible, "needs root and busybox-static"))
struct LaunchHostFilesTests {
    let fixture: LaunchFixture

    init() throws { fixture = try LaunchFixture() }

    private static func mode(_ path: String) throws -> UInt32 { try File.status(path).mode & 0o7777 }

    @Test("the mode of the host's null device cannot be changed through a masked file")
    func maskedFiles() throws {
        let before = try Self.mode("/dev/null")
        defer { chmod("/dev/null", before) }
        let outcome = try fixture.run(
            LaunchFixture.spec("busybox chmod 667 /proc/keys && echo changed; echo x > /proc/keys && echo written"))
        #expect(outcome.lines == ["written"], "\(outcome.error)")
        #expect(try Self.mode("/dev/null") == before)
    }

    @Test("nor through an output that is the null device, as an entry point does that owns /dev/stdout")
    func nullStreams() throws {
        let before = try Self.mode("/dev/null")
        defer { chmod("/dev/null", before) }
        let spec = LaunchFixture.spec(
            "busybox chmod 667 /dev/stdout /proc/self/fd/2 && echo x && busybox chown 7 /dev/stdin")
        let plan = try LaunchPlanner.plan(
            spec, host: try HostFacts.discover(), options: .init(bundle: fixture.directory))
        func null() throws -> SharedDescriptor { SharedDescriptor(try File.open("/dev/null", O_RDWR)) }
        let process = try Launcher.launch(
            LaunchRequest(
                plan: plan, root: .path(fixture.root),
                streams: .files(input: try null(), output: try null(), error: try null())))
        #expect(try process.wait() == .exited(0))
        #expect(try Self.mode("/dev/null") == before)
        #expect(try File.status("/dev/null").uid == 0)
    }

    @Test("nor through a node that was bound in because none can be made")
    func boundNodes() throws {
        let before = try Self.mode("/dev/null")
        defer { chmod("/dev/null", before) }
        var spec = LaunchFixture.spec("busybox chmod 667 /dev/null && echo changed; echo x > /dev/null && echo written")
        spec.mounts.append(
            .init(destination: "/dev/null", type: "bind", source: "/dev/null", options: ["bind", "ro"]))
        #expect(try fixture.run(spec).lines == ["written"])
        var facts = try HostFacts.discover()
        facts.capabilities.subtract(CapabilitySet([.mknod]))
        let plan = try LaunchPlanner.plan(
            LaunchFixture.spec("busybox chmod 667 /dev/zero && echo changed; head -c 1 /dev/zero | busybox wc -c"),
            host: facts, options: .init(bundle: fixture.directory))
        let outcome = try LaunchFixture.capture { streams in
            try Launcher.launch(LaunchRequest(plan: plan, root: .path(fixture.root), streams: streams))
        }
        #expect(!outcome.lines.contains("changed"), "\(outcome.error)")
    }

    @Test("a file that the output goes to keeps its owner, whoever the container's user is")
    func outputFiles() throws {
        let path = "\(fixture.directory)/output"
        var spec = LaunchFixture.spec("echo said")
        spec.process?.user = .init(uid: 1234, gid: 1234)
        let plan = try LaunchPlanner.plan(
            spec, host: try HostFacts.discover(), options: .init(bundle: fixture.directory))
        let output = SharedDescriptor(try File.open(path, O_WRONLY | O_CREAT, mode: 0o644))
        let process = try Launcher.launch(
            LaunchRequest(
                plan: plan, root: .path(fixture.root), streams: .files(input: nil, output: output, error: nil)))
        #expect(try process.wait() == .exited(0))
        #expect(try File.readText(path) == "said\n")
        #expect(try File.status(path).uid == 0)
    }

    @Test("a container has a session keyring of its own, and so has a command that joins it")
    func keyrings() throws {
        func keyring(_ name: String?) throws -> LaunchPlan {
            try LaunchPlanner.plan(
                exec: .init(args: ["true"], cwd: "/"), linux: .init(), container: 1, host: try HostFacts.discover(),
                joining: [.mount], keyring: name)
        }
        #expect(try keyring("_ses.x").steps.contains(.keyring("_ses.x")))
        #expect(try !keyring(nil).steps.contains { if case .keyring = $0 { true } else { false } })
    }
}
