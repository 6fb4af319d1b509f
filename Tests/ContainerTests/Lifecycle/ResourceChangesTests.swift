import LinuxSystem
import OCISpec
import Testing

@testable import Container

@Suite struct ResourceChangesTests {
    @Test("what is not set, or 0 where that is no value, stays as it is")
    func unset() {
        let before = RuntimeSpec.Resources(
            memory: .init(limit: 100, swap: 200), cpu: .init(shares: 512, quota: 5), pids: .init(limit: 9))
        let (merged, touched) = ResourceChanges.merge(
            .init(memory: .init(limit: 0, swap: 0), cpu: .init(shares: 0, quota: 0, cpus: ""), pids: .init(limit: nil)),
            into: before)
        #expect(merged == before)
        #expect(touched.pids == nil)
        let (none, _) = ResourceChanges.merge(.init(pids: .init(limit: 0)), into: before)
        #expect(none.pids?.limit == 0)
    }

    @Test("a limit of no processes is one since version 1.3, and before that none at all, as podman 4 writes -1")
    func noProcesses() throws {
        let place = "/tmp/mlrun-versions-\(File.randomName())"
        defer { try? File.removeTree(place) }
        for (version, limit) in [("1.0.2-dev", -1), ("1.2.1", -1), ("1.3.0", 0), ("1.3.0+dev", 0)] as [(String, Int64)]
        {
            var spec = RuntimeSpec(ociVersion: version)
            spec.linux = .init(resources: .init(pids: .init(limit: 0)))
            try File.replace(place, with: spec.json.bytes(), durable: false)
            #expect(try ContainerDirectory.readSpec(place).linux?.resources?.pids?.limit == limit)
            let change = RuntimeSpec.Resources(memory: .init(limit: 5), pids: .init(limit: 0))
            #expect((spec.adapted(change).pids == nil) == (limit == -1))
        }
    }

    @Test("memory and swap, and a quota and its period, are written together")
    func companions() {
        let before = RuntimeSpec.Resources(
            memory: .init(limit: 100, swap: 300), cpu: .init(quota: 5000, burst: 100, period: 20000))
        let (merged, touched) = ResourceChanges.merge(
            .init(memory: .init(limit: 200), cpu: .init(quota: 7000)), into: before)
        #expect(touched.memory?.limit == 200 && touched.memory?.swap == 300)
        #expect(touched.cpu?.quota == 7000 && touched.cpu?.period == 20000 && touched.cpu?.burst == 100)
        #expect(merged.memory?.limit == 200)
    }

    @Test("unlimited memory has no limit of swap")
    func unlimited() {
        let (merged, _) = ResourceChanges.merge(
            .init(memory: .init(limit: -1)), into: .init(memory: .init(limit: 100, swap: 300)))
        #expect(merged.memory?.limit == -1 && merged.memory?.swap == -1)
    }

    @Test("a failed change is taken back to what was before, or to no limit")
    func restore() {
        let before = RuntimeSpec.Resources(memory: .init(limit: 100))
        let (_, touched) = ResourceChanges.merge(
            .init(memory: .init(limit: 50), cpu: .init(quota: 10), pids: .init(limit: 3)), into: before)
        let back = ResourceChanges.restore(touched, from: before)
        #expect(back.memory?.limit == 100)
        #expect(back.cpu?.quota == -1 && back.cpu?.shares == nil)
        #expect(back.pids?.limit == -1)
    }

    @Test("limits of devices, pages and files replace those of the same name")
    func lists() {
        let before = RuntimeSpec.Resources(
            blockIO: .init(throttleReadBpsDevice: [
                .init(major: 8, minor: 0, rate: 1), .init(major: 8, minor: 16, rate: 2),
            ]),
            hugepageLimits: [.init(pageSize: "2MB", limit: 1)], unified: ["memory.high": "1"])
        let (merged, touched) = ResourceChanges.merge(
            .init(
                blockIO: .init(throttleReadBpsDevice: [.init(major: 8, minor: 0, rate: 9)]),
                hugepageLimits: [.init(pageSize: "2MB", limit: 5)], unified: ["memory.high": "2"]), into: before)
        #expect(
            merged.blockIO?.throttleReadBpsDevice
                == [.init(major: 8, minor: 16, rate: 2), .init(major: 8, minor: 0, rate: 9)])
        #expect(merged.hugepageLimits == [.init(pageSize: "2MB", limit: 5)])
        #expect(merged.unified == ["memory.high": "2"])
        #expect(touched.blockIO?.throttleReadBpsDevice.count == 1)
    }

    @Test("rules of described devices stay in force whatever rules a caller sends, and are no change by themselves")
    func describedDevices() {
        typealias Rule = RuntimeSpec.Resources.DeviceRule
        let deny = Rule(allow: false, access: "rwm")
        let other = Rule(allow: true, type: "c", major: 10, minor: 200, access: "rw")
        let described = [Rule(allow: true, type: "c", major: 195, minor: 0, access: "rwm")]
        let before = [deny] + described
        func rules(_ asked: [Rule], over before: [Rule]) -> [Rule] {
            ResourceChanges.rules(asked, over: before, described: described)
        }
        #expect(rules([deny], over: before) == before)
        #expect(rules(before, over: before) == before)
        #expect(rules([], over: before) == [])
        #expect(rules([deny, other], over: before) == [deny, other] + described)
        // Without any rules at the creation there were none to add to.
        #expect(rules([deny], over: []) == before)
    }
}
