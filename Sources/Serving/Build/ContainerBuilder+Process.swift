internal import Container
public import OCISpec

extension ContainerBuilder {
    /// Docker's rules: an entrypoint of the settings replaces the image's and clears its command, arguments replace
    /// the image's command.
    static func arguments(
        _ image: ImageConfiguration, _ settings: ServiceSettings, _ facts: BuildFacts
    ) throws(BuildError) -> [String] {
        var command: [String]
        if let entrypoint = settings.entrypoint {
            command = entrypoint + settings.arguments
        } else {
            command = image.entrypoint + (settings.arguments.isEmpty ? image.command : settings.arguments)
        }
        guard let first = command.first, !first.isEmpty else {
            throw BuildError(
                "arguments", "no command specified: the image \(settings.image.reference) names none",
                remedy: "write the command after the image, or use --entrypoint")
        }
        if settings.usesInit {
            guard facts.initProgram != nil else {
                throw BuildError(
                    "init", "mlrun-init is not beside this program", remedy: "install it there, or leave --init out")
            }
            command = [initPath, "--"] + command
        }
        return command
    }

    static let initPath = "/dev/init"
    static let standardPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// The image's variables, over them the settings', and below them what servers expect and nobody has set.
    static func environment(
        _ image: ImageConfiguration, _ settings: ServiceSettings, _ facts: BuildFacts
    ) -> [String] {
        var result: [String] = []
        func name(_ variable: String) -> Substring { variable.prefix { $0 != "=" } }
        func set(_ variable: String) {
            if let index = result.firstIndex(where: { name($0) == name(variable) }) {
                result[index] = variable
            } else {
                result.append(variable)
            }
        }
        func setIfMissing(_ variable: String) {
            if !result.contains(where: { name($0) == name(variable) }) { result.append(variable) }
        }
        set(standardPath)
        set("HOSTNAME=\(hostname(settings, facts))")
        if facts.terminal { set("TERM=xterm") }
        for variable in image.environment { set(variable) }
        for variable in settings.environment { set(variable) }
        if let port = servicePort(image, settings) { setIfMissing("PORT=\(port)") }
        if let threads = threads(settings) {
            for variable in threadVariables { setIfMissing("\(variable)=\(threads)") }
        }
        return result
    }

    /// What numeric libraries and servers read instead of looking at the limit that they run under.
    static let threadVariables = [
        "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "LLAMA_ARG_THREADS",
        "GOMAXPROCS",
    ]

    /// Rounded down: one thread more than processors stalls all that work in step with it.
    static func threads(_ settings: ServiceSettings) -> Int? {
        if let cpus = settings.limits.cpus { return max(1, Int(cpus)) }
        return settings.limits.cpusetCpus.flatMap { ProcessorList(parsing: $0)?.processors.count }
    }

    /// The port that the server is expected to listen on: the first published, else the lowest TCP port exposed.
    static func servicePort(_ image: ImageConfiguration, _ settings: ServiceSettings) -> UInt16? {
        settings.ports.first?.containerPort ?? image.exposedTCPPorts.first
    }

    static func capabilities(
        _ settings: ServiceSettings, _ facts: BuildFacts
    ) throws(BuildError) -> CapabilitySet {
        var standard = CapabilitySet.dockerDefault
        // Outside of a user namespace the kernel would let it make any device node.
        if settings.usesHostUserNamespace { standard.subtract(CapabilitySet([.mknod])) }
        do throws(CapabilityError) {
            return try standard.adjusted(
                adding: settings.addedCapabilities, dropping: settings.droppedCapabilities, last: facts.lastCapability)
        } catch {
            throw BuildError(
                "capabilities", "\(error)", remedy: "write a name of capabilities(7), such as NET_BIND_SERVICE")
        }
    }

    static func seccomp(
        _ settings: ServiceSettings, _ capabilities: CapabilitySet, _ facts: BuildFacts
    ) throws(BuildError) -> RuntimeSpec.Seccomp? {
        switch settings.security.seccomp {
        case .unconfined: return nil
        case .standard: return DefaultSeccompProfile.make(capabilities: capabilities, architecture: facts.architecture)
        case .profile(let json):
            do throws(JSONError) {
                return try RuntimeSpec.Seccomp(JSONCursor(json, path: "seccomp"))
            } catch {
                throw BuildError(
                    "security.seccomp", "the seccomp profile is not valid: \(error)",
                    remedy: "give a file in the form of runtime-spec's linux.seccomp")
            }
        }
    }

    /// What model servers want to have raised, as far as this host lets it be; over it what was asked for.
    static func limits(
        _ settings: ServiceSettings, _ facts: BuildFacts
    ) throws(BuildError) -> [RuntimeSpec.ResourceLimit] {
        let preset: [(type: String, soft: UInt64, hard: UInt64)] = [
            ("RLIMIT_NOFILE", 1_048_576, 1_048_576), ("RLIMIT_MEMLOCK", .max, .max), ("RLIMIT_STACK", 64 << 20, .max),
        ]
        func ceiling(_ type: String) -> UInt64 { facts.canRaiseLimits ? .max : facts.hardLimits[type] ?? 0 }
        var result: [RuntimeSpec.ResourceLimit] = []
        for limit in preset where facts.canRaiseLimits || facts.hardLimits[limit.type] != nil {
            let hard = min(limit.hard, ceiling(limit.type))
            result.append(.init(type: limit.type, soft: min(limit.soft, hard), hard: hard))
        }
        for limit in settings.ulimits {
            let type = limit.resource
            let hard = limit.hard ?? .max
            if !facts.canRaiseLimits, let highest = facts.hardLimits[type], hard > highest {
                throw BuildError(
                    "ulimits",
                    "the limit \(limit.name) cannot be raised to \(limit.hard.map(String.init) ?? "unlimited")",
                    remedy: "ask for at most \(highest), or run mlrund with CAP_SYS_RESOURCE")
            }
            result.removeAll { $0.type == type }
            result.append(.init(type: type, soft: limit.soft ?? .max, hard: hard))
        }
        return result
    }
}

extension ImageConfiguration {
    /// The TCP ports of EXPOSE, lowest first.
    public var exposedTCPPorts: [UInt16] {
        exposedPorts.compactMap { text in
            let parts = text.split(separator: "/")
            guard let first = parts.first, parts.count == 1 || parts[1] == "tcp" else { return nil }
            return UInt16(first)
        }.sorted()
    }
}
