internal import OCISpec

extension ContainerBuilder {
    /// Docker's mounts, then those of the settings from the outermost to the innermost, each in place of a standard
    /// one with the same target.
    static func mounts(
        _ image: ImageConfiguration, _ settings: ServiceSettings, _ facts: BuildFacts
    ) throws(BuildError) -> [RuntimeSpec.Mount] {
        let own = try ownMounts(image, settings, facts)
        let targets = Set(own.map(\.destination))
        let standard = kernelMounts(settings, facts) + files(facts)
        return standard.filter { !targets.contains($0.destination) } + own
    }

    private static func kernelMounts(_ settings: ServiceSettings, _ facts: BuildFacts) -> [RuntimeSpec.Mount] {
        func mount(_ target: String, _ type: String, _ source: String, _ options: String) -> RuntimeSpec.Mount {
            RuntimeSpec.Mount(
                destination: target, type: type, source: source, options: options.split(separator: ",").map(String.init)
            )
        }
        let memory = sharedMemory(settings, facts)
        // sysfs shows a network namespace and can be mounted only by who owns it.
        let ownsNetwork = settings.usesHostUserNamespace || settings.network != .host
        var result = [
            mount("/proc", "proc", "proc", "nosuid,noexec,nodev"),
            mount("/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
            mount("/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
            ownsNetwork
                ? mount("/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro")
                : mount("/sys", "none", "/sys", "rbind,nosuid,noexec,nodev,ro,rro,rprivate"),
            mount("/sys/fs/cgroup", "cgroup2", "cgroup", "ro,nosuid,noexec,nodev"),
            mount("/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev"),
            mount("/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=\(memory)"),
        ]
        if settings.readOnlyRoot {
            result.append(mount("/tmp", "tmpfs", "tmpfs", "nosuid,nodev,mode=1777,size=\(memory)"))
        }
        return result
    }

    /// Half of what the container may use, since both count against the same limit, and never below 64 MiB.
    static func sharedMemory(_ settings: ServiceSettings, _ facts: BuildFacts) -> Int64 {
        settings.limits.sharedMemory ?? max(64 << 20, (settings.limits.memory ?? facts.hostMemory) / 2)
    }

    private static func files(_ facts: BuildFacts) -> [RuntimeSpec.Mount] {
        let files = [
            ("/etc/hosts", facts.hostsFile), ("/etc/hostname", facts.hostnameFile),
            ("/etc/resolv.conf", facts.resolverFile),
        ]
        return files.compactMap { target, source in
            source.map {
                RuntimeSpec.Mount(
                    destination: target, type: "none", source: $0,
                    options: ["bind", "rprivate", "ro", "nosuid", "nodev", "noexec"])
            }
        }
    }

    private static func ownMounts(
        _ image: ImageConfiguration, _ settings: ServiceSettings, _ facts: BuildFacts
    ) throws(BuildError) -> [RuntimeSpec.Mount] {
        var result = settings.volumes.map { volume($0, settings, facts) }
        result += settings.temporaryFileSystems.map { tmpfs in
            let options = ["nosuid", "nodev"] + (tmpfs.options.contains("exec") ? [] : ["noexec"]) + tmpfs.options
            return RuntimeSpec.Mount(destination: tmpfs.target, type: "tmpfs", source: "tmpfs", options: options)
        }
        result += settings.devices.map { device in
            RuntimeSpec.Mount(
                destination: device.target, type: "none", source: device.source,
                // Read-only keeps the owner and mode of the host's node; the device itself can be written all the same.
                options: ["bind", "rprivate", "nosuid", "noexec", "ro", "dev"])
        }
        if let program = facts.initProgram, settings.usesInit {
            result.append(
                RuntimeSpec.Mount(
                    destination: initPath, type: "none", source: program,
                    options: ["bind", "rprivate", "ro", "nosuid", "nodev"]))
        }
        if settings.readOnlyRoot {
            let taken = Set(result.map(\.destination))
            for target in image.volumes.sorted() where !taken.contains(target) && target.hasPrefix("/") {
                result.append(
                    RuntimeSpec.Mount(
                        destination: target, type: "tmpfs", source: "tmpfs",
                        options: ["nosuid", "nodev", "noexec"]))
            }
        }
        var seen: Set<String> = []
        for mount in result where !seen.insert(mount.destination).inserted {
            throw BuildError(
                "volumes", "two mounts have the target \(mount.destination)", remedy: "leave one of them out")
        }
        func depth(_ mount: RuntimeSpec.Mount) -> Int { mount.destination.split(separator: "/").count }
        return result.enumerated().sorted { (depth($0.element), $0.offset) < (depth($1.element), $1.offset) }
            .map(\.element)
    }

    private static func volume(
        _ volume: VolumeMount, _ settings: ServiceSettings, _ facts: BuildFacts
    ) -> RuntimeSpec.Mount {
        var options = ["rbind", volume.propagation.rawValue]
        options += volume.readOnly ? ["ro", "rro"] : ["rw"]
        options += ["nosuid", "nodev"] + (volume.noExec ? ["noexec"] : [])
        var mount = RuntimeSpec.Mount(
            destination: volume.target, type: "none", source: volume.source, options: options)
        if !settings.usesHostUserNamespace {
            // Owners on disk are what they are inside: 0 is root in the container, not on the host.
            mount.options.append("ridmap")
            mount.uidMappings = [facts.userRange]
            mount.gidMappings = [facts.userRange]
        }
        return mount
    }
}
