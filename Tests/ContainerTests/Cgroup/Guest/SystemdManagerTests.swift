import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import Container

/// Scopes of a real systemd over a real bus: `scripts/test` boots a machine for them and runs them by
/// `scripts/under-systemd`.
@Suite(
    .enabled(
        if: GroupUnderTest.isSet("MLRUN_TEST_SYSTEMD"), "needs a systemd of its own: scripts/test boots a machine"),
    .serialized)
struct SystemdManagerTests {
    typealias Resources = RuntimeSpec.Resources

    private func scope(
        _ resources: Resources = .init(), _ change: @escaping (inout ContainerCgroup.Request) -> Void = { _ in }
    ) throws -> GroupUnderTest {
        try GroupUnderTest(resources) { request in
            request.manager = .systemd
            request.cgroupsPath = "mlrun-test.slice:mlrun:\(request.id)"
            change(&request)
        }
    }

    private func show(_ unit: SystemdUnit, _ property: String) throws -> String {
        let output = "/tmp/mlrun-show-\(File.randomName())"
        defer { try? File.removeTree(output) }
        _ = system("systemctl show -p \(property) --value \(unit.name) >\(output) 2>&1")
        return try File.readText(output).filter { $0 != "\n" }
    }

    @Test("a scope has the limits, in its group and in systemd's words, and a change reaches both")
    func limits() throws {
        let test = try scope(
            .init(
                memory: .init(limit: 64 << 20, reservation: 32 << 20),
                cpu: .init(shares: 512, quota: 25_000, period: 50_000), pids: .init(limit: 20)))
        let unit = try #require(test.group.unit)
        let group = try #require(test.group.unified)
        #expect(test.group.path == "/mlrun.slice/mlrun-test.slice/\(unit.name)")
        #expect(unit.name.hasPrefix("mlrun-t") && unit.name.hasSuffix(".scope"))
        try test.run("exec sleep 1000")
        try test.wait(forProcesses: 1)
        #expect(try group.read("memory.max") == "\(64 << 20)\n")
        #expect(try group.read("cpu.max") == "25000 50000\n")
        #expect(try group.read("pids.max") == "20\n")
        #expect(try show(unit, "MemoryMax") == "\(64 << 20)")
        #expect(try show(unit, "CPUQuotaPerSecUSec") == "500ms")
        #expect(try show(unit, "TasksMax") == "20")
        #expect(try show(unit, "Delegate") == "yes")
        try test.update(.init(memory: .init(limit: 96 << 20), pids: .init(limit: 40)))
        #expect(try group.read("memory.max") == "\(96 << 20)\n")
        #expect(try show(unit, "MemoryMax") == "\(96 << 20)")
        #expect(try show(unit, "TasksMax") == "40")
        // What systemd writes on its own is what is there already.
        #expect(system("systemctl daemon-reload") == 0)
        #expect(try group.read("memory.max") == "\(96 << 20)\n")
        #expect(try group.read("pids.max") == "40\n")
    }

    @Test("a limit of one process leaves room for one process")
    func oneProcess() throws {
        let test = try scope(.init(pids: .init(limit: 1)))
        let child = try test.run("exec sleep 1000")
        try test.wait("the placeholder's end") { try test.group.processes() == [child] }
        #expect(try test.group.unified?.read("pids.max") == "1\n")
    }

    @Test("devices stay through daemon-reload and updates, and others stay denied")
    func devices() throws {
        let deny = Resources.DeviceRule(allow: false, access: "rwm")
        let kmsg = Resources.DeviceRule(allow: true, type: "c", major: 1, minor: 11, access: "rwm")
        let test = try scope(.init(devices: [deny, kmsg], pids: .init(limit: 20)))
        let unit = try #require(test.group.unit)
        // Somebody must stay, or the scope is over with the first program.
        try test.run("exec sleep 1000")
        func check(_ when: String) throws {
            #expect(try test.succeeds("exec 3</dev/kmsg"), "\(when): the device is lost")
            #expect(try test.succeeds("cat /dev/null; head -c1 /dev/zero; exec 3<>/dev/ptmx"), "\(when)")
            #expect(try !test.succeeds("exec 3</dev/port"), "\(when): a device is to be had that was not given")
        }
        try check("at first")
        #expect(try show(unit, "DevicePolicy") == "strict")
        #expect(try show(unit, "DeviceAllow").contains("/dev/char/1:11 rwm"))
        #expect(system("systemctl daemon-reload") == 0)
        try check("after daemon-reload")
        try test.update(.init(memory: .init(limit: 96 << 20)))
        try check("after an update of a limit")
        #expect(system("systemctl set-property --runtime \(unit.name) TasksMax=30") == 0)
        #expect(system("systemctl daemon-reload") == 0)
        try check("after set-property")
        try test.update(.init(devices: [deny]))
        #expect(try !test.succeeds("exec 3</dev/kmsg"))
        #expect(system("systemctl daemon-reload") == 0)
        #expect(try !test.succeeds("exec 3</dev/kmsg"))
    }

    @Test("the unit is gone after removal, and its name free for the next")
    func removal() throws {
        let name = "again\(File.randomName())"
        for _ in 0..<3 {
            let test = try scope { $0.cgroupsPath = "system.slice:mlrun:\(name)" }
            let unit = try #require(test.group.unit)
            #expect(unit.name == "mlrun-\(name).scope")
            try test.run("exec sleep 1000")
            try test.wait(forProcesses: 1)
            try test.group.remove()
            #expect(try show(unit, "LoadState") == "not-found")
            #expect(!File.exists(try #require(test.group.unified).path))
        }
    }

    @Test("annotations set properties that are safe, and what systemd refuses is told in its words")
    func annotations() throws {
        let test = try scope { $0.annotations = ["org.systemd.property.TimeoutStopUSec": "uint64 7000000"] }
        try test.run("exec sleep 1000")
        #expect(try show(try #require(test.group.unit), "TimeoutStopUSec") == "7s")
        let error = #expect(throws: CgroupError.self) {
            _ = try scope { $0.annotations = ["org.systemd.property.CollectMode": "'no such mode'"] }
        }
        #expect(error?.kind == .unavailable)
        #expect(error?.cause.contains("StartTransientUnit") == true, "\(error as Any)")
    }

    @Test("a unit whose name is taken is refused")
    func taken() throws {
        let test = try scope()
        try test.run("exec sleep 1000")
        let id = try #require(test.group.unit).name.dropFirst("mlrun-".utf8.count).dropLast(".scope".utf8.count)
        let error = #expect(throws: CgroupError.self) {
            _ = try scope { $0.cgroupsPath = "mlrun-test.slice:mlrun:\(id)" }
        }
        #expect(error?.remedy?.contains("another cgroupsPath") == true, "\(error as Any)")
        #expect(try test.group.processes().count == 1)
    }
}
