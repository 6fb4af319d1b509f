public import Container
public import OCISpec

/// From an image's configuration and a service's settings to the container that is to run: a pure function, so that
/// what a replica will be can be shown and tested without making it.
///
/// The user is left as text, since names mean what the image's own /etc/passwd says; ``ContainerBuild/resolve(_:)``
/// fills it in. Directories that the image declares as volumes are part of the writable layer and go with the
/// replica; under a read-only root they are empty file systems in memory.
public enum ContainerBuilder {
    /// The container for an image, settings and facts. Throws ``BuildError`` for what cannot be had here.
    public static func build(
        _ image: ImageConfiguration, _ settings: ServiceSettings, _ facts: BuildFacts
    ) throws(BuildError) -> ContainerBuild {
        try checkImage(image)
        let capabilities = try capabilities(settings, facts)
        var process = RuntimeSpec.Process(args: try arguments(image, settings, facts), cwd: "/")
        process.cwd = settings.workingDirectory ?? (image.workingDirectory.isEmpty ? "/" : image.workingDirectory)
        guard process.cwd.hasPrefix("/") else {
            throw BuildError(
                "workingDirectory", "the working directory \"\(process.cwd)\" is not absolute",
                remedy: "write a path that begins with /")
        }
        let resources = try resources(settings, facts)
        process.terminal = facts.terminal
        process.env = environment(image, settings, facts)
        process.noNewPrivileges = settings.security.noNewPrivileges
        process.apparmorProfile = settings.security.apparmorProfile
        process.selinuxLabel = settings.security.selinuxLabel
        process.rlimits = try limits(settings, facts)
        process.capabilities = RuntimeSpec.Capabilities(
            effective: capabilities.names, bounding: capabilities.names, permitted: capabilities.names)

        var linux = RuntimeSpec.Linux()
        linux.namespaces = namespaces(settings, facts)
        if !settings.usesHostUserNamespace {
            linux.uidMappings = [facts.userRange]
            linux.gidMappings = [facts.userRange]
        }
        linux.cgroupsPath = facts.cgroupsPath
        linux.resources = resources
        linux.seccomp = try seccomp(settings, capabilities, facts)
        linux.maskedPaths = maskedPaths
        linux.readonlyPaths = readonlyPaths
        // A server that is not root may listen on port 80 of its own loopback.
        if settings.network != .host { linux.sysctl = ["net.ipv4.ip_unprivileged_port_start": "0"] }

        let spec = RuntimeSpec(
            root: RuntimeSpec.Root(path: "rootfs", readonly: settings.readOnlyRoot),
            mounts: try mounts(image, settings, facts), process: process, hostname: hostname(settings, facts),
            linux: linux)
        return ContainerBuild(
            spec: spec, user: settings.user ?? image.user, stopSignal: try stopSignal(image, settings),
            processors: resources.cpu?.cpus)
    }

    /// What an image says becomes arguments of system calls, which end at a zero byte.
    private static func checkImage(_ image: ImageConfiguration) throws(BuildError) {
        let lists = [
            ("Env", image.environment), ("Entrypoint", image.entrypoint), ("Cmd", image.command),
            ("Volumes", image.volumes), ("WorkingDir", [image.workingDirectory]), ("User", [image.user]),
        ]
        for (field, values) in lists {
            guard let value = values.first(where: { $0.utf8.contains(0) }) else { continue }
            throw BuildError(
                "image", "the image's \(field) holds a zero byte, in \(value.prefix { $0 != "\0" })…",
                remedy: "make the image again without it")
        }
    }

    static func hostname(_ settings: ServiceSettings, _ facts: BuildFacts) -> String {
        settings.hostname ?? String(facts.replica.prefix(63))
    }

    /// Settings before image before SIGTERM.
    public static func stopSignal(
        _ image: ImageConfiguration, _ settings: ServiceSettings
    ) throws(BuildError) -> SignalName {
        guard let text = settings.stopSignal ?? image.stopSignal, !text.isEmpty else { return .terminate }
        guard let signal = SignalName(text) else {
            let whose = settings.stopSignal == nil ? "the image's stop signal" : "the stop signal"
            throw BuildError(
                "stopSignal", "\(whose) \"\(text)\" is no signal",
                remedy: "give one with --stop-signal, such as SIGTERM or 15")
        }
        return signal
    }

    private static func namespaces(
        _ settings: ServiceSettings, _ facts: BuildFacts
    ) -> [RuntimeSpec.Namespace] {
        var kinds: [RuntimeSpec.Namespace] = [.init(.pid), .init(.mount), .init(.uts), .init(.ipc), .init(.cgroup)]
        if settings.network != .host { kinds.append(.init(.network)) }
        if !settings.usesHostUserNamespace { kinds.append(.init(.user)) }
        return kinds
    }

    /// What would tell of other containers or of the machine (Docker's list).
    static let maskedPaths = [
        "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
        "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap",
        "/sys/firmware",
    ]
    /// What would change the machine (Docker's list).
    static let readonlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
}

/// A container that is ready to be launched but for its user.
public struct ContainerBuild: Sendable, Equatable {
    /// What to launch.
    public var spec: RuntimeSpec
    /// `user[:group]` to look up in the image's files; empty for root.
    public var user: String
    /// What asks it to end.
    public var stopSignal: SignalName
    /// The processors that it was given exclusively, such as `0-3`; nil where its time is limited instead, or not.
    public var processors: String?
    /// Rules for devices that the container was given beside those of its settings.
    public var deviceRules: [RuntimeSpec.Resources.DeviceRule] = []

    /// Fills in who the process is, and HOME where nobody has set it.
    public mutating func resolve(_ user: ResolvedUser) {
        guard var process = spec.process else { return }
        process.user = RuntimeSpec.User(uid: user.uid, gid: user.gid, additionalGids: user.additionalGIDs)
        if !process.env.contains(where: { $0.hasPrefix("HOME=") }) {
            process.env.append("HOME=\(user.home.isEmpty ? "/" : user.home)")
        }
        spec.process = process
    }
}
