import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import Container

/// What of `process` and `linux` changes how the program runs, as the kernel tells it from inside.
@Suite(.bothNamespaces, .enabled(if: LaunchFixture.isPossible, "needs root and busybox-static"))
struct ProcessSettingTests {
    let fixture: LaunchFixture

    init() throws { fixture = try LaunchFixture() }

    private func run(_ script: String, _ change: (inout RuntimeSpec) -> Void) throws -> LaunchFixture.Outcome {
        var spec = LaunchFixture.spec(script)
        change(&spec)
        return try fixture.run(spec)
    }

    private func failure(_ change: (inout RuntimeSpec) -> Void) -> String {
        do {
            let outcome = try run("true", change)
            return "it ran: \(outcome.status)"
        } catch { return "\(error)" }
    }

    private func expectRefusal(_ words: String, _ change: (inout RuntimeSpec) -> Void) {
        let said = failure(change)
        #expect(said.contains(words), "\(said)")
    }

    @Test(
        "scheduling policies are set, with nice values and flags",
        arguments: [
            ("SCHED_OTHER", "0", 7, nil), ("SCHED_BATCH", "3", 4, nil), ("SCHED_IDLE", "5", 0, nil),
            ("SCHED_FIFO", "1", nil, 10), ("SCHED_RR", "2", nil, 20),
        ] as [(String, String, Int32?, Int32?)])
    func schedulers(_ policy: String, _ number: String, _ nice: Int32?, _ priority: Int32?) throws {
        // Field 41 of stat is the policy, 40 the real-time priority, 19 the nice value (proc_pid_stat(5)).
        let outcome = try run("") {
            $0.process?.args = ["cat", "/proc/self/stat"]
            $0.process?.scheduler = .init(
                policy: policy, nice: nice, priority: priority, flags: ["SCHED_FLAG_RESET_ON_FORK"])
        }
        let fields = outcome.output.split(separator: " ").map(String.init)
        #expect(fields.count > 41, "\(outcome.error)")
        #expect(fields[40] == number && fields[39] == "\(priority ?? 0)")
        if let nice { #expect(fields[18] == "\(nice)") }
    }

    @Test("a deadline is set with its three times")
    func deadline() throws {
        let outcome = try run("") {
            $0.process?.args = ["cat", "/proc/self/stat"]
            $0.process?.scheduler = .init(
                policy: "SCHED_DEADLINE", flags: ["SCHED_FLAG_RECLAIM"], runtime: 1_000_000, deadline: 10_000_000,
                period: 20_000_000)
        }
        #expect(outcome.output.split(separator: " ").dropFirst(40).first == "6", "\(outcome.error)")
    }

    @Test("an impossible schedule names its field")
    func wrongSchedule() {
        expectRefusal("process.scheduler") { $0.process?.scheduler = .init(policy: "SCHED_FIFO", priority: 1000) }
        expectRefusal("process.scheduler.policy") { $0.process?.scheduler = .init(policy: "SCHED_NEW") }
    }

    @Test("personalities show in uname and in the address space")
    func personality() throws {
        let outcome = try run("") {
            $0.process?.args = ["cat", "/proc/self/personality"]
            $0.linux?.personality = .init(domain: "LINUX32", flags: ["ADDR_NO_RANDOMIZE", "STICKY_TIMEOUTS"])
        }
        #expect(outcome.lines == ["04040008"], "\(outcome.error)")
        expectRefusal("linux.personality.flags") { $0.linux?.personality = .init(domain: "LINUX", flags: ["NO_SUCH"]) }
    }

    @Test("a memory policy shows in the process's maps, and one without nodes is refused where it needs some")
    func memoryPolicy() throws {
        let outcome = try run("") {
            $0.process?.args = ["cat", "/proc/self/numa_maps"]
            $0.linux?.memoryPolicy = .init(mode: "MPOL_BIND", nodes: "0", flags: ["MPOL_F_STATIC_NODES"])
        }
        #expect(
            outcome.output.contains("bind=static:0") || outcome.output.contains("bind:0"),
            "\(outcome.lines.prefix(3)) \(outcome.error)")
        expectRefusal("linux.memoryPolicy.nodes") { $0.linux?.memoryPolicy = .init(mode: "MPOL_BIND") }
        expectRefusal("linux.memoryPolicy.nodes") { $0.linux?.memoryPolicy = .init(mode: "MPOL_LOCAL", nodes: "0") }
    }

    @Test("a limit that is there already takes no right; one above the hard limit names the right and the field")
    func limits() throws {
        var present = mlr_limit()
        try check(mlr_prlimit(0, 7, nil, &present), "look up a limit")
        let same = try run("ulimit -n") {
            $0.process?.rlimits = [.init(type: "RLIMIT_NOFILE", soft: present.soft, hard: present.hard)]
        }
        #expect(same.status == .exited(0), "\(same.error)")
        guard try !HostFacts.discover().capabilities.contains(.sysResource), present.hard < 1 << 40 else { return }
        let said = failure {
            $0.process?.rlimits = [.init(type: "RLIMIT_NOFILE", soft: 1, hard: present.hard + 1)]
        }
        #expect(
            said.contains("CAP_SYS_RESOURCE") && said.contains("process.rlimits") && said.contains("RLIMIT_NOFILE"),
            "\(said)")
    }

    @Test("the score for the kernel's OOM killer is set, and one that is there already takes no right")
    func oomScore() throws {
        let raised = try run("cat /proc/self/oom_score_adj") { $0.process?.oomScoreAdj = 500 }
        #expect(raised.lines == ["500"])
        let present = Int(try File.readText("/proc/self/oom_score_adj").trimmed) ?? 0
        #expect(try run("cat /proc/self/oom_score_adj") { $0.process?.oomScoreAdj = present }.lines == ["\(present)"])
        guard try !HostFacts.discover().capabilities.contains(.sysResource) else { return }
        expectRefusal("process.oomScoreAdj: ") { $0.process?.oomScoreAdj = -1000 }
    }

    @Test("the affinity of processes that join is not the first process's")
    func affinityOfFirst() throws {
        let before = try File.readText("/proc/self/status").split(separator: "\n").first {
            $0.hasPrefix("Cpus_allowed_list")
        }
        let outcome = try run("") {
            $0.process?.args = ["cat", "/proc/self/status"]
            $0.process?.execCPUAffinity = .init(initial: "0", final: "0")
        }
        let after = outcome.lines.first { $0.hasPrefix("Cpus_allowed_list") }
        #expect(after == before.map(String.init))
    }

    @Test(
        "a joining process starts on the initial processors and ends on the final ones",
        arguments: ["initial", "final"])
    func affinity(_ which: String) throws {
        var spec = LaunchFixture.spec("")
        spec.process?.args = ["sleep", "1000"]
        let host = try HostFacts.discover()
        let container = try Launcher.launch(
            LaunchRequest(
                plan: try LaunchPlanner.plan(spec, host: host), root: .path(fixture.root),
                streams: .files(input: nil, output: nil, error: nil)))
        defer { _ = try? container.kill() }
        var process = spec.process ?? .init()
        process.args = ["cat", "/proc/self/status"]
        process.execCPUAffinity = which == "initial" ? .init(initial: "0") : .init(final: "0")
        let outcome = try LaunchFixture.capture { streams in
            try ContainerExec.run(
                .init(container: container, linux: spec.linux, host: host, process: process, streams: streams))
        }
        #expect(outcome.lines.contains("Cpus_allowed_list:\t0"), "\(outcome.error)")
        process.execCPUAffinity = .init(initial: "0", final: "4000")
        #expect(throws: LaunchError.self) {
            try ContainerExec.run(.init(container: container, linux: spec.linux, host: host, process: process))
        }
    }

    @Test("capabilities that sets exclude each other from are left out with a warning each")
    func capabilityWarnings() throws {
        var spec = LaunchFixture.spec("true")
        spec.process?.capabilities = .init(
            effective: ["CAP_KILL", "CAP_CHOWN"], bounding: ["CAP_KILL"], permitted: ["CAP_KILL"],
            ambient: ["CAP_KILL", "CAP_NO_SUCH"])
        let warnings = try LaunchPlanner.plan(spec, host: LaunchPlanTests.host).warnings
        #expect(warnings.contains { $0.contains("effective: CAP_CHOWN") })
        #expect(warnings.contains { $0.contains("ambient: CAP_KILL") })
        #expect(warnings.contains { $0.contains("CAP_NO_SUCH is no capability") })
    }

    @Test("a working directory that only root may enter serves another user too, as engines have it")
    func workingDirectoryOfRoot() throws {
        mkdir("\(fixture.root)/private", 0o700)
        var spec = LaunchFixture.spec("id -u; pwd; ls /private")
        spec.process?.user.uid = 1000
        spec.process?.cwd = "/private"
        let outcome = try fixture.run(spec)
        #expect(outcome.lines == ["1000", "/private"])
        #expect(outcome.error.contains("ermission denied"), "the user may read what it was only put into")
    }

    @Test("device nodes belong to root also where a directory hands its group on")
    func deviceOwners() throws {
        try check(chown("\(fixture.root)/dev", 0, 50), "chown")
        try check(chmod("\(fixture.root)/dev", 0o2755), "chmod")
        var spec = LaunchFixture.spec("stat -c %u:%g /dev/null /dev/zero /dev/tty")
        spec.mounts.removeAll { $0.destination.hasPrefix("/dev") }
        let outcome = try fixture.run(spec)
        #expect(outcome.lines == ["0:0", "0:0", "0:0"], "\(outcome.error)")
    }
}
