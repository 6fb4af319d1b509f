import OCISpec
import Testing

@testable import Container

@Suite("Limits as files of cgroup v2")
struct CgroupLimitsTests {
    typealias Resources = RuntimeSpec.Resources

    private func files(
        _ resources: Resources, current: [String: String] = [:]
    ) throws(CgroupError) -> [String] {
        try CgroupLimits.settings(for: resources) { current[$0] }.map { "\($0.file)=\($0.value)" }
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

    @Test("memory: the kernel's swap file counts swap alone")
    func memory() throws {
        let all = Resources(memory: .init(limit: 1000, reservation: 500, swap: 1500))
        #expect(try files(all) == ["memory.low=500", "memory.max=1000", "memory.oom.group=1", "memory.swap.max=500"])
        #expect(try files(Resources(memory: .init(limit: 1000, swap: 1000))).contains("memory.swap.max=0"))
        #expect(try files(Resources(memory: .init(limit: 1000, swap: -1))).contains("memory.swap.max=max"))
        #expect(
            try files(Resources(memory: .init(limit: -1)))
                == ["memory.max=max", "memory.oom.group=1", "memory.swap.max=max"])
        #expect(try files(Resources(memory: .init(limit: 0, swap: 0))) == [])
    }

    @Test("memory: nonsense is refused with the field's name")
    func badMemory() {
        #expect(field(Resources(memory: .init(swap: 1000))) == "memory.swap")
        #expect(field(Resources(memory: .init(limit: 2000, swap: 1000))) == "memory.swap")
        #expect(field(Resources(memory: .init(limit: -1, swap: 1000))) == "memory.swap")
        #expect(field(Resources(memory: .init(limit: -2))) == "memory.limit")
        #expect(field(Resources(memory: .init(limit: 1, reservation: -5))) == "memory.reservation")
    }

    @Test("cpu: quota and period, alone and together")
    func bandwidth() throws {
        #expect(try files(Resources(cpu: .init(quota: 150_000, period: 100_000))) == ["cpu.max=150000 100000"])
        #expect(try files(Resources(cpu: .init(quota: -1))) == ["cpu.max=max"])
        #expect(try files(Resources(cpu: .init(quota: 50_000))) == ["cpu.max=50000"])
        #expect(try files(Resources(cpu: .init(period: 50_000))) == ["cpu.max=max 50000"])
        #expect(
            try files(Resources(cpu: .init(period: 50_000)), current: ["cpu.max": "20000 100000\n"])
                == ["cpu.max=20000 50000"])
        #expect(
            try files(Resources(cpu: .init(quota: 100, burst: 50, period: 1000))) == [
                "cpu.max=100 1000", "cpu.max.burst=50",
            ])
        #expect(
            try files(Resources(cpu: .init(quota: 100)), current: ["cpu.max.burst": "900\n"]) == [
                "cpu.max.burst=0", "cpu.max=100",
            ])
        #expect(field(Resources(cpu: .init(quota: -5))) == "cpu.quota")
    }

    @Test("cpu: idle is switched off before, and on after, the weight is set")
    func idle() throws {
        #expect(try files(Resources(cpu: .init(shares: 1024, idle: 1))) == ["cpu.weight=100", "cpu.idle=1"])
        #expect(try files(Resources(cpu: .init(shares: 1024, idle: 0))) == ["cpu.idle=0", "cpu.weight=100"])
        #expect(field(Resources(cpu: .init(idle: 2))) == "cpu.idle")
    }

    @Test(
        "cpu: shares become weights that keep ends, default and order",
        arguments: [
            (0, 1), (2, 1), (1024, 100), (262_144, 10_000), (1_000_000, 10_000),
        ])
    func weights(shares: UInt64, weight: Int) {
        #expect(CgroupLimits.weight(fromShares: shares) == weight)
        #expect(CgroupLimits.weight(fromShares: shares + 1) >= weight)
    }

    @Test("cpu: lists of processors and memory nodes")
    func cpusets() throws {
        #expect(try files(Resources(cpu: .init(cpus: "0-3,7", mems: "0"))) == ["cpuset.cpus=0-3,7", "cpuset.mems=0"])
        #expect(field(Resources(cpu: .init(cpus: "all"))) == "cpu.cpus")
        #expect(field(Resources(cpu: .init(cpus: "0, -500"))) == "cpu.cpus")
        // As the kernel's own files have them; what it would read no further than is refused.
        #expect(try files(Resources(cpu: .init(cpus: "0-3\n"))) == ["cpuset.cpus=0-3"])
        for list in ["0\n1", "\n", " "] { #expect(field(Resources(cpu: .init(mems: list))) == "cpu.mems") }
    }

    @Test("pids: less than zero is unlimited, and none at all is one, as systemd has it")
    func pids() throws {
        #expect(try files(Resources(pids: .init(limit: 64))) == ["pids.max=64"])
        #expect(try files(Resources(pids: .init(limit: -1))) == ["pids.max=max"])
        #expect(try files(Resources(pids: .init(limit: -5))) == ["pids.max=max"])
        #expect(try files(Resources(pids: .init(limit: 0))) == ["pids.max=1"])
        #expect(try files(Resources(pids: .init(limit: nil))) == [])
        let none = try CgroupLimits.settings(for: Resources(pids: .init(limit: 0)), current: { _ in nil })
        #expect(none.allSatisfy { !$0.holdsWithoutFile })
    }

    @Test("io: throttles by device, and weights for the scheduler there is")
    func io() throws {
        let resources = Resources(
            blockIO: .init(
                weight: 1000, weightDevice: [.init(major: 8, minor: 0, weight: 10)],
                throttleReadBpsDevice: [.init(major: 8, minor: 0, rate: 1 << 20)],
                throttleWriteIOPSDevice: [.init(major: 8, minor: 16, rate: 0)]))
        #expect(
            try files(resources) == [
                "io.weight=10000", "io.weight=8:0 1", "io.max=8:0 rbps=1048576", "io.max=8:16 wiops=max",
            ])
        #expect(
            try files(resources, current: ["io.bfq.weight": "default 100"]).prefix(2) == [
                "io.bfq.weight=1000", "io.bfq.weight=8:0 10",
            ])
        #expect(field(Resources(blockIO: .init(weight: 5))) == "blockIO.weight")
        #expect(
            field(Resources(blockIO: .init(throttleReadBpsDevice: [.init(major: -1, minor: 0, rate: 1)])))
                == "blockIO.throttleReadBpsDevice[0]")
    }

    @Test("huge pages, RDMA and the unified map")
    func others() throws {
        #expect(
            try files(Resources(hugepageLimits: [.init(pageSize: "2MB", limit: 4096)])) == [
                "hugetlb.2MB.max=4096", "hugetlb.2MB.rsvd.max=4096",
            ])
        #expect(field(Resources(hugepageLimits: [.init(pageSize: "../x", limit: 1)])) == "hugepageLimits[0]")
        #expect(
            try files(Resources(rdma: ["mlx5_1": .init(hcaHandles: 3, hcaObjects: 10)])) == [
                "rdma.max=mlx5_1 hca_handle=3 hca_object=10"
            ])
        #expect(
            try files(Resources(unified: ["memory.high": "1000", "io.max": "8:0 rbps=1\n8:16 rbps=2\n"])) == [
                "io.max=8:0 rbps=1", "io.max=8:16 rbps=2", "memory.high=1000",
            ])
        for name in ["memory", "../memory.max", ".x", "a b.c"] {
            #expect(field(Resources(unified: [name: "1"])) == "unified.\(name)")
        }
    }

    @Test("what version 2 has no counterpart for is named, and zero asks for nothing")
    func unsupported() {
        let resources = Resources(
            memory: .init(kernel: 5, kernelTCP: 0, swappiness: 0, disableOOMKiller: true),
            cpu: .init(realtimeRuntime: 1), network: .init(classID: 7))
        #expect(
            CgroupLimits.unsupported(resources).map(\.field) == [
                "memory.swappiness", "memory.disableOOMKiller", "cpu.realtimeRuntime",
                "network.classID",
            ])
        #expect(CgroupLimits.unsupported(Resources(memory: .init(disableOOMKiller: false))).isEmpty)
        #expect(CgroupLimits.ignored(resources).count == 1)
        #expect(CgroupLimits.ignored(Resources(memory: .init(kernel: 0))).isEmpty)
        #expect(CgroupLimits.ignored(Resources(memory: .init(kernel: -1))).isEmpty)
    }

    @Test("the controllers that limits need")
    func controllers() {
        #expect(
            CgroupLimits.controllers(
                of: Resources(
                    memory: .init(limit: 1), cpu: .init(quota: 5, cpus: "0"), unified: ["cgroup.max.depth": "3"]))
                == ["memory", "cpu", "cpuset"])
    }
}
