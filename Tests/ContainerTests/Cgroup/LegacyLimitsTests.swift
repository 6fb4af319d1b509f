import OCISpec
import Testing

@testable import Container

@Suite("Limits as files of cgroup v1")
struct LegacyLimitsTests {
    typealias Resources = RuntimeSpec.Resources

    private func files(
        _ resources: Resources, current: [String: String] = [:]
    ) throws(CgroupError) -> [String] {
        try LegacyLimits.settings(for: resources) { current[$1] }.map { "\($0.controller): \($0.file)=\($0.value)" }
    }

    private func field(_ resources: Resources) -> String? {
        do {
            _ = try files(resources)
            return nil
        } catch {
            if case .value(let field) = error.kind { return field }
            return "another error: \(error)"
        }
    }

    @Test("memory and swap change in the order that keeps memory below both")
    func memory() throws {
        let both = Resources(memory: .init(limit: 1000, swap: 2000))
        #expect(
            try files(both, current: ["memory.memsw.limit_in_bytes": "9223372036854771712\n"]) == [
                "memory: memory.limit_in_bytes=1000", "memory: memory.memsw.limit_in_bytes=2000",
            ])
        #expect(
            try files(both, current: ["memory.memsw.limit_in_bytes": "500\n"]) == [
                "memory: memory.memsw.limit_in_bytes=2000", "memory: memory.limit_in_bytes=1000",
            ])
        #expect(
            try files(Resources(memory: .init(limit: -1)), current: ["memory.memsw.limit_in_bytes": "5"]) == [
                "memory: memory.memsw.limit_in_bytes=-1", "memory: memory.limit_in_bytes=-1",
            ])
        #expect(
            try files(
                Resources(
                    memory: .init(
                        reservation: 7, kernel: 9, kernelTCP: 8, swappiness: 0, disableOOMKiller: true,
                        useHierarchy: true)),
                current: ["memory.use_hierarchy": "1", "memory.oom_control": "oom_kill_disable 0"])
                == [
                    "memory: memory.soft_limit_in_bytes=7", "memory: memory.kmem.tcp.limit_in_bytes=8",
                    "memory: memory.swappiness=0", "memory: memory.oom_control=1",
                ])
        #expect(field(Resources(memory: .init(limit: 2000, swap: 1000))) == "memory.swap")
        #expect(field(Resources(memory: .init(limit: -1, swap: 1000))) == "memory.swap")
        #expect(field(Resources(memory: .init(limit: -7))) == "memory.limit")
        #expect(field(Resources(memory: .init(swappiness: 101))) == "memory.swappiness")
    }

    @Test("processor time, realtime budgets and lists")
    func cpu() throws {
        #expect(
            try files(Resources(cpu: .init(shares: 1, quota: -1, realtimeRuntime: 95, realtimePeriod: 100))) == [
                "cpu: cpu.shares=2", "cpu: cpu.rt_period_us=100", "cpu: cpu.rt_runtime_us=95",
                "cpu: cpu.cfs_quota_us=-1",
            ])
        #expect(
            try files(
                Resources(cpu: .init(quota: 50, burst: 10, period: 100)),
                current: ["cpu.cfs_quota_us": "5000\n", "cpu.cfs_burst_us": "70\n"]) == [
                    "cpu: cpu.cfs_burst_us=0", "cpu: cpu.cfs_quota_us=-1", "cpu: cpu.cfs_period_us=100",
                    "cpu: cpu.cfs_quota_us=50", "cpu: cpu.cfs_burst_us=10",
                ])
        #expect(
            try files(Resources(cpu: .init(cpus: "0-1", mems: "0"))) == [
                "cpuset: cpuset.cpus=0-1", "cpuset: cpuset.mems=0",
            ])
        #expect(field(Resources(cpu: .init(cpus: "x"))) == "cpu.cpus")
        #expect(field(Resources(cpu: .init(quota: -2))) == "cpu.quota")
    }

    @Test("disks, huge pages, networks and devices of RDMA")
    func others() throws {
        let disk = Resources(
            blockIO: .init(
                weight: 500, leafWeight: 300, weightDevice: [.init(major: 8, minor: 0, weight: 20, leafWeight: 30)],
                throttleReadIOPSDevice: [.init(major: 8, minor: 1, rate: 5)]))
        #expect(
            try files(disk, current: ["blkio.weight": "500"]) == [
                "blkio: blkio.weight=500", "blkio: blkio.leaf_weight=300", "blkio: blkio.weight_device=8:0 20",
                "blkio: blkio.leaf_weight_device=8:0 30", "blkio: blkio.throttle.read_iops_device=8:1 5",
            ])
        #expect(try files(disk, current: ["blkio.bfq.weight": "1"]).first == "blkio: blkio.bfq.weight=500")
        #expect(
            try files(
                Resources(
                    pids: .init(limit: 0), hugepageLimits: [.init(pageSize: "2MB", limit: 9)],
                    network: .init(classID: 5, priorities: ["eth0": 7]), rdma: ["m": .init(hcaObjects: 1)])) == [
                    "pids: pids.max=1", "hugetlb: hugetlb.2MB.limit_in_bytes=9",
                    "hugetlb: hugetlb.2MB.rsvd.limit_in_bytes=9", "net_cls: net_cls.classid=5",
                    "net_prio: net_prio.ifpriomap=eth0 7", "rdma: rdma.max=m hca_object=1",
                ])
        #expect(field(Resources(network: .init(priorities: ["a b": 1]))) == "network.priorities")
        #expect(field(Resources(blockIO: .init(leafWeight: 5))) == "blockIO.leafWeight")
    }

    @Test("device rules in the words of devices.allow")
    func devices() {
        func line(_ rule: Resources.DeviceRule) -> String { LegacyDevices.line(rule) }
        #expect(line(.init(allow: false, access: "rwm")) == "a")
        #expect(line(.init(allow: true, type: "c", major: 1, minor: 3, access: "rw")) == "c 1:3 rw")
        #expect(line(.init(allow: true, type: "u", major: 136)) == "c 136:* rwm")
        #expect(line(.init(allow: true, type: "b", access: "m")) == "b *:* m")
    }

    @Test("on a hybrid host every limit goes to the version that has its controller")
    func split() {
        let host = HostCgroups(
            layout: .hybrid, unifiedMount: "/u", ownGroup: "/",
            legacyControllers: ["memory": "/m", "cpuset": "/c", "blkio": nil])
        let all = Resources(
            memory: .init(limit: 1), cpu: .init(shares: 2, cpus: "0"), pids: .init(limit: 3),
            blockIO: .init(weight: 10), hugepageLimits: [.init(pageSize: "2MB", limit: 1)],
            network: .init(classID: 1), unified: ["pids.max": "4"])
        let parts = LegacyCgroups.split(all, host)
        #expect(parts.legacy.memory != nil && parts.unified.memory == nil)
        #expect(parts.legacy.cpu == .init(cpus: "0") && parts.unified.cpu == .init(shares: 2))
        #expect(parts.legacy.pids == nil && parts.unified.pids != nil)
        #expect(parts.legacy.blockIO != nil && parts.unified.blockIO == nil)
        #expect(parts.legacy.hugepageLimits.isEmpty && !parts.unified.hugepageLimits.isEmpty)
        #expect(parts.legacy.network != nil && parts.unified.unified == ["pids.max": "4"])
        #expect(LegacyCgroups.hierarchies(host) == ["memory": "/m", "cpuset": "/c"])
    }
}
