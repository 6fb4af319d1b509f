import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import Container

/// resctrl on a directory that looks like it: few machines have the hardware.
@Suite struct ResourceControlTests {
    let root = "/var/tmp/mlrun-resctrl-\(File.randomName())"

    init() throws {
        for group in ["", "/gold", "/gold/mon_groups/model", "/web"] {
            try File.makeDirectories("\(root)\(group)/mon_groups")
            try put("\(group)/tasks", "")
            try put("\(group)/schemata", "    L3:0=7ff;1=01f\n    MB:0= 20;1=070\n")
        }
        try File.makeDirectories("\(root)/info")
        try put("/info/last_cmd_status", "Invalid bit mask\n")
    }

    private func put(_ path: String, _ text: String) throws {
        try File.replace("\(root)\(path)", with: Array(text.utf8), mode: 0o644, durable: false)
    }

    private func text(_ path: String) throws -> String { try File.readText("\(root)\(path)") }

    private func join(_ settings: RuntimeSpec.IntelRdt, id: String = "web") throws -> [String] {
        defer { try? File.removeTree(root) }
        return try ResourceControl.join(settings, id: id, pid: 42, ResourceControl(root: root))
    }

    @Test("a host without resctrl is told so, with what to do, by the field")
    func missing() {
        let error = #expect(throws: LaunchError.self) {
            try ResourceControl.join(.init(closID: "gold"), id: "x", pid: 1, nil)
        }
        #expect(error?.description.hasPrefix("linux.intelRdt: ") == true)
        #expect(error?.description.contains("mount -t resctrl") == true)
    }

    @Test("an existing group is joined, and never removed with the container")
    func named() throws {
        let control = ResourceControl(root: root)
        defer { try? File.removeTree(root) }
        let made = try ResourceControl.join(.init(closID: "gold"), id: "x", pid: 42, control)
        #expect(made == [])
        #expect(try text("/gold/tasks") == "42\n")
        #expect(try ResourceControl.join(.init(closID: "/"), id: "x", pid: 43, control) == [])
        #expect(try text("/tasks") == "43\n")
    }

    @Test("a further process goes where the first one is, and to the default group with it when the group was removed")
    func admitted() throws {
        let control = ResourceControl(root: root)
        defer { try? File.removeTree(root) }
        try ResourceControl.admit(44, to: .init(closID: "gold"), id: "x", control)
        #expect(try text("/gold/tasks") == "44\n")
        try ResourceControl.admit(45, to: .init(), id: "web", control)
        #expect(try text("/web/tasks") == "45\n")
        try put("/gold/mon_groups/model/tasks", "")
        try ResourceControl.admit(46, to: .init(closID: "gold", enableMonitoring: true), id: "model", control)
        #expect(try text("/gold/mon_groups/model/tasks") == "46\n")
        try ResourceControl.admit(47, to: .init(closID: "silver"), id: "x", control)
        #expect(!File.exists("\(root)/silver"))
    }

    @Test("schemata of a group that others may use are compared by what they say, not changed")
    func compared() throws {
        let control = ResourceControl(root: root)
        defer { try? File.removeTree(root) }
        let before = try text("/gold/schemata")
        _ = try ResourceControl.join(
            .init(closID: "gold", schemata: ["L3:1=1f;0=7FF"], memBwSchema: "MB:0=20;1=70"), id: "x", pid: 42, control)
        let error = #expect(throws: LaunchError.self) {
            try ResourceControl.join(.init(closID: "gold", l3CacheSchema: "L3:0=f"), id: "x", pid: 42, control)
        }
        #expect(error?.description.contains("L3:0=f differs") == true, "\(String(describing: error))")
        #expect(try text("/gold/schemata") == before)
    }

    @Test("a named group without schemata must be there")
    func unknown() throws {
        let error = #expect(throws: LaunchError.self) { try join(.init(closID: "silver")) }
        #expect(error?.description.hasPrefix("linux.intelRdt.closID: there is no group") == true)
    }

    @Test("a failure says the kernel's own word, and what was made is gone")
    func failing() throws {
        // A directory made here has no files, as a group that the kernel refuses would.
        let error = #expect(throws: LaunchError.self) {
            try ResourceControl.join(
                .init(schemata: ["L3:0=ffff"]), id: "fresh", pid: 42, ResourceControl(root: root))
        }
        defer { try? File.removeTree(root) }
        #expect(error?.description.contains("Invalid bit mask") == true, "\(String(describing: error))")
        #expect(!File.exists("\(root)/fresh"))
    }

    @Test("monitoring takes a group of the container's own, which must not be there already")
    func monitoring() throws {
        let error = #expect(throws: LaunchError.self) {
            try join(.init(closID: "gold", enableMonitoring: true), id: "model")
        }
        #expect(error?.description.hasPrefix("linux.intelRdt.enableMonitoring: cannot create") == true)
    }

    @Test(
        "names and lines that could lead elsewhere are refused by their field",
        arguments: [
            (RuntimeSpec.IntelRdt(closID: "../x"), "closID"), (.init(closID: "a/b"), "closID"),
            (.init(closID: "info"), "closID"), (.init(closID: ""), "closID"),
            (.init(memBwSchema: "L3:0=1"), "memBwSchema"), (.init(l3CacheSchema: "MB:0=1"), "l3CacheSchema"),
            (.init(schemata: ["L3:0=1\nMB:0=1"]), "schemata[0]"),
        ] as [(RuntimeSpec.IntelRdt, String)])
    func refused(_ settings: RuntimeSpec.IntelRdt, _ field: String) throws {
        defer { try? File.removeTree(root) }
        var spec = LaunchFixture.spec("true")
        spec.linux?.intelRdt = settings
        let error = #expect(throws: PlanError.self) { try LaunchPlanner.plan(spec, host: LaunchPlanTests.host) }
        #expect(error?.problems.map(\.path) == ["linux.intelRdt.\(field)"])
    }
}
