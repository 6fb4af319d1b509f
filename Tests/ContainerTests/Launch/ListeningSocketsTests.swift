import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import Container

@Suite(.enabled(if: LaunchFixture.isPossible, "needs root and busybox-static"))
struct ListeningSocketsTests {
    let fixture: LaunchFixture
    private static let script = "echo $LISTEN_PID $$ $LISTEN_FDS ${LISTEN_FDNAMES-unnamed}; readlink /proc/self/fd/3"

    init() throws { fixture = try LaunchFixture() }

    private func file() throws -> SharedDescriptor { SharedDescriptor(try File.open("/dev/null", O_RDONLY)) }

    /// Whether the program found its own number, and what else it was told.
    private func told(_ outcome: LaunchFixture.Outcome) -> (isOwn: Bool, rest: [Substring], file: String?) {
        let words = outcome.lines.first?.split(separator: " ") ?? []
        guard words.count == 4 else { return (false, words, nil) }
        return (words[0] == words[1], Array(words[2...]), outcome.lines.last)
    }

    @Test("the first process is told its own number, in a pid namespace of its own and in the host's")
    func firstProcess() throws {
        var spec = LaunchFixture.spec(Self.script)
        spec.process?.env.append("LISTEN_PID=4711")
        var found = told(try fixture.run(spec, extra: [try file()], listening: .init(count: 1, names: "http")))
        #expect(found.isOwn && found.rest == ["1", "http"] && found.file == "/dev/null", "\(found)")
        spec.linux?.namespaces.removeAll { $0.kind == .pid }
        found = told(try fixture.run(spec, extra: [try file()], listening: .init(count: 1)))
        #expect(found.isOwn && found.rest == ["1", "unnamed"], "\(found)")
    }

    @Test("a process that joins a container is told its number there, also under a filter that forbids to ask for it")
    func joiningProcess() throws {
        let host = try HostFacts.discover()
        var spec = LaunchFixture.spec("")
        spec.process?.args = ["sleep", "1000"]
        let container = try Launcher.launch(
            LaunchRequest(
                plan: try LaunchPlanner.plan(spec, host: host), root: .path(fixture.root),
                streams: .files(input: nil, output: nil, error: nil)))
        defer { _ = try? container.kill() }
        // The shell knows its number by the same call: what it cannot ask for, /proc tells.
        let script = "read number rest </proc/self/stat; echo $LISTEN_PID $number $LISTEN_FDS unnamed"
        var linux = spec.linux
        linux?.seccomp = .init(
            defaultAction: "SCMP_ACT_ALLOW",
            syscalls: [.init(names: ["getpid"], action: "SCMP_ACT_ERRNO", errnoRet: 38)])
        let outcome = try LaunchFixture.capture { [linux] streams in
            var request = ExecRequest(
                container: container, linux: linux, host: host,
                process: LaunchFixture.spec(script).process ?? .init(), streams: streams, extraDescriptors: [try file()]
            )
            request.listening = .init(count: 1)
            return try ContainerExec.run(request)
        }
        let found = told(outcome)
        #expect(found.isOwn && found.rest == ["1", "unnamed"], "\(outcome)")
    }

    @Test("who has no sockets is told of none, and keeps what its configuration says")
    func none() throws {
        var spec = LaunchFixture.spec("echo ${LISTEN_FDS-none} ${LISTEN_PID-none}")
        #expect(try fixture.run(spec).lines == ["none none"])
        spec.process?.env.append("LISTEN_FDS=2")
        #expect(try fixture.run(spec).lines == ["2 none"])
    }
}
