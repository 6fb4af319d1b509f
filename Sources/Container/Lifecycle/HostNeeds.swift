internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import OCISpec

/// What containers in general need of a host.
struct HostNeeds {
    let host: HostFacts

    typealias Item = Preflight.Item

    func items(criu: String) -> [Item] {
        namespaces() + systemCalls() + cgroups() + capabilities() + fileSystems() + security() + [checkpoint(criu)]
    }

    // MARK: Kernel

    private func namespaces() -> [Item] {
        RuntimeSpec.Namespace.Kind.allCases.map { kind in
            let name = "\(kind.rawValue) namespace"
            guard File.exists("/proc/self/ns/\(kind.link)") else {
                // Only the mount namespace is in every container's way.
                return Item(name, kind == .mount ? .missing : .limited, "this kernel has none")
            }
            if kind == .user, !host.userNamespaces {
                return Item(name, .limited, "not allowed by the sysctl user.max_user_namespaces")
            }
            return Item(name, .present)
        }
    }

    /// Each with the kernel that brought it, tried with arguments that do nothing.
    private func systemCalls() -> [Item] {
        let bad: Int32 = -1
        let tries: [(name: String, result: Int32, since: String, needed: Bool)] = [
            ("openat2", mlr_openat2(bad, "x", 0, 0, 0), "5.6", true),
            ("pidfd_open", mlr_pidfd_open(-1), "5.3", true),
            ("open_tree", mlr_open_tree(bad, "x", 0), "5.2", true),
            ("move_mount", mlr_move_mount(bad, "x", bad, "x", 0), "5.2", true),
            ("fsopen", mlr_fsopen("no-such-file-system"), "5.2", true),
            ("mount_setattr", mlr_mount_setattr(bad, "x", 0, 0, 0, 0, -1), "5.12", true),
        ]
        return tries.map { attempt in
            let isThere = attempt.result != -ENOSYS
            return Item(
                "system call \(attempt.name)", isThere ? .present : attempt.needed ? .missing : .limited,
                isThere ? "" : "this kernel (\(host.kernelRelease)) has it not; Linux \(attempt.since) and later do")
        }
    }

    // MARK: Control groups

    private func cgroups() -> [Item] {
        guard let mount = host.cgroups.unifiedMount else {
            return [
                Item(
                    "cgroup v2", .limited,
                    "none is mounted; without it use --cgroup-manager=disabled, or: mount -t cgroup2 cgroup2 /sys/fs/cgroup"
                )
            ]
        }
        var items = [Item("cgroup v2", .present, "at \(mount)")]
        for controller in ["cpu", "cpuset", "hugetlb", "io", "memory", "pids", "rdma"] {
            let name = "controller \(controller)"
            if host.controllers?.contains(controller) == true {
                items.append(Item(name, .present))
            } else if let legacy = host.cgroups.legacyControllers[controller == "io" ? "blkio" : controller] {
                items.append(
                    Item(
                        name, .limited,
                        "this host is hybrid and binds it to cgroup v1\(legacy.map { " (\($0))" } ?? ""); "
                            + "for v2 boot with systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all"))
            } else {
                items.append(Item(name, .limited, "this kernel has it not, or it is not delegated to this group"))
            }
        }
        let top = Cgroup(path: mount + (host.cgroups.ownGroup ?? ""))
        for (file, what) in [("cgroup.kill", "killing a whole group at once"), ("cgroup.freeze", "pause")] {
            // The top of the hierarchy has neither.
            let child = (try? top.children())?.first ?? top
            if child.path == mount { continue }
            items.append(Item("\(file)", child.has(file) ? .present : .limited, child.has(file) ? "" : "for \(what)"))
        }
        let hasPressure = File.exists("/proc/pressure/cpu")
        items.append(
            Item("pressure figures (PSI)", hasPressure ? .present : .limited, hasPressure ? "" : "boot with psi=1"))
        return items
    }

    // MARK: Rights and files

    private static let uses: [(capability: Capability, use: String, needed: Bool)] = [
        (.sysAdmin, "mounts and namespaces", true),
        (.setuid, "a container's user", true),
        (.setgid, "a container's groups", true),
        (.setpcap, "bounding sets", true),
        (.chown, "owners of files and nodes", false),
        (.mknod, "device nodes; without it the host's are bound in", false),
        (.netAdmin, "network interfaces of containers", false),
        (.sysChroot, "joining mount namespaces", false),
        (.sysPtrace, "exec in containers of other users", false),
        (.sysResource, "limits above this process's own (process.rlimits, oom_score_adj below the present one)", false),
    ]

    private func capabilities() -> [Item] {
        Self.uses.map { entry in
            let isThere = host.capabilities.contains(entry.capability)
            let isRootless = geteuid() != 0
            return Item(
                entry.capability.name, isThere ? .present : entry.needed && !isRootless ? .missing : .limited,
                isThere ? "" : "for \(entry.use)\(isRootless ? "; without root, in user namespaces only" : "")")
        }
    }

    private func fileSystems() -> [Item] {
        let uses = [
            ("proc", "/proc", true), ("sysfs", "/sys", true), ("tmpfs", "/dev and /dev/shm", true),
            ("devpts", "terminals", true), ("mqueue", "/dev/mqueue", false),
            ("overlay", "images of several layers", false), ("cgroup2", "/sys/fs/cgroup", false),
        ]
        return uses.map { type, use, needed in
            let isThere = host.fileSystems.contains(type)
            return Item(
                "file system \(type)", isThere ? .present : needed ? .missing : .limited,
                isThere ? "" : "for \(use); load its module: modprobe \(type)")
        }
    }

    private func security() -> [Item] {
        let filters = !host.seccompActions.isEmpty
        var items = [
            Item(
                "seccomp filters", filters ? .present : .limited, filters ? "" : "profiles (linux.seccomp) are refused")
        ]
        if filters {
            let notifies = host.seccompActions.contains("user_notif")
            items.append(
                Item(
                    "seccomp notification", notifies ? .present : .limited, notifies ? "" : "SCMP_ACT_NOTIFY is refused"
                ))
        }
        for (module, name) in [("apparmor", "AppArmor"), ("selinux", "SELinux")] {
            let isThere = host.securityModules?.contains(module) == true
            items.append(Item(name, isThere ? .present : .limited, isThere ? "" : "labels for it are refused"))
        }
        let hasFilter = host.capabilities.contains(.bpf) || host.capabilities.contains(.sysAdmin)
        items.append(
            Item(
                "device filters (eBPF)", hasFilter ? .present : .limited,
                hasFilter ? "" : "CAP_BPF or CAP_SYS_ADMIN loads them"))
        return items
    }

    private func checkpoint(_ criu: String) -> Item {
        guard HostProgram.find(criu) != nil else {
            return Item("CRIU", .limited, "\(criu) is not installed; checkpoint and restore need it")
        }
        guard let outcome = try? HostProgram.run(criu, ["check"], environment: HostProgram.environment),
            outcome.exitCode != 0
        else { return Item("CRIU", .present) }
        return Item("CRIU", .limited, "criu check: \(CheckpointLog.cause(outcome.output + outcome.errors))")
    }
}
