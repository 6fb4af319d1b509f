import LinuxSystem
import OCISpec
import Testing

@testable import Container

/// Filters whose program may do less than it takes to get to it.
@Suite(.enabled(if: LaunchFixture.isPossible, "needs root and busybox-static"))
struct SeccompLaunchTests {
    let fixture: LaunchFixture

    init() throws { fixture = try LaunchFixture() }

    /// What the player does on its way, but for reporting and execve(2) itself.
    private static let filter = RuntimeSpec.Seccomp(
        defaultAction: "SCMP_ACT_ALLOW",
        syscalls: [
            .init(
                names: [
                    "openat2", "getcwd", "chdir", "fchdir", "setresuid", "setresgid", "setgroups", "capset", "capget",
                    "prctl", "faccessat", "faccessat2", "close_range", "setsid", "umask", "seccomp", "dup3", "setns",
                ], action: "SCMP_ACT_ERRNO")
        ])

    private func spec(_ user: UInt32, noNewPrivileges: Bool) -> RuntimeSpec {
        var spec = LaunchFixture.spec("")
        spec.process?.args = ["cat", "/proc/self/status"]
        spec.process?.noNewPrivileges = noNewPrivileges
        spec.process?.user = .init(uid: user, gid: user)
        spec.linux?.seccomp = Self.filter
        return spec
    }

    private func field(_ name: String, of outcome: LaunchFixture.Outcome) -> String? {
        outcome.lines.first { $0.hasPrefix("\(name):") }?.split(separator: "\t").last.map(String.init)
    }

    private func check(_ outcome: LaunchFixture.Outcome, _ user: UInt32, noNewPrivileges: Bool) throws {
        #expect(field("Seccomp", of: outcome) == "2", "\(outcome)")
        #expect(field("NoNewPrivs", of: outcome) == (noNewPrivileges ? "1" : "0"))
        // The right to load the filter is not the program's.
        let host = try HostFacts.discover()
        let rights = CapabilitySet.dockerDefault.intersection(host.capabilities).rawValue
        for name in ["CapPrm", "CapEff"] {
            #expect(field(name, of: outcome).flatMap { UInt64($0, radix: 16) } == (user == 0 ? rights : 0), "\(name)")
        }
        #expect(field("CapBnd", of: outcome).flatMap { UInt64($0, radix: 16) } == rights)
    }

    @Test(
        "a filter may forbid all that leads to the program, with and without no_new_privs, and gives it no right",
        arguments: [(0, true), (0, false), (1000, true), (1000, false)] as [(UInt32, Bool)])
    func launches(_ user: UInt32, _ noNewPrivileges: Bool) throws {
        let outcome = try fixture.run(spec(user, noNewPrivileges: noNewPrivileges))
        try check(outcome, user, noNewPrivileges: noNewPrivileges)
    }

    @Test("so it may for a container that is created first and started later, and for a process that joins it")
    func createsAndJoins() throws {
        let containers = ContainerDirectory(root: "\(fixture.directory)/state")
        try File.replace(
            "\(fixture.directory)/config.json", with: spec(0, noNewPrivileges: false).json.bytes(), durable: false)
        let outcome = try LaunchFixture.capture { streams in
            var options = CreateOptions(bundle: fixture.directory)
            options.cgroupManager = .disabled
            options.streams = streams
            let (process, _) = try containers.create("filtered", options)
            let waiting = try File.readText("/proc/\(process.pid)/status")
            // Out of effect until it is needed.
            let effective = waiting.split(separator: "\n").first { $0.hasPrefix("CapEff:") }?.split(separator: "\t")
                .last
            let bits = try #require(effective.flatMap { UInt64($0, radix: 16) })
            #expect(bits & CapabilitySet([.sysAdmin]).rawValue == 0)
            try containers.start("filtered")
            return process
        }
        try check(outcome, 0, noNewPrivileges: false)
        try containers.delete("filtered")

        var sleeper = spec(0, noNewPrivileges: false)
        sleeper.process?.args = ["sleep", "1000"]
        try File.replace("\(fixture.directory)/config.json", with: sleeper.json.bytes(), durable: false)
        var options = CreateOptions(bundle: fixture.directory)
        options.cgroupManager = .disabled
        options.streams = .files(input: nil, output: nil, error: nil)
        options.startsAtOnce = true
        _ = try containers.create("sleeps", options)
        let joined = try LaunchFixture.capture { streams in
            var options = ExecOptions()
            options.streams = streams
            let process = try #require(spec(1000, noNewPrivileges: false).process)
            return try containers.exec("sleeps", process, options)
        }
        try check(joined, 1000, noNewPrivileges: false)
        try containers.delete("sleeps", force: true)
    }

    /// What is left of a container's two files.
    enum Left: CaseIterable {
        case both, configuration, exec, damagedExec, emptyExec, neither
    }

    @Test(
        "a process that joins gets the filter as it was kept, or anew from the configuration",
        arguments: Left.allCases)
    func kept(_ left: Left) throws {
        let containers = ContainerDirectory(root: "\(fixture.directory)/state")
        var sleeper = spec(0, noNewPrivileges: true)
        sleeper.process?.args = ["sleep", "1000"]
        try File.replace("\(fixture.directory)/config.json", with: sleeper.json.bytes(), durable: false)
        var options = CreateOptions(bundle: fixture.directory)
        options.cgroupManager = .disabled
        options.streams = .files(input: nil, output: nil, error: nil)
        options.startsAtOnce = true
        _ = try containers.create("kept", options)
        defer { _ = try? containers.delete("kept", force: true) }
        let file = containers.execFile("kept")
        let whole = try File.read(file)
        switch left {
        case .both: break
        case .configuration: try File.removeIfPresent(file)
        case .exec: try File.removeIfPresent(containers.configuration("kept"))
        case .damagedExec: try File.replace(file, with: Array(whole.dropLast()), durable: false)
        case .emptyExec: try File.replace(file, with: [], durable: false)
        case .neither:
            try File.removeIfPresent(file)
            try File.removeIfPresent(containers.configuration("kept"))
        }
        let process = try #require(spec(0, noNewPrivileges: true).process)
        func join() throws -> LaunchFixture.Outcome {
            try LaunchFixture.capture { streams in
                var options = ExecOptions()
                options.streams = streams
                return try containers.exec("kept", process, options)
            }
        }
        if left == .neither {
            #expect(throws: ContainerError.self) { try join() }
        } else {
            let outcome = try join()
            try check(outcome, 0, noNewPrivileges: true)
        }
    }

    @Test("what is kept for joining processes has no rules beside the filter that they made, and is read only whole")
    func record() throws {
        let program = try SeccompFilter.compile(Self.filter)
        let record = ExecRecord(spec(0, noNewPrivileges: true), program: program)
        #expect(record.spec.linux?.seccomp?.syscalls == [] && record.program == program && record.spec.mounts == [])
        #expect(ExecRecord(record.bytes) == record)
        for count in [0, 5, 20, 30, record.bytes.count - 1] {
            #expect(ExecRecord(Array(record.bytes.prefix(count))) == nil, "\(count)")
        }
        // Rules that were lost would let everything pass.
        #expect(ExecRecord(ExecRecord(record.spec, program: nil).bytes) == nil)
        var asking = spec(0, noNewPrivileges: true)
        asking.linux?.seccomp?.syscalls.append(.init(names: ["mkdir"], action: "SCMP_ACT_NOTIFY"))
        let whole = ExecRecord(asking, program: program)
        #expect(whole.program == nil && whole.spec.linux?.seccomp == asking.linux?.seccomp)
        #expect(ExecRecord(whole.bytes) == whole)
    }
}
