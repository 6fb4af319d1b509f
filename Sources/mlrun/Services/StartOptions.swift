public import ArgumentParser
internal import Glibc
internal import LinuxSystem
internal import OCISpec
internal import Serving

/// The options that say how a container runs, the same for `start` and `run`.
struct StartOptions: ParsableArguments {
    @Option(help: "Its name; by default made from the image's.")
    var name: String?

    @Option(
        name: [.customShort("p"), .long],
        help: ArgumentHelp(
            "Publish a port: 8080:8000, 127.0.0.1:8080:8000, 8000 for both sides, 0:8000 for a free one. The gateway speaks HTTP; with /tcp behind it passes bytes on.",
            valueName: "[ip:]host:container"))
    var publish: [String] = []

    @Option(
        name: [.customShort("e"), .long],
        help: ArgumentHelp(
            "Set an environment variable; a name alone passes on the value it has here.", valueName: "name[=value]"))
    var env: [String] = []

    @Option(help: ArgumentHelp("Read environment variables from a file, NAME=VALUE a line.", valueName: "file"))
    var envFile: [String] = []

    @Option(
        name: [.customShort("v"), .long],
        help: ArgumentHelp(
            "Mount a directory or file of the host; files keep their owners.", valueName: "source:target[:ro]"))
    var volume: [String] = []

    @Option(help: ArgumentHelp("Mount a file system in memory, such as /tmp:size=64m.", valueName: "path[:options]"))
    var tmpfs: [String] = []

    @Option(
        name: [.customShort("m"), .long],
        help: ArgumentHelp("The most memory, such as 512M or 4G; by default no limit.", valueName: "size"))
    var memory: String?

    @Option(
        help: ArgumentHelp(
            "The most memory and swap together; -1 for any. By default no swap beyond --memory.", valueName: "size"))
    var memorySwap: String?

    @Option(
        help: ArgumentHelp(
            "How many processors' worth of time, such as 2 or 0.5; by default no limit.", valueName: "number"))
    var cpus: String?

    @Option(help: ArgumentHelp("Which processors, such as 0-3.", valueName: "list"))
    var cpusetCpus: String?

    @Option(help: ArgumentHelp("Which memory nodes, such as 0.", valueName: "list"))
    var cpusetMems: String?

    @Option(
        help: ArgumentHelp(
            "The most processes and threads; -1 for any. (default: \(ResourceLimits.defaultPids))", valueName: "number")
    )
    var pidsLimit: String?

    @Option(help: ArgumentHelp("The size of /dev/shm; by default half of --memory, at least 64M.", valueName: "size"))
    var shmSize: String?

    @Option(help: ArgumentHelp("Its share of disk time, 1 to 10000.", valueName: "number"))
    var ioWeight: Int?

    @Option(
        help: ArgumentHelp("The most bytes a second read from a disk, such as /dev/sda:50M.", valueName: "device:rate"))
    var deviceReadBps: [String] = []

    @Option(help: ArgumentHelp("The most bytes a second written to a disk.", valueName: "device:rate"))
    var deviceWriteBps: [String] = []

    @Option(help: ArgumentHelp("The most reads a second from a disk.", valueName: "device:rate"))
    var deviceReadIops: [String] = []

    @Option(help: ArgumentHelp("The most writes a second to a disk.", valueName: "device:rate"))
    var deviceWriteIops: [String] = []

    @Option(
        help: ArgumentHelp(
            "What a limit is that this host cannot set: an error, or with best-effort a warning.", valueName: "policy"))
    var limits = ServiceSettings.LimitHandling.strict

    @Option(help: ArgumentHelp("Set a limit of setrlimit(2), such as nofile=4096:8192.", valueName: "name=soft[:hard]"))
    var ulimit: [String] = []

    @Flag(
        name: .customLong("init"),
        help: "Run a tiny first process that passes signals on and takes in processes that have lost their parent.")
    var usesInit = false

    @Flag(help: "Mount the root file system read-only.")
    var readOnly = false

    @Option(
        name: [.customShort("u"), .long],
        help: ArgumentHelp("The user inside, by name or number; by default the image's.", valueName: "user[:group]"))
    var user: String?

    @Option(
        help: ArgumentHelp(
            "What to execute instead of the image's entrypoint; empty for none.", valueName: "program"))
    var entrypoint: String?

    @Option(
        name: [.customShort("w"), .long],
        help: ArgumentHelp("The working directory inside; by default the image's.", valueName: "path"))
    var workdir: String?

    @Option(help: ArgumentHelp("The host name inside; by default the replica's.", valueName: "name"))
    var hostname: String?

    @Option(
        help: ArgumentHelp(
            """
            private (loopback only, reached through published ports), host, or bridge: an address of its own by the CNI \
            plugins, in the network of this name or the first in /etc/cni/net.d.
            """, valueName: "private|host|bridge[:name]"))
    var network = NetworkChoice(network: .private)

    @Option(
        help: ArgumentHelp(
            "private: root inside is nobody outside; host: no user namespace.", valueName: "host|private"))
    var userns: UserNamespaceChoice = .private

    @Option(help: ArgumentHelp("Add a capability to Docker's default ones, or ALL.", valueName: "name"))
    var capAdd: [String] = []

    @Option(help: ArgumentHelp("Drop a capability, or ALL, before any is added.", valueName: "name"))
    var capDrop: [String] = []

    @Option(
        help: ArgumentHelp(
            "seccomp=unconfined, seccomp=FILE, no-new-privileges=false, apparmor=PROFILE, label=LABEL.",
            valueName: "name=value"))
    var securityOpt: [String] = []

    @Option(
        help: ArgumentHelp(
            "Let it use a device of the host, such as /dev/fuse, or one that a file of the Container Device Interface "
                + "describes, such as nvidia.com/gpu=all.",
            valueName: "source[:target[:rwm]]|vendor/class=name"))
    var device: [String] = []

    @Option(
        name: [.customShort("l"), .long],
        help: ArgumentHelp("Attach a label, for people and programs to find it by.", valueName: "name=value"))
    var label: [String] = []

    @Option(
        help: ArgumentHelp("The signal that asks it to stop; by default the image's, else TERM.", valueName: "signal"))
    var stopSignal: String?

    @Option(
        help: ArgumentHelp(
            "How long it may take to stop before it is killed, such as 30s. (default: 15s)", valueName: "duration"))
    var stopTimeout: String?

    enum UserNamespaceChoice: String, ExpressibleByArgument, CaseIterable {
        case host, `private`
    }

    /// What was asked, checked; the image is filled in by the caller.
    func settings(
        image: ServiceSettings.ImageIdentity, arguments: [String], taken: (String) -> Bool = { _ in false }
    ) throws -> ServiceSettings {
        let name = self.name ?? ServiceName.generate(from: image.reference, taken: taken)
        try ServiceName.check(name)
        var settings = ServiceSettings(name: name, image: image)
        settings.arguments = arguments
        settings.entrypoint = entrypoint.map { $0.isEmpty ? [] : [$0] }
        settings.environment = try environment()
        settings.workingDirectory = workdir
        settings.user = user
        settings.hostname = hostname
        for text in label {
            let (name, value) = try EnvironmentText.label(text)
            settings.labels[name] = value
        }
        settings.ports = try publish.map { try PublishedPort(parsing: $0) }
        settings.network = network.network
        settings.networkName = network.name
        settings.volumes = try volume.map {
            try VolumeMount(parsing: $0, workingDirectory: Self.workingDirectory)
        }
        settings.temporaryFileSystems = try tmpfs.map { try TemporaryFileSystem(parsing: $0) }
        settings.cdiDevices = device.compactMap { CDIName($0) }
        settings.devices = try device.filter { CDIName($0) == nil }.map { try DeviceMapping(parsing: $0) }
        settings.readOnlyRoot = readOnly
        settings.usesInit = usesInit
        settings.limits = try resourceLimits()
        settings.limitPolicy = limits
        settings.ulimits = try ulimit.map { try ResourceUlimit(parsing: $0) }
        settings.usesHostUserNamespace = userns == .host
        settings.addedCapabilities = capAdd
        settings.droppedCapabilities = capDrop
        settings.security = try security()
        settings.stopSignal = stopSignal
        if let stopTimeout { settings.stopTimeout = try Duration(parsing: stopTimeout) }
        return settings
    }

    private func resourceLimits() throws -> ResourceLimits {
        var limits = ResourceLimits()
        limits.memory = try memory.map { try ByteSize.bytes($0) }
        limits.memorySwap = try memorySwap.map { try $0 == "-1" ? -1 : ByteSize.bytes($0) }
        limits.cpus = try cpus.map { try ResourceLimits.parseCPUs($0) }
        limits.cpusetCpus = cpusetCpus
        limits.cpusetMems = cpusetMems
        if let pidsLimit { limits.pids = try ResourceLimits.parsePids(pidsLimit) }
        limits.sharedMemory = try shmSize.map { try ByteSize.bytes($0) }
        limits.ioWeight = ioWeight
        let disks: [([String], IODeviceLimit.Measure)] = [
            (deviceReadBps, .readBytes), (deviceWriteBps, .writeBytes), (deviceReadIops, .readOperations),
            (deviceWriteIops, .writeOperations),
        ]
        for (texts, measure) in disks {
            limits.ioDevices += try texts.map { try IODeviceLimit(parsing: $0, measure: measure) }
        }
        return limits
    }

    private func environment() throws -> [String] {
        func own(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
        var variables: [String] = []
        for path in envFile {
            variables += try EnvironmentText.file(try File.readText(path), path: path, environment: own)
        }
        for text in env {
            if let variable = try EnvironmentText.variable(text, environment: own) { variables.append(variable) }
        }
        return variables
    }

    private func security() throws -> ServiceSettings.SecurityOptions {
        var security = ServiceSettings.SecurityOptions()
        for text in securityOpt {
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            switch (parts[0], parts.count == 2 ? parts[1] : nil) {
            case ("seccomp", "unconfined"): security.seccomp = .unconfined
            case ("seccomp", let path?):
                do throws(JSONError) {
                    security.seccomp = .profile(try JSON(parsing: try readProfile(path)))
                } catch {
                    throw CommandFailure("\(path) is no seccomp profile: \(error)", exitCode: 125)
                }
            case ("no-new-privileges", nil), ("no-new-privileges", "true"): security.noNewPrivileges = true
            case ("no-new-privileges", "false"): security.noNewPrivileges = false
            case ("apparmor", let profile?): security.apparmorProfile = profile
            case ("label", let label?): security.selinuxLabel = label
            default:
                throw CommandFailure(
                    "--security-opt: \"\(text)\" is not known",
                    remedy: "write seccomp=unconfined, seccomp=FILE, no-new-privileges=false, apparmor=… or label=…",
                    exitCode: 125)
            }
        }
        return security
    }

    private func readProfile(_ path: String) throws(JSONError) -> [UInt8] {
        do throws(SystemError) { return try File.read(path) } catch {
            throw JSONError(path: "", message: error.description)
        }
    }

    private static var workingDirectory: String? {
        guard let path = getcwd(nil, 0) else { return nil }
        defer { free(path) }
        return String(cString: path)
    }
}

/// `--network`, with the name of a CNI network after a colon.
struct NetworkChoice: ExpressibleByArgument {
    var network: ServiceSettings.Network
    var name: String?

    init(network: ServiceSettings.Network) { self.network = network }

    init?(argument: String) {
        let parts = argument.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard let network = ServiceSettings.Network(rawValue: String(parts[0])) else { return nil }
        self.network = network
        if parts.count > 1 {
            guard network == .bridge, !parts[1].isEmpty else { return nil }
            name = String(parts[1])
        }
    }

    var defaultValueDescription: String { network.rawValue }
}

extension ServiceSettings.LimitHandling: ExpressibleByArgument {}
