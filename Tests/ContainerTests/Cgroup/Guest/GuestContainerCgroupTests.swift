import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import Container

private let isFullHost: Bool = {
    guard geteuid() == 0, let host = try? HostCgroups.discover(), host.layout == .unified,
        let controllers = try? CgroupHierarchy(host).controllers()
    else { return false }
    return controllers.isSuperset(of: ["cpu", "memory", "pids"])
}()

/// A container's groups where every controller is to be had.
@Suite(.enabled(if: isFullHost, "needs root and a cgroup v2 with cpu, memory and pids: see scripts/guest"), .serialized)
struct GuestContainerCgroupTests {
    typealias Resources = RuntimeSpec.Resources
    /// A process that holds this much memory that cannot be taken back.
    private func holding(_ bytes: Int) -> String {
        "{ head -c \(bytes) /dev/zero; sleep 1000; } | tail -c \(bytes) >/dev/null"
    }

    private func used(_ test: GroupUnderTest) throws -> UInt64 { try test.group.statistics().memory?.current ?? 0 }

    @Test("Guest: lowering memory below its use is refused, kills nobody, and changes nothing, unless that is accepted")
    func lowerMemory() throws {
        let test = try GroupUnderTest(.init(memory: .init(limit: 128 << 20, swap: 128 << 20), pids: .init(limit: 50)))
        try test.run(holding(48 << 20))
        try test.wait("memory in use") { try used(test) > 48 << 20 }
        let before = try test.group.processes()
        for check in [nil, true] as [Bool?] {
            let error = #expect(throws: CgroupError.self) {
                try test.update(
                    .init(
                        memory: .init(limit: 24 << 20, swap: 24 << 20, checkBeforeUpdate: check), pids: .init(limit: 9))
                )
            }
            #expect(error?.kind == .limit(field: "memory.limit", controller: "memory"))
            #expect(error?.remedy?.contains("checkBeforeUpdate") == true, "\(error as Any)")
        }
        #expect(try test.group.processes() == before)
        #expect(try test.group.unified?.read("memory.max") == "\(128 << 20)\n")
        #expect(try test.group.unified?.read("pids.max") == "50\n")
        #expect(try test.group.outOfMemoryKills() == 0)

        var watch = try test.group.watch()
        try test.update(.init(memory: .init(limit: 24 << 20, swap: 24 << 20, checkBeforeUpdate: false)))
        let events = try watch.wait(deadline: GroupUnderTest.deadline())
        guard case .outOfMemory(let kills)? = events.first else {
            Issue.record("no notice of a lack of memory: \(events)")
            return
        }
        #expect(kills >= 1)
    }

    @Test("Guest: memory that holds cached files can be lowered: the kernel takes it back")
    func reclaim() throws {
        let test = try GroupUnderTest(.init(memory: .init(limit: 256 << 20)))
        let file = "/var/tmp/mlrun-cache-\(File.randomName())"
        defer { try? File.removeTree(file) }
        try test.run("dd if=/dev/zero of=\(file) bs=1M count=64; sync \(file); sleep 1000")
        // On a file system in memory the content is no cache that could be dropped.
        try test.wait("cached files") { try test.group.statistics().memory?.details["file"] ?? 0 > 32 << 20 }
        let isCache = try test.group.statistics().memory?.details["shmem"] ?? 0 < 8 << 20
        try #require(isCache || GroupUnderTest.isSet("MLRUN_TEST_GUEST"))
        if isCache {
            try test.wait("files on disk") { try test.group.statistics().memory?.details["file_dirty"] ?? 0 < 1 << 20 }
            try test.update(.init(memory: .init(limit: 24 << 20)))
            #expect(try used(test) <= 24 << 20)
        } else {
            #expect(throws: CgroupError.self) { try test.update(.init(memory: .init(limit: 24 << 20))) }
        }
        #expect(try test.group.outOfMemoryKills() == 0)
    }

    @Test("Guest: an update that the kernel refuses halfway leaves every limit as it was")
    func updateIsAllOrNothing() throws {
        let test = try GroupUnderTest(
            .init(memory: .init(limit: 64 << 20), cpu: .init(shares: 512, quota: 50_000, period: 100_000)))
        func all() throws -> [String?] {
            try ["memory.max", "memory.low", "cpu.weight", "cpu.max", "pids.max"].map {
                try test.group.unified?.read($0)
            }
        }
        let before = try all()
        let error = #expect(throws: CgroupError.self) {
            try test.update(
                .init(
                    memory: .init(limit: 100 << 20, reservation: 1 << 20), cpu: .init(shares: 2048, quota: 3),
                    pids: .init(limit: 5)))
        }
        #expect(error?.kind == .limit(field: "cpu.quota", controller: "cpu"))
        #expect(error?.description.contains("cpu.max") == true)
        #expect(try all() == before)
        for bad in [
            Resources(memory: .init(limit: 1 << 20, swap: 1)), Resources(unified: ["../x.y": "1"]),
            Resources(memory: .init(swappiness: 60)), Resources(network: .init(classID: 5)),
            Resources(devices: [.init(allow: true, type: "z")], pids: .init(limit: 5)),
        ] {
            #expect(throws: CgroupError.self) { try test.update(bad) }
        }
        #expect(try all() == before)
    }

    @Test("Guest: a swap limit alone is about the memory limit in force")
    func swapAlone() throws {
        let test = try GroupUnderTest(.init(memory: .init(limit: 64 << 20)))
        guard try test.group.unified?.readIfPresent("memory.swap.max") != nil else { return }
        try test.update(.init(memory: .init(swap: 96 << 20)))
        #expect(try test.group.unified?.read("memory.swap.max") == "\(32 << 20)\n")
    }

    @Test("Guest: a container is paused, goes on, dies paused, and its last process is told of")
    func life() throws {
        let test = try GroupUnderTest(.init(pids: .init(limit: 20)))
        #expect(test.group.path.hasPrefix("/mlrun-test/"))
        let record = try ContainerCgroup(JSONCursor(try JSON(parsing: test.group.json.text())))
        #expect(record == test.group)
        try test.run("sleep 1000 & sleep 1000")
        try test.wait(forProcesses: 3)
        #expect(try !record.isPaused())
        try record.pause(deadline: GroupUnderTest.deadline())
        #expect(try record.isPaused())
        try record.resume()
        #expect(try !record.isPaused())
        try record.pause(deadline: GroupUnderTest.deadline())
        var watch = try record.watch()
        #expect(try watch.wait(deadline: 0) == [])
        try record.kill()
        #expect(try watch.wait(deadline: GroupUnderTest.deadline()) == [.empty])
        try record.remove()
        #expect(try record.processes() == [] || !File.exists(record.unified?.path ?? "/"))
        try record.remove()
        #expect(try !record.isPaused())
    }

    @Test("Guest: removal takes away the parents that were made, and no others")
    func parents() throws {
        let host = try HostCgroups.discover()
        let mount = try #require(host.unifiedMount)
        let top = "mlrun-top-\(File.randomName())"
        func make(_ name: String) throws -> ContainerCgroup {
            try ContainerCgroup.create(.init(id: name, cgroupsPath: "/\(top)/inner/\(name)"), on: host).group
        }
        let first = try make("a")
        let second = try make("b")
        try first.remove()
        #expect(File.exists("\(mount)/\(top)/inner/b"))
        try second.remove()
        // Nobody but the first made the parents.
        try first.remove()
        #expect(!File.exists("\(mount)/\(top)"))
    }

    @Test("Guest: a group that is there already is taken if it is empty, and refused with processes in it")
    func reuse() throws {
        let host = try HostCgroups.discover()
        let test = try GroupUnderTest()
        let again = ContainerCgroup.Request(id: "again", cgroupsPath: test.group.path)
        #expect(try ContainerCgroup.create(again, on: host).group.unified == test.group.unified)
        let child = try test.run("exec sleep 1000")
        // Until then the shell has a short sleep beside it now and then.
        try test.wait("the program runs alone") {
            try File.readText("/proc/\(child)/comm") == "sleep\n" && test.group.processes() == [child]
        }
        let error = #expect(throws: CgroupError.self) { try ContainerCgroup.create(again, on: host) }
        #expect(error?.kind == .populated)
        #expect(try test.group.processes() == [child])
    }

    @Test("Guest: a group that was there before stays when its container is gone or was not made, and serves again")
    func found() throws {
        let host = try HostCgroups.discover()
        let name = "mlrun-found-\(File.randomName())"
        let place = Cgroup(path: "\(try #require(host.unifiedMount))/\(name)")
        try File.makeDirectories(place.path)
        defer { _ = rmdir(place.path) }
        let shut = Resources(devices: [.init(allow: false, access: "rwm")])
        for _ in 0...1 {
            let test = try GroupUnderTest(shut) { $0.cgroupsPath = "/\(name)" }
            let record = try ContainerCgroup(JSONCursor(try JSON(parsing: test.group.json.text())))
            #expect(record == test.group)
            try test.run("exec sleep 1000")
            #expect(try !test.succeeds("exec 3</dev/kmsg"))
            try record.pause(deadline: GroupUnderTest.deadline())
            try record.remove()
            #expect(place.exists)
            #expect(try !place.isFrozen() && place.processes().isEmpty)
        }
        for bad in [Resources(devices: [.init(allow: true, type: "z")]), Resources(cpu: .init(quota: 3))] {
            #expect(throws: CgroupError.self) { _ = try GroupUnderTest(bad) { $0.cgroupsPath = "/\(name)" } }
            #expect(place.exists)
        }
        // What denied devices is gone with the container.
        let open = try GroupUnderTest {
            $0.cgroupsPath = "/\(name)"
            $0.inUserNamespace = true
        }
        #expect(try open.succeeds("exec 3</dev/kmsg"))
    }

    @Test("Guest: devices are denied but for those allowed, and an update changes that in one step")
    func devices() throws {
        let deny = Resources.DeviceRule(allow: false, access: "rwm")
        let full = Resources.DeviceRule(allow: true, type: "c", major: 1, minor: 11, access: "rwm")
        let test = try GroupUnderTest(.init(devices: [deny]))
        #expect(try test.succeeds("cat /dev/null && head -c1 /dev/zero && head -c1 /dev/urandom"))
        let kmsg = "exec 3</dev/kmsg"
        #expect(try !test.succeeds(kmsg))
        try test.update(.init(devices: [deny, full]))
        #expect(try test.succeeds(kmsg))
        try test.update(.init(pids: .init(limit: 30)))
        #expect(try test.succeeds(kmsg), "an update of something else took the device away")
        // What another program, such as systemd, attaches must agree too, and stays through our own updates.
        let path = try #require(test.group.unified?.path)
        try DeviceFilter.apply([deny], to: Cgroup(path: path))
        #expect(try !test.succeeds("cat /dev/null"))
    }

    @Test("Guest: without device rules the standard devices and those of the configuration are open, and no others")
    func standardDevices() throws {
        let kmsg = "exec 3</dev/kmsg"
        let test = try GroupUnderTest()
        #expect(try test.succeeds("cat /dev/null && head -c1 /dev/zero && head -c1 /dev/urandom"))
        #expect(try !test.succeeds(kmsg))
        try test.update(.init(pids: .init(limit: 30)))
        #expect(try !test.succeeds(kmsg), "an update of something else opened the devices")
        let given = try GroupUnderTest { $0.devices = [.init(type: "c", path: "/dev/x", major: 1, minor: 11)] }
        #expect(try given.succeeds(kmsg))
        let open = try GroupUnderTest(.init(devices: [.init(allow: true, access: "rwm")]))
        #expect(try open.succeeds(kmsg))
        let inside = try GroupUnderTest { $0.inUserNamespace = true }
        #expect(try inside.succeeds(kmsg))
    }

    @Test("Guest: statistics in the form of events")
    func statistics() throws {
        let test = try GroupUnderTest(.init(memory: .init(limit: 64 << 20), pids: .init(limit: 20)))
        try test.run("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 1000")
        try test.wait("processor time") { try test.group.statistics().cpu?.usage ?? 0 > 1000 }
        let data = try test.group.statistics().eventData
        let memory = data["memory"]
        #expect(memory?["usage"]?["limit"]?.int == 64 << 20)
        #expect(memory?["usage"]?["usage"]?.int ?? 0 > 0)
        #expect(memory?["raw"]?["anon"]?.int ?? 0 > 0)
        #expect(data["pids"]?["limit"]?.int == 20)
        #expect(data["cpu"]?["usage"]?["total"]?.int ?? 0 > 1_000_000)
        #expect(data["cpu"]?["throttling"]?["periods"]?.int == 0)
        #expect(data["blkio"]?.object != nil && data["hugetlb"]?.object != nil)
    }
}
