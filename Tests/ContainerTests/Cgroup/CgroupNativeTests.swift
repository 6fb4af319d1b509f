import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import Container

/// What this machine lets the tests do.
private enum Machine {
    /// Root, with a cgroup2 hierarchy that takes groups, whatever controllers it has.
    static let hasGroups: Bool = {
        guard geteuid() == 0, let hierarchy = try? CgroupHierarchy.discover() else { return false }
        let path = hierarchy.mountPoint + "/mlrun-probe-\(File.randomName())"
        guard mkdir(path, 0o755) == 0 else { return false }
        return rmdir(path) == 0
    }()
    static let hasLimits: Bool = {
        guard hasGroups, let controllers = try? CgroupHierarchy.discover().controllers() else { return false }
        return controllers.isSuperset(of: ["cpu", "memory", "pids"])
    }()
    static let hasIO: Bool = {
        guard hasLimits, let controllers = try? CgroupHierarchy.discover().controllers() else { return false }
        return controllers.contains("io") && getenv("MLRUN_TEST_DISK") != nil
    }()
}

/// A group of a test's own with the processes put into it; everything is gone when its life ends.
private final class TestGroup {
    let hierarchy: CgroupHierarchy
    let group: Cgroup
    let top: String
    private var children: [Int32] = []

    init(_ resources: RuntimeSpec.Resources = .init()) throws {
        hierarchy = try CgroupHierarchy.discover()
        top = "mlrun-test-\(File.randomName())"
        group = try hierarchy.create("/\(top)/replica", resources: resources, policy: .strict).cgroup
    }

    deinit {
        let whole = Cgroup(path: "\(hierarchy.mountPoint)/\(top)")
        try? whole.kill()
        // One that has not got as far as its group yet.
        for child in children { _ = Glibc.kill(child, SIGKILL) }
        for child in children { _ = waitpid(child, nil, 0) }
        _ = try? whole.waitUntilEmpty(deadline: mlr_monotonic_nanoseconds() + 10_000_000_000)
        try? whole.remove()
    }

    /// Runs a shell script inside the group.
    @discardableResult
    func run(_ script: String) throws -> Int32 {
        var child: pid_t = 0
        // Without the test's own standard streams: a process that a failing test loses must not keep their reader waiting.
        let command = "exec </dev/null >/dev/null 2>&1\necho $$ > \(group.path)/cgroup.procs || exit 99\n\(script)"
        var arguments: [UnsafeMutablePointer<CChar>?] = []
        for argument in ["/bin/sh", "-c", command] { arguments.append(strdup(argument)) }
        arguments.append(nil)
        defer { for argument in arguments { free(argument) } }
        // Whoever runs the tests may ignore or block signals; what is tested here does not.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        let result = posix_spawn(&child, "/bin/sh", nil, &attributes, &arguments, environ)
        try #require(result == 0)
        children.append(child)
        return child
    }

    /// The status of the child's end, as wait(2) has it.
    func status(of child: Int32) -> Int32 {
        var status: Int32 = 0
        _ = waitpid(child, &status, 0)
        children.removeAll { $0 == child }
        return status
    }

    func waitForProcesses(_ count: Int, in group: Cgroup? = nil) throws {
        let group = group ?? self.group
        let deadline = mlr_monotonic_nanoseconds() + 20_000_000_000
        while try !group.exists || group.processes().count < count {
            try #require(mlr_monotonic_nanoseconds() < deadline, "the processes did not come to be")
            usleep(2000)
        }
    }
}

private func deadline(seconds: UInt64 = 10) -> UInt64 { mlr_monotonic_nanoseconds() + seconds * 1_000_000_000 }

@Suite("Groups on this machine", .enabled(if: Machine.hasGroups, "needs root and a writable cgroup2 hierarchy"))
struct CgroupNativeTests {
    @Test("kill ends every process, also in groups below, and the wait sees the last one go")
    func kill() throws {
        let test = try TestGroup()
        #expect(try test.group.waitUntilEmpty(deadline: 0))
        try test.run("sleep 1000 & sleep 1000 & sleep 1000")
        try test.run("mkdir \(test.group.path)/inner && echo $$ > \(test.group.path)/inner/cgroup.procs && sleep 1000")
        try test.waitForProcesses(2, in: Cgroup(path: test.group.path + "/inner"))
        try test.waitForProcesses(6)
        #expect(try test.group.isPopulated())
        #expect(try test.group.processes(recursive: false).count == 4)
        let before = mlr_monotonic_nanoseconds()
        #expect(try !test.group.waitUntilEmpty(deadline: before + 50_000_000))
        #expect(mlr_monotonic_nanoseconds() - before >= 50_000_000)
        #expect(throws: CgroupError.self) { try test.group.remove() }

        try test.group.kill()
        #expect(try test.group.waitUntilEmpty(deadline: deadline()))
        try test.group.remove()
        #expect(!test.group.exists)
        try test.group.remove()
        try test.group.kill()
        #expect(try test.group.waitUntilEmpty(deadline: nil))
    }

    @Test("without cgroup.kill the processes are walked, even while they fork")
    func killByWalking() throws {
        let test = try TestGroup()
        try test.run("while :; do sleep 0.01 & done")
        try test.waitForProcesses(3)
        try test.group.killByWalking()
        #expect(try test.group.waitUntilEmpty(deadline: deadline()))
        #expect(try !test.group.isFrozen())
    }

    @Test("a signal reaches every process")
    func signal() throws {
        let test = try TestGroup()
        let child = try test.run("sleep 1000 & sleep 1000 & wait")
        try test.waitForProcesses(3)
        try test.group.signal(SIGTERM)
        #expect(test.status(of: child) & 0x7F == SIGTERM)
        #expect(try test.group.waitUntilEmpty(deadline: deadline()))
    }

    @Test("frozen processes stand still until they are thawed, and die frozen")
    func freeze() throws {
        let test = try TestGroup()
        try test.run("while :; do :; done")
        try test.waitForProcesses(1)
        try test.group.freeze(deadline: deadline())
        #expect(try test.group.isFrozen())
        let first = try #require(try test.group.statistics().cpu).usage
        usleep(50_000)
        #expect(try #require(try test.group.statistics().cpu).usage == first)
        try test.group.thaw()
        #expect(try !test.group.isFrozen())
        try test.group.freeze(deadline: deadline())
        try test.group.kill()
        #expect(try test.group.waitUntilEmpty(deadline: deadline()))
    }

    @Test("processes can be moved in, and the directory serves CLONE_INTO_CGROUP")
    func add() throws {
        let test = try TestGroup()
        let child = try test.run("exec sleep 1000")
        try test.waitForProcesses(1)
        let other = Cgroup(path: test.group.path + "/other")
        #expect(mkdir(other.path, 0o755) == 0)
        try other.add(process: child)
        #expect(try other.processes() == [child])
        let directory = try test.group.openDirectory()
        #expect(try File.status(of: directory.rawValue).mode & UInt32(S_IFMT) == UInt32(S_IFDIR))
        #expect(throws: CgroupError.self) { try other.add(process: 0x3FFF_FFFF) }
    }

    @Test("the device filter is enforced, replaced in place, and taken by the verifier in every shape")
    func devices() throws {
        let test = try TestGroup()
        let deny = RuntimeSpec.Resources.DeviceRule(allow: false, access: "rwm")
        let null = try #require(try HostDevice(lookingUp: "/dev/null"))
        #expect(null.kind == .character && null.major == 1 && null.minor == 3)
        let zero = try #require(try HostDevice(lookingUp: "/dev/zero"))
        #expect(try HostDevice(lookingUp: "/tmp") == nil)
        func succeeds(_ script: String) throws -> Bool { test.status(of: try test.run(script)) == 0 }

        do { try DeviceFilter.apply([deny, null.rule()], to: test.group) } catch {
            // Some sandboxes let no program be loaded: then exactly this error is right.
            #expect(error.kind == .limit(field: "devices", controller: "devices"))
            #expect(try !DeviceFilter.apply([deny], to: test.group, withoutPermission: .skip))
            return
        }
        #expect(try succeeds("cat /dev/null"))
        #expect(try !succeeds("head -c 1 /dev/zero"))
        try DeviceFilter.apply([deny, zero.rule(access: "r"), null.rule()], to: test.group)
        #expect(try succeeds("head -c 1 /dev/zero"))
        #expect(try !succeeds("(echo > /dev/zero)"))
        try DeviceFilter.apply([deny], to: test.group)
        #expect(try !succeeds("cat /dev/null"))
        try DeviceFilter.apply([], to: test.group)
        #expect(try succeeds("cat /dev/null"))
    }

    @Test(
        "a limit whose controller is missing is refused, and nothing is left behind",
        .enabled(if: !Machine.hasLimits, "this machine has all controllers"))
    func missing() throws {
        let name = "mlrun-test-\(File.randomName())"
        let hierarchy = try CgroupHierarchy.discover()
        let error = #expect(throws: CgroupError.self) {
            try hierarchy.create("/\(name)/a", resources: .init(memory: .init(limit: 1 << 28)))
        }
        #expect(error?.kind == .limit(field: "memory.limit", controller: "memory"))
        #expect(!File.exists("\(hierarchy.mountPoint)/\(name)"))
    }
}

@Suite(
    "Limits on this machine", .enabled(if: Machine.hasLimits, "needs a cgroup v2 with cpu, memory and pids"),
    .serialized)
struct CgroupEnforcementTests {
    @Test("memory.max kills the whole group, and the events say why")
    func memory() throws {
        let test = try TestGroup(.init(memory: .init(limit: 32 << 20, swap: 32 << 20)))
        #expect(try test.group.read("memory.max") == "\(32 << 20)\n")
        #expect(try test.group.memoryEvents() == .init())
        let child = try test.run("sleep 1000 & tail /dev/zero")
        #expect(test.status(of: child) & 0x7F == SIGKILL)
        #expect(try test.group.waitUntilEmpty(deadline: deadline()), "oom.group left a process")
        let events = try #require(try test.group.memoryEvents())
        #expect(events.oomKill >= 1 && events.oom >= 1 && events.max >= 1 && events.oomGroupKill >= 1)
        let memory = try #require(try test.group.statistics().memory)
        #expect(memory.limit == 32 << 20)
        if let peak = memory.peak { #expect(peak > 16 << 20 && peak <= 33 << 20) }
    }

    @Test("pids.max refuses forks")
    func pids() throws {
        let test = try TestGroup(.init(pids: .init(limit: 4)))
        let child = try test.run("for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; wait")
        #expect(test.status(of: child) != 0)
        let pids = try #require(try test.group.statistics().pids)
        #expect(pids.limit == 4 && pids.current <= 4)
        #expect(try CgroupText.keyed(test.group.read("pids.events"))["max"] ?? 0 >= 1)
    }

    @Test("cpu.max throttles")
    func cpu() throws {
        let test = try TestGroup(.init(cpu: .init(shares: 512, quota: 10_000, period: 100_000)))
        try test.run("while :; do :; done")
        try test.waitForProcesses(1)
        let start = try #require(try test.group.statistics().cpu)
        let began = mlr_monotonic_nanoseconds()
        usleep(2_000_000)
        let end = try #require(try test.group.statistics().cpu)
        let wall = Double(mlr_monotonic_nanoseconds() - began) / 1000
        let share = Double(end.usage - start.usage) / wall
        #expect(share > 0.02 && share < 0.2, "a tenth of a processor was allowed, \(share) was used")
        #expect(try #require(end.throttledPeriods) > 5)
    }

    @Test("limits of a running group change, to more, to less, and to none")
    func update() throws {
        let test = try TestGroup(.init(memory: .init(limit: 64 << 20), pids: .init(limit: 10)))
        try test.run("exec sleep 1000")
        try test.waitForProcesses(1)
        let resources = RuntimeSpec.Resources(
            memory: .init(limit: 128 << 20), cpu: .init(period: 50_000), pids: .init(limit: -1),
            unified: ["memory.high": "100M"])
        #expect(try test.group.apply(resources, in: test.hierarchy, policy: .strict).isEmpty)
        #expect(try test.group.read("memory.max") == "\(128 << 20)\n")
        #expect(try test.group.read("memory.high") == "\(100 << 20)\n")
        #expect(try test.group.read("pids.max") == "max\n")
        #expect(try test.group.read("cpu.max") == "max 50000\n")
        let error = #expect(throws: CgroupError.self) {
            try test.group.apply(.init(cpu: .init(quota: 1)), in: test.hierarchy, policy: .strict)
        }
        #expect(error?.cause.contains("cpu.max") == true)
    }

    @Test("a group that holds processes cannot hand controllers down, and the error says which and what to do")
    func internalProcesses() throws {
        let test = try TestGroup()
        let child = try test.run("exec sleep 1000")
        try test.waitForProcesses(1)
        let error = #expect(throws: CgroupError.self) {
            try test.hierarchy.create(
                "/\(test.top)/replica/inner", resources: .init(memory: .init(limit: 1 << 28)), policy: .strict)
        }
        #expect(error?.cause.contains("holds processes (\(child))") == true, "\(error as Any)")
        #expect(try test.group.children().isEmpty)
        #expect(try test.group.enabledControllers().isEmpty)
    }

    @Test("io.max slows writing down", .enabled(if: Machine.hasIO, "needs the io controller and MLRUN_TEST_DISK"))
    func io() throws {
        let directory = String(cString: try #require(getenv("MLRUN_TEST_DISK")))
        let disk = try File.status(directory)
        let test = try TestGroup(
            .init(
                blockIO: .init(throttleWriteBpsDevice: [
                    .init(major: Int64(disk.device_major), minor: Int64(disk.device_minor), rate: 1 << 20)
                ])))
        let began = mlr_monotonic_nanoseconds()
        let child = try test.run("dd if=/dev/zero of=\(directory)/slow bs=256k count=12 oflag=direct")
        #expect(test.status(of: child) == 0)
        #expect(mlr_monotonic_nanoseconds() - began > 1_500_000_000)
        let io = try #require(try test.group.statistics().io?["\(disk.device_major):\(disk.device_minor)"])
        #expect(io.writtenBytes >= 3 << 20)
    }
}

/// systemd takes a scope's group away with its last process, before anybody has deleted the container.
@Suite struct GoneGroupTests {
    @Test("a group that is gone has no processes to be listed, signalled or killed, and is removed already")
    func gone() throws {
        let group = ContainerCgroup(unified: Cgroup(path: "/sys/fs/cgroup/mlrun-never-made"), path: "/mlrun-never-made")
        #expect(try group.processes().isEmpty)
        try group.signal(SIGKILL)
        try group.kill()
        try group.remove()
    }
}
