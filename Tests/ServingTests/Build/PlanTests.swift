import OCISpec
import Testing

@testable import Container
@testable import Serving

@Suite("From settings to a launch plan")
struct PlanTests {
    private static let host = HostFacts(
        kernelRelease: "6.12.0", lastCapability: 40, capabilities: .all,
        cgroups: HostCgroups(layout: .unified, unifiedMount: "/sys/fs/cgroup", ownGroup: "/"),
        controllers: ["cpu", "cpuset", "memory", "pids", "io"], seccompActions: ["kill_process", "allow", "errno"],
        securityModules: ["capability"], userNamespaces: true, fileSystems: ["tmpfs", "proc"])

    private static let wishes: [(String, @Sendable (inout ServiceSettings) -> Void)] = [
        ("nothing", { _ in }), ("the host's user namespace", { $0.usesHostUserNamespace = true }),
        ("the host's network", { $0.network = .host }), ("a read-only root", { $0.readOnlyRoot = true }),
        (
            "volumes",
            {
                $0.volumes = [
                    VolumeMount(source: "/srv", target: "/a", readOnly: true),
                    VolumeMount(source: "/srv", target: "/b", propagation: .slave),
                ]
            }
        ),
        (
            "volumes outside of a user namespace",
            {
                $0.usesHostUserNamespace = true
                $0.volumes = [VolumeMount(source: "/srv", target: "/a", noExec: true)]
            }
        ),
        (
            "a file system in memory",
            { $0.temporaryFileSystems = [.init(target: "/t", options: ["size=1024", "exec"])] }
        ),
        ("a device", { $0.devices = [DeviceMapping(source: "/dev/null", target: "/dev/other")] }),
        (
            "limits",
            {
                $0.limits.memory = 1 << 30
                $0.limits.memorySwap = 2 << 30
                $0.limits.cpus = 2
                $0.limits.pids = -1
                $0.limits.ioWeight = 5
            }
        ),
        ("no filter", { $0.security.seccomp = .unconfined }),
    ]

    @Test("what is built can be launched, whatever was wished for", arguments: wishes.indices)
    func plannable(index: Int) throws {
        var image = ContainerBuilderTests.python
        image.volumes = ["/data"]
        var facts = ContainerBuilderTests.facts()
        facts.hasCpusetController = true
        facts.hostsFile = "/run/hosts"
        let settings = ContainerBuilderTests.settings(Self.wishes[index].1)
        var build = try ContainerBuilder.build(image, settings, facts)
        build.resolve(ResolvedUser(uid: 0, gid: 0, additionalGIDs: [], home: "/root", name: "root"))
        #expect(throws: Never.self, "\(Self.wishes[index].0)") {
            try LaunchPlanner.plan(build.spec, host: Self.host)
        }
    }
}
