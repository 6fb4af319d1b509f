internal import CLibseccomp
internal import CLinux
internal import LinuxSystem
public import OCISpec

/// What the runtime can do (runtime-spec, features.md and features-linux.md). Nothing is listed here that another table
/// knows: names come from the tables that the runtime works by, and from asking the planner.
public enum RuntimeFeatures {
    /// The oldest and the newest version of the specification that is understood.
    public static let oldestVersion = "1.0.0"
    /// See ``oldestVersion``.
    public static let latestVersion = "1.3.0"

    /// Of libseccomp, such as `2.5.4`.
    public static var seccompVersion: String {
        guard let version = seccomp_version()?.pointee else { return "unknown" }
        return "\(version.major).\(version.minor).\(version.micro)"
    }

    /// The document of the `features` verb.
    /// - Parameter heedsAnnotations: whether those that ask for devices get them.
    public static func json(version: String, heedsAnnotations: Bool = true) -> JSON {
        var object = JSONObject()
        object["ociVersionMin"] = .string(oldestVersion)
        object["ociVersionMax"] = .string(latestVersion)
        object["hooks"] = strings(hooks)
        object["mountOptions"] = strings(mountOptions)
        object["linux"] = linux()
        object["annotations"] = [
            "io.github.seccomp.libseccomp.version": .string(seccompVersion),
            // What callers ask for by this name, whichever runtime it is.
            "org.opencontainers.runc.checkpoint.enabled": "true",
            "dev.mlrun.version": .string(version),
            // What the members of fixed form say without a condition that lies outside the configuration and the kernel.
            "dev.mlrun.condition.cgroup.v1": "no cgroup2 is mounted, or MLRUN_CGROUP_V1=1 is in the environment",
            "dev.mlrun.condition.checkpoint": "criu is installed",
        ]
        object["potentiallyUnsafeConfigAnnotations"] = strings(
            (heedsAnnotations ? [CDIRegistry.annotationPattern] : []) + [SystemdAnnotations.prefix])
        return .object(object)
    }

    private static func strings(_ names: some Sequence<String>) -> JSON { .array(names.map { .string($0) }) }

    private static let hooks = [
        "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop",
    ]

    // MARK: Mounts

    /// Every word that mount(8) and other runtimes know and that has a meaning of its own here, for whatever file system.
    static let mountOptions = MountOption.table.keys.sorted()

    // MARK: Linux

    private static func linux() -> JSON {
        var object = JSONObject()
        object["namespaces"] = strings(RuntimeSpec.Namespace.Kind.allCases.map(\.rawValue).sorted())
        object["capabilities"] = strings(Capability.allCases.map(\.name))
        object["cgroup"] = cgroup()
        object["seccomp"] = seccomp()
        object["apparmor"] = enabled { $0.process?.apparmorProfile = "unconfined" }
        object["selinux"] = enabled { $0.process?.selinuxLabel = "system_u:system_r:container_t:s0" }
        object["intelRdt"] = intelRdt()
        object["memoryPolicy"] = [
            "modes": strings(SchedulingValues.memoryModes.keys.sorted()),
            "flags": strings(SchedulingValues.memoryFlags.keys.sorted()),
        ]
        object["mountExtensions"] = ["idmap": ["enabled": .bool(mountOptions.contains("idmap"))]]
        object["netDevices"] = enabled { $0.linux?.netDevices = ["eth0": .init()] }
        return .object(object)
    }

    private static func cgroup() -> JSON {
        let managers = ContainerCgroup.Manager.allCases
        return [
            "v1": true, "v2": true, "systemd": .bool(managers.contains(.systemd)),
            "systemdUser": .bool(managers.contains(.systemd)),
            "rdma": .bool(CgroupLimits.controllers(of: .init(rdma: ["x": .init(hcaHandles: 1)])).contains("rdma")),
        ]
    }

    private static let knownFlags = [
        "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC",
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
    ].filter { (try? SeccompNames.flags([$0])) != nil }

    private static func seccomp() -> JSON {
        let architectures = SeccompNames.architectures.filter { seccomp_arch_resolve_name($0.value) != 0 }
        let supported = knownFlags.filter { name in
            (try? SeccompNames.flags([name])).map { mlr_seccomp_supported_flags($0) != 0 } ?? false
        }
        return [
            "enabled": true, "actions": strings(SeccompNames.actions.sorted()),
            "operators": strings(SeccompNames.operators.keys.sorted()),
            "archs": strings(architectures.keys.sorted()), "knownFlags": strings(knownFlags),
            "supportedFlags": strings(supported),
        ]
    }

    private static func intelRdt() -> JSON {
        func has(_ settings: RuntimeSpec.IntelRdt) -> JSON { .bool(plans { $0.linux?.intelRdt = settings }) }
        return [
            "enabled": has(.init(closID: "x")), "schemata": has(.init(closID: "x", schemata: ["L3:0=f"])),
            "monitoring": has(.init(closID: "x", enableMonitoring: true)),
        ]
    }

    private static func enabled(_ change: (inout RuntimeSpec) -> Void) -> JSON { ["enabled": .bool(plans(change))] }

    /// Whether the planner takes a setting on a host that has everything: what this host has is no matter here.
    private static func plans(_ change: (inout RuntimeSpec) -> Void) -> Bool {
        var spec = RuntimeSpec(
            root: .init(path: "rootfs"), process: .init(args: ["true"], cwd: "/"),
            linux: .init(namespaces: [.mount, .network, .pid].map { .init($0) }))
        guard var host = try? HostFacts.discover() else { return false }
        host.securityModules = ["apparmor", "selinux"]
        host.fileSystems.insert("resctrl")
        func problems() -> [JSONError] {
            do throws(PlanError) {
                _ = try LaunchPlanner.plan(spec, host: host, options: .init(bundle: "/"))
                return []
            } catch { return error.problems }
        }
        let before = problems()
        change(&spec)
        return problems().allSatisfy(before.contains)
    }
}
