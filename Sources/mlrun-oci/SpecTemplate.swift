import OCISpec

/// The configuration that `spec` writes: a shell in a read-only root, with few rights.
enum SpecTemplate {
    private static let capabilities = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
    private static let quiet = ["nosuid", "noexec", "nodev"]

    static let spec = RuntimeSpec(
        root: .init(path: "rootfs", readonly: true),
        mounts: [
            .init(destination: "/proc", type: "proc", source: "proc"),
            .init(
                destination: "/dev", type: "tmpfs", source: "tmpfs",
                options: ["nosuid", "strictatime", "mode=755", "size=65536k"]),
            .init(
                destination: "/dev/pts", type: "devpts", source: "devpts",
                options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
            .init(
                destination: "/dev/shm", type: "tmpfs", source: "shm", options: quiet + ["mode=1777", "size=65536k"]),
            .init(destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: quiet),
            .init(destination: "/sys", type: "sysfs", source: "sysfs", options: quiet + ["ro"]),
            .init(
                destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: quiet + ["relatime", "ro"]),
        ],
        process: .init(
            terminal: true, args: ["sh"],
            env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"], cwd: "/",
            capabilities: .init(effective: capabilities, bounding: capabilities, permitted: capabilities),
            rlimits: [.init(type: "RLIMIT_NOFILE", soft: 1024, hard: 1024)], noNewPrivileges: true),
        hostname: "mlrun",
        linux: .init(
            namespaces: [.pid, .network, .ipc, .uts, .mount, .cgroup].map { .init($0) },
            resources: .init(devices: [.init(allow: false, access: "rwm")]),
            maskedPaths: [
                "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
                "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
            ],
            readonlyPaths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]))

    /// For a user without rights: root in a user namespace of its own, the host's network, and no limits.
    static func rootless(_ spec: RuntimeSpec, uid: UInt32, gid: UInt32) -> RuntimeSpec {
        var spec = spec
        spec.linux?.namespaces.removeAll { $0.kind == .network }
        spec.linux?.namespaces.append(.init(.user))
        spec.linux?.uidMappings = [.init(containerID: 0, hostID: uid, size: 1)]
        spec.linux?.gidMappings = [.init(containerID: 0, hostID: gid, size: 1)]
        spec.linux?.resources = nil
        for index in spec.mounts.indices {
            // Without the network namespace sysfs cannot be mounted anew, and no other group has a number inside.
            if spec.mounts[index].destination == "/sys" {
                spec.mounts[index] = .init(
                    destination: "/sys", type: "none", source: "/sys", options: ["rbind"] + quiet + ["ro"])
            }
            spec.mounts[index].options.removeAll { $0 == "gid=5" }
        }
        return spec
    }
}
