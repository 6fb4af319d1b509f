import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import Container

/// A directory that looks like a cgroup hierarchy without being one: what is missing, and why, is then up to the test.
private struct PretendedHierarchy: ~Copyable {
    let path: String

    init(controllers: String, enabled: String = "", isTop: Bool = true) throws {
        path = "/tmp/mlrun-cgroup-\(File.randomName())"
        try File.makeDirectories(path)
        try Self.put(controllers, "\(path)/cgroup.controllers")
        try Self.put(enabled, "\(path)/cgroup.subtree_control")
        try Self.put("1\n77\n", "\(path)/cgroup.procs")
        if !isTop { try Self.put("populated 1\n", "\(path)/cgroup.events") }
    }

    deinit { try? File.removeTree(path) }

    static func put(_ text: String, _ path: String) throws {
        try File.replace(path, with: Array(text.utf8), durable: false)
    }

    func hierarchy(legacy: [String: String?] = [:]) throws -> CgroupHierarchy {
        try CgroupHierarchy(
            HostCgroups(
                layout: legacy.isEmpty ? .unified : .hybrid, unifiedMount: path, ownGroup: "/",
                legacyControllers: legacy))
    }
}

@Suite("Limits that a host cannot set")
struct CgroupAbsenceTests {
    private let memory = RuntimeSpec.Resources(memory: .init(limit: 1 << 20))

    private func refusal(
        _ pretended: borrowing PretendedHierarchy, legacy: [String: String?] = [:], _ resources: RuntimeSpec.Resources
    ) throws -> CgroupError {
        let hierarchy = try pretended.hierarchy(legacy: legacy)
        let error = #expect(throws: CgroupError.self) { try hierarchy.create("/mlrun/a", resources: resources) }
        #expect(!File.exists(pretended.path + "/mlrun"), "a group that failed half way is left behind")
        return try #require(error)
    }

    @Test("on a hybrid host the error names the controller, where it is, and how to boot")
    func hybrid() throws {
        let pretended = try PretendedHierarchy(controllers: "hugetlb")
        let error = try refusal(pretended, legacy: ["memory": "/sys/fs/cgroup/memory"], memory)
        #expect(error.kind == .limit(field: "memory.limit", controller: "memory"))
        #expect(
            error.cause
                == "cannot set memory.limit: this host is hybrid: it binds the memory controller to cgroup v1 "
                + "(/sys/fs/cgroup/memory)")
        let remedy = try #require(error.remedy)
        #expect(remedy.contains("cgroup_no_v1=all") && remedy.contains("--limits=best-effort"))
        let io = try refusal(
            pretended, legacy: ["blkio": nil],
            .init(blockIO: .init(throttleReadBpsDevice: [.init(major: 8, minor: 0, rate: 1)])))
        #expect(io.cause.hasSuffix("it binds the io controller to cgroup v1"))
    }

    @Test("a kernel without the controller, and a top that was not given it, are told apart")
    func kernelOrDelegation() throws {
        let kernel = try refusal(try PretendedHierarchy(controllers: "cpu pids"), memory)
        #expect(kernel.cause.hasSuffix("this kernel has no memory controller"))
        let delegated = try PretendedHierarchy(controllers: "cpu pids", isTop: false)
        #expect(try refusal(delegated, memory).cause.hasSuffix("not delegated to \(delegated.path)"))
    }

    @Test("a file that the kernel's controller lacks is named")
    func file() throws {
        let pretended = try PretendedHierarchy(controllers: "cpu", enabled: "cpu")
        let error = try refusal(pretended, .init(cpu: .init(idle: 1)))
        #expect(error.cause == "cannot set cpu.idle: this kernel's cpu controller has no cpu.idle")
    }

    @Test("processes in the way are named with the way out, and no controller is enabled past them")
    func internalProcesses() throws {
        let pretended = try PretendedHierarchy(controllers: "cpu memory pids", isTop: false)
        let error = try refusal(pretended, memory)
        #expect(
            error.cause
                == "cannot set memory.limit: the cgroup \(pretended.path) holds processes (1, 77), "
                + "so it cannot give the memory controller to groups below it")
        #expect(error.remedy?.contains("mkdir \(pretended.path)/init") == true)
        #expect(try File.readText(pretended.path + "/cgroup.subtree_control") == "")
    }

    @Test("best effort goes on and says what is missing, once for each limit")
    func bestEffort() throws {
        let pretended = try PretendedHierarchy(controllers: "")
        let (group, warnings) = try pretended.hierarchy(legacy: ["pids": nil]).create(
            "/mlrun/a",
            resources: .init(memory: .init(limit: 1 << 20, swappiness: 5), pids: .init(limit: 5)), policy: .bestEffort)
        #expect(group.path == pretended.path + "/mlrun/a" && File.exists(group.path))
        #expect(
            warnings == [
                "going on without a limit: cannot set memory.swappiness: cgroup v2 has no swappiness of a group",
                "going on without a limit: cannot set memory.limit: this kernel has no memory controller",
                "going on without a limit: cannot set pids.limit: this host is hybrid: it binds the pids controller "
                    + "to cgroup v1",
            ])
    }

    @Test("what is unlimited anyway needs no controller")
    func unlimited() throws {
        let pretended = try PretendedHierarchy(controllers: "")
        let resources = RuntimeSpec.Resources(
            memory: .init(limit: -1, swap: -1), cpu: .init(quota: -1, idle: 0), pids: .init(limit: -1))
        #expect(try pretended.hierarchy().create("/a", resources: resources).warnings.isEmpty)
    }

    @Test("a value that makes no sense is refused under either policy", arguments: [LimitPolicy.strict, .bestEffort])
    func nonsense(policy: LimitPolicy) throws {
        let pretended = try PretendedHierarchy(controllers: "")
        let hierarchy = try pretended.hierarchy()
        let error = #expect(throws: CgroupError.self) {
            try hierarchy.create("/a", resources: .init(memory: .init(limit: 5, swap: 1)), policy: policy)
        }
        #expect(error?.kind == .value(field: "memory.swap"))
        #expect(!File.exists(pretended.path + "/a"))
    }

    @Test("a group that exists is not taken over")
    func existing() throws {
        let pretended = try PretendedHierarchy(controllers: "")
        try File.makeDirectories(pretended.path + "/a")
        let error = #expect(throws: CgroupError.self) { try pretended.hierarchy().create("/a") }
        #expect(error?.remedy?.contains("rmdir \(pretended.path)/a") == true)
        #expect(File.exists(pretended.path + "/a"))
    }

    @Test("lowering memory below its use is refused when asked to look first")
    func checkBeforeUpdate() throws {
        let pretended = try PretendedHierarchy(controllers: "memory", enabled: "memory")
        let group = Cgroup(path: pretended.path)
        try PretendedHierarchy.put("max\n", group.path + "/memory.max")
        try PretendedHierarchy.put("5000\n", group.path + "/memory.current")
        let lower = RuntimeSpec.Resources(memory: .init(limit: 4000, checkBeforeUpdate: true))
        #expect(throws: CgroupError.self) {
            try group.apply(lower, in: pretended.hierarchy(), policy: .bestEffort)
        }
        #expect(try group.read("memory.max") == "max\n")
        let higher = RuntimeSpec.Resources(memory: .init(limit: 6000, checkBeforeUpdate: true))
        #expect(try group.apply(higher, in: pretended.hierarchy(), policy: .strict).isEmpty)
        #expect(try group.read("memory.max").hasPrefix("6000"))
    }
}
