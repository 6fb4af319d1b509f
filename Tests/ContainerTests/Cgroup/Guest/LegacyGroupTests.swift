import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import Container

/// Hierarchies of cgroup v1, mounted by the tests in a machine of their own: `scripts/test` boots one for them.
@Suite(
    .enabled(
        if: GroupUnderTest.isSet("MLRUN_TEST_LEGACY_CGROUPS"), "needs a machine of its own: scripts/test boots one"),
    .serialized)
struct LegacyGroupTests {
    typealias Resources = RuntimeSpec.Resources

    /// A host of version 1 alone, as far as the tests can see.
    private static let legacy: HostCgroups? = {
        var controllers: [String: String?] = [:]
        let top = "/tmp/mlrun-legacy"
        for controller in ["memory", "cpu", "cpuacct", "pids", "blkio", "devices", "freezer", "net_cls"] {
            let path = "\(top)/\(controller)"
            try? File.makeDirectories(path)
            if mlr_mount("cgroup", path, "cgroup", 0, controller) == 0 { controllers[controller] = path }
        }
        return HostCgroups(layout: .legacy, unifiedMount: nil, ownGroup: nil, legacyControllers: controllers)
    }()

    private func host() throws -> HostCgroups {
        let host = try #require(Self.legacy)
        try #require(host.legacyControllers.count >= 7, "\(host.legacyControllers)")
        return host
    }

    private func read(_ test: GroupUnderTest, _ controller: String, _ file: String) throws -> String {
        try #require(test.group.legacy[controller]).read(file).filter { !$0.isWhitespace }
    }

    @Test("limits are written, changed and removed with the groups")
    func limits() throws {
        let host = try host()
        let test = try GroupUnderTest(
            .init(
                memory: .init(limit: 64 << 20, reservation: 32 << 20, swappiness: 10),
                cpu: .init(shares: 512, quota: 20_000, period: 100_000), pids: .init(limit: 30),
                network: .init(classID: 0x10_0001)), on: host)
        #expect(try read(test, "memory", "memory.limit_in_bytes") == "\(64 << 20)")
        #expect(try read(test, "memory", "memory.soft_limit_in_bytes") == "\(32 << 20)")
        #expect(try read(test, "memory", "memory.swappiness") == "10")
        #expect(try read(test, "cpu", "cpu.shares") == "512")
        #expect(try read(test, "cpu", "cpu.cfs_quota_us") == "20000")
        #expect(try read(test, "pids", "pids.max") == "30")
        #expect(try read(test, "net_cls", "net_cls.classid") == "\(0x10_0001)")
        try test.update(
            .init(memory: .init(limit: 128 << 20), cpu: .init(quota: 5000, period: 10_000), pids: .init(limit: -1)))
        #expect(try read(test, "memory", "memory.limit_in_bytes") == "\(128 << 20)")
        #expect(try read(test, "cpu", "cpu.cfs_period_us") == "10000")
        #expect(try read(test, "pids", "pids.max") == "max")
        let error = #expect(throws: CgroupError.self) { try test.update(.init(unified: ["memory.high": "1"])) }
        #expect(error?.kind == .limit(field: "unified.memory.high", controller: "memory"))
        let hugetlb = #expect(throws: CgroupError.self) {
            try test.update(.init(hugepageLimits: [.init(pageSize: "2MB", limit: 1)]))
        }
        #expect(hugetlb?.cause.contains("hugetlb") == true)
        let paths = test.group.legacy.values.map(\.path)
        try test.group.remove()
        for path in paths { #expect(!File.exists(path), "\(path) is left") }
        #expect(!File.exists("/tmp/mlrun-legacy/memory/mlrun-test"), "the parent that was made is left")
    }

    @Test("memory kills, processes are refused, the processor is throttled, and it is all told")
    func effects() throws {
        let test = try GroupUnderTest(
            .init(
                memory: .init(limit: 32 << 20, swap: nil), cpu: .init(quota: 10_000, period: 100_000),
                pids: .init(limit: 8)), on: try host())
        var watch = try test.group.watch()
        let child = try test.run("tail /dev/zero; exit 3")
        #expect(try watch.wait(deadline: GroupUnderTest.deadline(seconds: 60)).contains(.outOfMemory(kills: 1)))
        _ = test.status(of: child)
        #expect(try test.group.outOfMemoryKills() ?? 0 >= 1)
        #expect(try !test.succeeds("for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done"))
        try test.group.kill()
        #expect(try test.group.waitUntilEmpty(deadline: GroupUnderTest.deadline()))
        try test.run("while :; do :; done")
        try test.wait("throttling") { try test.group.statistics().cpu?.throttledPeriods ?? 0 > 3 }
        let data = try test.group.statistics().eventData
        #expect(data["memory"]?["usage"]?["limit"]?.int == 32 << 20)
        #expect(data["memory"]?["usage"]?["failcnt"]?.int ?? 0 > 0)
        #expect(data["cpu"]?["usage"]?["percpu"]?.array?.isEmpty == false)
        #expect(data["pids"]?["limit"]?.int == 8)
    }

    @Test("a container is frozen, goes on, and is killed frozen")
    func freezer() throws {
        let test = try GroupUnderTest(on: try host())
        let child = try test.run("while :; do sleep 0.01 & wait; done")
        try test.wait(forProcesses: 2)
        try test.group.pause(deadline: GroupUnderTest.deadline())
        #expect(try test.group.isPaused())
        let frozen = try test.group.processes()
        usleep(100_000)
        #expect(try test.group.processes() == frozen)
        try test.group.resume()
        #expect(try !test.group.isPaused())
        try test.group.pause(deadline: GroupUnderTest.deadline())
        try test.group.kill()
        #expect(test.status(of: child) & 0x7F == SIGKILL)
        #expect(try test.group.waitUntilEmpty(deadline: GroupUnderTest.deadline()))
    }

    @Test("devices are denied but for those allowed, through an update too")
    func devices() throws {
        let deny = Resources.DeviceRule(allow: false, access: "rwm")
        let kmsg = Resources.DeviceRule(allow: true, type: "c", major: 1, minor: 11, access: "r")
        let test = try GroupUnderTest(.init(devices: [deny]), on: try host())
        #expect(try test.succeeds("cat /dev/null && head -c1 /dev/zero"))
        #expect(try !test.succeeds("exec 3</dev/kmsg"))
        try test.update(.init(devices: [deny, kmsg]))
        #expect(try test.succeeds("exec 3</dev/kmsg"))
        #expect(try !test.succeeds("exec 3>/dev/kmsg"))
        try test.update(.init(devices: [deny]))
        #expect(try !test.succeeds("exec 3</dev/kmsg"))
        #expect(try test.succeeds("cat /dev/null"))
    }

    @Test("without device rules there are the standard devices and those of the configuration")
    func standardDevices() throws {
        let test = try GroupUnderTest(on: try host())
        #expect(try test.succeeds("cat /dev/null && head -c1 /dev/zero"))
        #expect(try !test.succeeds("exec 3</dev/kmsg"))
        let given = try GroupUnderTest(on: try host()) {
            $0.devices = [.init(type: "c", path: "/dev/x", major: 1, minor: 11)]
        }
        #expect(try given.succeeds("exec 3</dev/kmsg"))
    }

    @Test("groups that were there before stay when their container is gone")
    func found() throws {
        let host = try host()
        let name = "mlrun-found-\(File.randomName())"
        let place = "\(try #require(host.legacyControllers["pids"] ?? nil))/\(name)"
        try File.makeDirectories(place)
        defer { _ = rmdir(place) }
        let test = try GroupUnderTest(on: host) { $0.cgroupsPath = "/\(name)" }
        try test.run("exec sleep 1000")
        try test.group.remove()
        #expect(File.exists(place))
        #expect(try !File.exists("\(#require(host.legacyControllers["freezer"] ?? nil))/\(name)"))
    }

    @Test("a paused container that is sent SIGKILL dies of it")
    func killPaused() throws {
        let test = try GroupUnderTest(on: try host())
        let child = try test.run("exec sleep 1000")
        try test.wait("the program runs alone") { try File.readText("/proc/\(child)/comm") == "sleep\n" }
        let directory = "/tmp/mlrun-state-\(File.randomName())"
        defer { try? File.removeTree(directory) }
        let containers = ContainerDirectory(root: directory)
        for all in [false, true] {
            let child = try test.run("exec sleep 1000")
            let start = try #require(try ProcessFacts.startTime(of: child))
            try File.makeDirectories(containers.directory("paused"))
            try containers.write(
                ContainerRecord(
                    ociVersion: "1.0.2", id: "paused", bundle: "/", pid: child, startTime: start, created: 0,
                    annotations: [:], rootfs: "/", cgroup: test.group))
            try test.group.pause(deadline: GroupUnderTest.deadline())
            try containers.kill("paused", .terminate, all: all)
            #expect(try test.group.isPaused())
            try containers.kill("paused", .kill, all: all)
            #expect(try !test.group.isPaused())
            #expect(test.status(of: child) & 0x7F == SIGKILL)
        }
    }

    @Test("on a hybrid host version 1 is used only when that is allowed, and then beside cgroup2")
    func hybrid() throws {
        let legacy = try host()
        let unified = try #require(try HostCgroups.discover().unifiedMount)
        let hybrid = HostCgroups(
            layout: .hybrid, unifiedMount: unified, ownGroup: "/", legacyControllers: legacy.legacyControllers)
        let resources = Resources(memory: .init(limit: 64 << 20))
        let error = #expect(throws: CgroupError.self) { _ = try GroupUnderTest(resources, on: hybrid) }
        #expect(error?.kind == .limit(field: "linux.resources.memory.limit", controller: "memory"))
        #expect(error?.remedy?.contains("MLRUN_CGROUP_V1=1") == true, "\(error as Any)")
        let test = try GroupUnderTest(resources, on: hybrid) { $0.usesLegacyOnHybrid = true }
        #expect(try read(test, "memory", "memory.limit_in_bytes") == "\(64 << 20)")
        #expect(test.group.legacy["freezer"] == nil && test.group.legacy["devices"] == nil)
        try test.run("exec sleep 1000")
        try test.wait(forProcesses: 1)
        #expect(try test.group.legacy["memory"]?.processes() == test.group.processes())
        try test.group.pause(deadline: GroupUnderTest.deadline())
        #expect(try test.group.isPaused())
    }
}
