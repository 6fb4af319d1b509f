import OCISpec
import Testing

@testable import Container

@Suite struct RuntimeFeaturesTests {
    private let features = RuntimeFeatures.json(version: "1")

    private func names(_ json: JSON?) -> [String] { json?.array?.compactMap(\.string) ?? [] }

    @Test("callers find what they look for: versions, rro, idmapped mounts, namespaces")
    func callers() {
        #expect(features["ociVersionMin"]?.string == "1.0.0")
        #expect(features["ociVersionMax"]?.string == "1.3.0")
        let options = names(features["mountOptions"])
        #expect(Set(["rro", "ro", "bind", "rbind", "rprivate", "nosuid", "rnoexec", "idmap"]).isSubset(of: options))
        #expect(features["linux"]?["mountExtensions"]?["idmap"]?["enabled"]?.bool == true)
        let namespaces = names(features["linux"]?["namespaces"])
        #expect(namespaces == ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"])
        #expect(names(features["hooks"]).count == 6)
    }

    @Test("lists are sorted, without doubles, and hold the names of the specification")
    func lists() {
        for list in [features["mountOptions"], features["linux"]?["seccomp"]?["archs"]] {
            #expect(names(list) == Array(Set(names(list))).sorted())
        }
        let seccomp = features["linux"]?["seccomp"]
        let architectures = names(seccomp?["archs"])
        let actions = names(seccomp?["actions"])
        let operators = names(seccomp?["operators"])
        let known = Set(names(seccomp?["knownFlags"]))
        let supported = Set(names(seccomp?["supportedFlags"]))
        let capabilities = names(features["linux"]?["capabilities"])
        let modes = names(features["linux"]?["memoryPolicy"]?["modes"])
        #expect(architectures.contains("SCMP_ARCH_X86_64"))
        #expect(actions.contains("SCMP_ACT_NOTIFY"))
        #expect(operators.count == 7)
        #expect(supported.isSubset(of: known))
        #expect(capabilities.first == "CAP_CHOWN")
        #expect(modes.contains("MPOL_INTERLEAVE"))
    }

    @Test("what holds under a condition only is said with it, and annotations that change anything are named")
    func conditions() throws {
        #expect(features["linux"]?["cgroup"]?["v1"]?.bool == true)
        let annotations = features["annotations"]
        #expect(annotations?["dev.mlrun.condition.cgroup.v1"]?.string?.contains("MLRUN_CGROUP_V1=1") == true)
        #expect(annotations?["dev.mlrun.condition.checkpoint"]?.string?.contains("criu") == true)
        #expect(names(features["potentiallyUnsafeConfigAnnotations"]) == ["cdi.k8s.", "org.systemd.property."])
        #expect(CDIRegistry.annotationPrefix.hasPrefix(CDIRegistry.annotationPattern))
        let strict = RuntimeFeatures.json(version: "1", heedsAnnotations: false)
        #expect(names(strict["potentiallyUnsafeConfigAnnotations"]) == ["org.systemd.property."])
    }

    @Test("what is said to be enabled is what the planner takes, and the other way round")
    func planner() throws {
        var spec = RuntimeSpec(
            root: .init(path: "rootfs"), process: .init(args: ["true"], cwd: "/"),
            linux: .init(namespaces: [.mount, .network, .pid].map { .init($0) }))
        spec.linux?.netDevices = ["eth0": .init()]
        let host = try HostFacts.discover()
        var isTaken = true
        do throws(PlanError) { _ = try LaunchPlanner.plan(spec, host: host) } catch {
            isTaken = !error.problems.contains { $0.path.hasPrefix("linux.netDevices") }
        }
        #expect(features["linux"]?["netDevices"]?["enabled"]?.bool == isTaken)
    }
}
