import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import Container

/// Plans are compared with files in Golden/. After a wanted change, run the tests once with MLRUN_WRITE_GOLDEN=1 and
/// read the difference.
@Suite struct LaunchPlanTests {
    static let host = HostFacts(
        kernelRelease: "6.12.0", lastCapability: 40, capabilities: .all,
        cgroups: HostCgroups(layout: .unified, unifiedMount: "/sys/fs/cgroup", ownGroup: "/"),
        controllers: ["cpu", "memory", "pids", "io"], seccompActions: ["kill_process", "allow", "errno"],
        securityModules: ["capability"], userNamespaces: true, fileSystems: ["tmpfs", "proc"])

    private func compare(_ plan: LaunchPlan, _ name: String, file: String = #filePath) throws {
        let path = "\(File.parent(of: file))/Golden/\(name).json"
        let text = plan.json.text(pretty: true) + "\n"
        if getenv("MLRUN_WRITE_GOLDEN") != nil {
            try File.replace(path, with: Array(text.utf8), mode: 0o644, durable: false)
        }
        let golden = try File.readText(path)
        #expect(text == golden, "the plan differs from \(path)")
    }

    private func plan(_ spec: RuntimeSpec, _ options: LaunchPlanner.Options = .init()) throws -> LaunchPlan {
        try LaunchPlanner.plan(spec, host: Self.host, options: options)
    }

    @Test("the plan of a container as Docker makes it")
    func docker() throws {
        var spec = LaunchFixture.spec("serve")
        spec.linux?.seccomp = .init(defaultAction: "SCMP_ACT_ALLOW", architectures: [], syscalls: [])
        try compare(try plan(spec), "docker")
    }

    @Test("the plan in a user namespace binds the host's devices and becomes root of it first")
    func userNamespace() throws {
        var spec = LaunchFixture.inUserNamespace(LaunchFixture.spec("serve"))
        spec.mounts.append(
            .init(destination: "/models", type: "bind", source: "/srv/models", options: ["rbind", "ro", "idmap"]))
        try compare(try plan(spec), "user-namespace")
    }

    @Test("the plan with the host's network leaves the loopback interface alone")
    func hostNetwork() throws {
        var spec = LaunchFixture.inUserNamespace(LaunchFixture.spec("serve"))
        spec.linux?.namespaces.removeAll { $0.kind == .network }
        try compare(try plan(spec), "host-network")
    }

    @Test("the plan with a read-only root, a gate and rights kept over setuid programs")
    func readOnly() throws {
        var spec = LaunchFixture.spec("serve")
        spec.root?.readonly = true
        spec.process?.noNewPrivileges = false
        spec.process?.user = .init(uid: 1000, gid: 1000, umask: 0o077, additionalGids: [44])
        spec.linux?.seccomp = .init(defaultAction: "SCMP_ACT_ALLOW", architectures: [], syscalls: [])
        try compare(try plan(spec, .init(isGated: true, keyring: "_ses.x")), "read-only")
    }

    @Test("of variables that are given several times the last is the program's, in the place of the first")
    func repeatedVariables() throws {
        var spec = LaunchFixture.spec("serve")
        spec.process?.env = [
            "TERM=xterm", "PATH=/bin", "TERM=", "e\u{301}=1", "\u{e9}=2", "PATH=/sbin", "TERM=y=z", "=a", "=b",
        ]
        let expected = ["TERM=y=z", "PATH=/sbin", "e\u{301}=1", "\u{e9}=2", "=a", "=b"].map { Array($0.utf8) }
        let exec = try LaunchPlanner.plan(
            exec: spec.process ?? .init(), linux: .init(), container: 1, host: Self.host, joining: [])
        for plan in [try plan(spec), exec] {
            guard case .execute(_, let environment) = plan.steps.last else {
                Issue.record("the plan has no program")
                continue
            }
            #expect(environment.map { Array($0.utf8) } == expected)
        }
        #expect(EnvironmentVariables.lastOfEach(["A", "A", "B=1", "A"]) == ["A", "A", "B=1", "A"])
    }

    @Test("a process that joins has the container's personality and memory policy, and an impossible one is refused")
    func joiningPolicies() throws {
        var linux = RuntimeSpec.Linux(
            personality: .init(domain: "LINUX32"), memoryPolicy: .init(mode: "MPOL_PREFERRED", nodes: "0"))
        func plan() throws -> LaunchPlan {
            try LaunchPlanner.plan(
                exec: .init(args: ["true"]), linux: linux, container: 1, host: Self.host, joining: [.mount])
        }
        let steps = try plan().steps
        #expect(steps.contains(.personality(.init(domain: "LINUX32"))))
        #expect(steps.contains(.memoryPolicy(.init(mode: "MPOL_PREFERRED", nodes: "0"))))
        linux.personality?.domain = "MINIX"
        let error = #expect(throws: PlanError.self) { try plan() }
        #expect(error?.problems.map(\.path) == ["linux.personality.domain"])
    }

    @Test("the plan that joins namespaces joins the user namespace last")
    func joined() throws {
        var spec = LaunchFixture.spec("serve")
        spec.linux?.namespaces = [
            .init(.user, path: "/proc/7/ns/user"), .init(.network, path: "/proc/7/ns/net"), .init(.pid),
            .init(.mount), .init(.uts), .init(.ipc), .init(.cgroup),
        ]
        let plan = try plan(spec)
        #expect(plan.joined.map(\.kind) == [.network, .user])
        #expect(plan.created == [.pid, .mount, .ipc, .uts])
        #expect(plan.steps.first == .becomeRoot(tolerant: false))
    }

    @Test("everything that cannot be honoured is refused at once, each with its path")
    func refusals() throws {
        var spec = LaunchFixture.spec("serve")
        spec.process?.apparmorProfile = "docker-default"
        spec.process?.selinuxLabel = "system_u:system_r:container_t"
        spec.linux?.intelRdt = .init(closID: "../x")
        spec.linux?.netDevices = ["a/b": .init()]
        spec.linux?.sysctl = ["kernel.pid_max": "1000", "net.core.somaxconn": "10"]
        spec.linux?.namespaces.removeAll { $0.kind == .network }
        spec.mounts.append(.init(destination: "/tmp", type: "tmpfs", source: "tmpfs", options: ["src-nofollow"]))
        spec.mounts.append(.init(destination: "/x", type: "bind", source: "/y", options: ["rbind", "sync"]))
        let error = #expect(throws: PlanError.self) { try plan(spec) }
        let paths = Set(error?.problems.map(\.path) ?? [])
        #expect(
            paths == [
                "process.apparmorProfile", "process.selinuxLabel", "linux.intelRdt.closID", "linux.netDevices.a/b",
                "linux.netDevices.a/b.name",
                "linux.sysctl.kernel.pid_max",
                "linux.sysctl.net.core.somaxconn", "mounts[7].options", "mounts[8].options",
            ])
    }

    @Test("the plan with all kinds of mounts, hooks, scheduling and devices of the host's network")
    func everything() throws {
        var spec = LaunchFixture.spec("serve")
        spec.mounts[1].options.append("ro")
        spec.mounts += [
            .init(destination: "/a", type: "tmpfs", options: ["tmpcopyup", "rnoexec", "sync", "slave", "shared"]),
            .init(destination: "/a", options: ["remount", "bind", "noatime"]),
            .init(destination: "/b", source: "weights", options: ["rbind", "rro", "src-nofollow", "dest-nofollow"]),
            .init(destination: "/c", type: "ext4", source: "/dev/vdb", options: ["iversion", "nosuid"]),
        ]
        spec.hooks = .init(
            prestart: [.init(path: "/host")], createContainer: [.init(path: "/namespaced", args: ["x"], timeout: 3)],
            startContainer: [.init(path: "/inside")])
        spec.process?.scheduler = .init(policy: "SCHED_BATCH", nice: 5)
        spec.process?.ioPriority = .init(ioClass: "IOPRIO_CLASS_IDLE", priority: 7)
        spec.process?.execCPUAffinity = .init(initial: "0", final: "1")
        spec.process?.oomScoreAdj = 100
        spec.linux?.personality = .init(domain: "LINUX32", flags: ["ADDR_NO_RANDOMIZE"])
        spec.linux?.memoryPolicy = .init(mode: "MPOL_INTERLEAVE", nodes: "0", flags: ["MPOL_F_STATIC_NODES"])
        spec.linux?.netDevices = ["eth1": .init(name: "data%d"), "eth0": .init()]
        spec.linux?.rootfsPropagation = "slave"
        spec.linux?.namespaces.append(.init(.time))
        spec.linux?.timeOffsets = ["boottime": .init(secs: 3600)]
        spec.linux?.sysctl = ["kernel.shmmax": "1"]
        spec.linux?.seccomp = .init(
            defaultAction: "SCMP_ACT_ALLOW", flags: ["SECCOMP_FILTER_FLAG_TSYNC"], listenerPath: "/run/agent",
            syscalls: [.init(names: ["mkdir"], action: "SCMP_ACT_NOTIFY")])
        try compare(try plan(spec, .init(bundle: "/bundle", isGated: true)), "everything")
    }

    @Test("capabilities that the host cannot grant are left out with a warning, in a user namespace they are granted")
    func missingCapability() throws {
        var host = Self.host
        host.capabilities = CapabilitySet.all.subtracting(CapabilitySet([Capability.sysResource]))
        var spec = LaunchFixture.spec("serve")
        let names = ["CAP_SYS_RESOURCE", "CAP_KILL"]
        spec.process?.capabilities = .init(effective: names, bounding: names, permitted: names)
        let kill = CapabilitySet([Capability.kill]).rawValue
        let plan = try LaunchPlanner.plan(spec, host: host)
        #expect(plan.warnings.count == 1 && plan.warnings.first?.contains("CAP_SYS_RESOURCE") == true)
        #expect(plan.steps.contains(.boundingSet(kill)))
        let inside = try LaunchPlanner.plan(LaunchFixture.inUserNamespace(spec), host: host)
        #expect(inside.warnings.isEmpty)
        #expect(inside.steps.contains(.boundingSet(kill | CapabilitySet([Capability.sysResource]).rawValue)))
    }

    @Test("mount options of mount_setattr(2) are read by the table, the rest is the file system's")
    func mountOptions() {
        let options = MountOptions(["ro", "rnosuid", "noatime", "relatime", "rshared", "size=4k", "mode=755"])
        #expect(options.attributes.words == ["ro", "relatime"])
        #expect(options.recursiveAttributes.words == ["nosuid"])
        #expect(options.propagation == [.rshared])
        #expect(options.data == [.init("size", "4k"), .init("mode", "755")])
        #expect(MountOptions(["ro", "rw"]).attributes == MountAttributes(set: 0, clear: MountAttributes.readOnly))
    }

    @Test(
        "lists of processors are read exactly", arguments: [("0-3,8", [0, 1, 2, 3, 8]), ("5", [5]), ("", [])])
    func bitLists(_ text: String, _ numbers: [Int]) {
        #expect(BitList(text)?.numbers == numbers)
    }

    @Test("malformed lists of processors are refused", arguments: ["3-1", "a", "1,", "-1", "1-2-3", "99999", "+1"])
    func malformedBitLists(_ text: String) { #expect(BitList(text) == nil) }
}
