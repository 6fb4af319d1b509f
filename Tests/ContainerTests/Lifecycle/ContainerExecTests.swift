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
}
