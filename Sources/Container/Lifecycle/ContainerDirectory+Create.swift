internal import CLinux
internal import Glibc
public import LinuxSystem
internal import OCISpec

/// How a container is made from its bundle.
public struct CreateOptions: Sendable {
    /// The directory with `config.json`; absolute.
    public var bundle: String
    /// Run the program at once, instead of waiting for `start`.
    public var startsAtOnce = false
    /// Devices beside those that its annotations ask for, by their names in the Container Device Interface.
    public var devices: [String] = []
    /// Where the files are that describe them.
    public var deviceDirectories = CDIRegistry.standardDirectories
    /// What the program gets as standard input, output and error.
    public var streams = LaunchRequest.Streams.inherited
    /// A unix socket that takes the terminal's controlling side.
    public var consoleSocket: String?
    /// A file that takes the pid.
    public var pidFile: String?
    /// Who makes the container's group.
    public var cgroupManager = ContainerDirectory.CgroupManager.cgroupfs
    /// Whether the container gets a session keyring of its own.
    public var makesKeyring = true
    /// Files the program gets as descriptors 3, 4, …
    public var extraDescriptors: [SharedDescriptor] = []
    /// A directory for compiled seccomp programs; nil compiles anew.
    public var seccompCache: String?

    public init(bundle: String) { self.bundle = bundle }
}

extension ContainerDirectory {
    /// `create`: everything but the program. On failure nothing is left: no process, no cgroup, no state.
    /// - Returns: the container's process, and warnings about settings that the specification lets one go on without.
    public func create(
        _ id: String, _ options: CreateOptions
    ) throws(ContainerError) -> (process: ContainerProcess, warnings: [String]) {
        try Self.checkID(id)
        var spec = try Self.readSpec("\(options.bundle)/config.json")
        try Self.addDescribedDevices(to: &spec, options)
        let rootfs = Self.rootPath(spec, bundle: options.bundle)
        try Self.checkTerminal(spec, options)
        Self.addHome(to: &spec, rootfs: rootfs)
        try claim(id)
        var made = Making(id: id)
        do throws(ContainerError) {
            return try make(spec, rootfs: rootfs, options, &made)
        } catch {
            undo(made, spec: spec, options)
            throw error
        }
    }

    /// What there is to take back when a later part fails.
    private struct Making {
        let id: String
        var cgroup: Cgroup?
        var record: ContainerRecord?
    }

    private func make(
        _ spec: RuntimeSpec, rootfs: String, _ options: CreateOptions, _ made: inout Making
    ) throws(ContainerError) -> (process: ContainerProcess, warnings: [String]) {
        let id = made.id
        var warnings: [String] = []
        let host: HostFacts
        do throws(SystemError) { host = try HostFacts.discover() } catch { throw .system(error) }
        do throws(CgroupError) {
            if options.cgroupManager == .cgroupfs {
                let (cgroup, said) = try Self.makeCgroup(id, spec, host)
                made.cgroup = cgroup
                warnings += said
            }
        } catch { throw .cgroup(error) }
        var request = try plan(spec, rootfs: rootfs, host, options, made)
        warnings += request.plan.warnings
        request.extraDescriptors = options.extraDescriptors
        request.seccompCache = options.seccompCache
        if !options.startsAtOnce { request.gate = .fifo(try makeGate(id, spec)) }
        if let cgroup = made.cgroup {
            do throws(CgroupError) { request.cgroup = SharedDescriptor(try cgroup.openDirectory()) } catch {
                throw .cgroup(error)
            }
        }
        if spec.process?.terminal == true { request.streams = .console(spec.process?.consoleSize) }
        let record = ContainerRecord(
            ociVersion: spec.ociVersion, id: id, bundle: options.bundle, pid: 0, startTime: 0,
            created: Int64(mlr_realtime_nanoseconds() / 1_000_000_000), annotations: spec.annotations,
            rootfs: rootfs, cgroup: made.cgroup?.path)
        made.record = record
        let process = try launch(request, record, spec, options, &warnings)
        return (process, warnings)
    }

    private func plan(
        _ spec: RuntimeSpec, rootfs: String, _ host: HostFacts, _ options: CreateOptions, _ made: Making
    ) throws(ContainerError) -> LaunchRequest {
        let choices = LaunchPlanner.Options(
            bundle: options.bundle, isGated: !options.startsAtOnce,
            keyring: options.makesKeyring ? Self.keyring(of: made.id) : nil, cgroup: made.cgroup?.path)
        let plan: LaunchPlan
        do throws(PlanError) { plan = try LaunchPlanner.plan(spec, host: host, options: choices) } catch {
            throw .configuration("\(error)")
        }
        do throws(SystemError) {
            try File.replace(configuration(made.id), with: spec.json.bytes(), durable: false)
        } catch { throw .system(error) }
        return LaunchRequest(plan: plan, root: .path(rootfs), streams: options.streams)
    }

    private func launch(
        _ request: LaunchRequest, _ record: ContainerRecord, _ spec: RuntimeSpec, _ options: CreateOptions,
        _ warnings: inout [String]
    ) throws(ContainerError) -> ContainerProcess {
        let hooks = spec.hooks ?? .init()
        let resourceControl = spec.linux?.intelRdt
        var request = request
        request.hookState = record.state(.creating)
        request.whenCreated = { process throws(LaunchError) in
            var record = record
            record.pid = process.pid
            record.startTime = process.startTime
            if let resourceControl {
                record.resourceGroups = try ResourceControl.join(resourceControl, id: record.id, pid: process.pid)
            }
            do throws(SystemError) { try write(record) } catch { throw .system(error) }
            let state = record.state(.creating)
            try HookRunner.run(hooks.prestart, stage: "prestart", state: state, in: record.bundle)
            try HookRunner.run(hooks.createRuntime, stage: "createRuntime", state: state, in: record.bundle)
        }
        do throws(LaunchError) {
            let process = try Launcher.launch(request)
            do throws(SystemError) {
                if let socket = options.consoleSocket, let console = process.console {
                    try Self.send(console, to: socket)
                }
                if let path = options.pidFile {
                    try File.replace(path, with: Array("\(process.pid)".utf8), mode: 0o644, durable: false)
                }
            } catch {
                _ = try? process.kill()
                throw .system(error)
            }
            if options.startsAtOnce {
                let state = record.state(.running)
                warnings += HookRunner.tryAll(hooks.poststart, stage: "poststart", state: state, in: record.bundle)
            }
            return process
        } catch { throw .launch(error) }
    }

    private func undo(_ made: Making, spec: RuntimeSpec, _ options: CreateOptions) {
        // Each part is tried whatever became of the others; the failure to be told is the one that led here.
        if let cgroup = made.cgroup { try? Self.removeCgroup(cgroup) }
        if let record = made.record, let hooks = spec.hooks {
            _ = HookRunner.tryAll(hooks.poststop, stage: "poststop", state: record.state(.stopped), in: options.bundle)
        }
        // What was recorded last knows of groups that were made meanwhile.
        ResourceControl.remove((try? self.record(made.id))?.resourceGroups ?? [])
        try? File.removeTree(directory(made.id))
    }

    // MARK: Parts

    private func claim(_ id: String) throws(ContainerError) {
        do throws(SystemError) { try File.makeDirectories(root, mode: 0o700) } catch { throw .system(error) }
        if mkdir(directory(id), 0o711) == 0 { return }
        throw errno == EEXIST
            ? .exists(id)
            : .system(SystemError("create the directory", path: directory(id), Errno(rawValue: errno)))
    }

    /// The name of a container's session keyring.
    static func keyring(of id: String) -> String { "_ses.\(id)" }

    static func rootPath(_ spec: RuntimeSpec, bundle: String) -> String {
        let path = spec.root?.path ?? ""
        return path.hasPrefix("/") ? path : "\(bundle)/\(path)"
    }

    private static func checkTerminal(_ spec: RuntimeSpec, _ options: CreateOptions) throws(ContainerError) {
        let terminal = spec.process?.terminal == true
        if options.consoleSocket != nil, !terminal {
            throw .configuration("process.terminal: is false, but --console-socket is given")
        }
        if terminal, options.consoleSocket == nil, !options.startsAtOnce {
            throw .configuration("process.terminal: is true, so create needs --console-socket")
        }
    }

    private static func addHome(to spec: inout RuntimeSpec, rootfs: String) {
        guard let process = spec.process, !process.env.contains(where: { $0.hasPrefix("HOME=") }) else { return }
        // A root that cannot be opened is told of when it is mounted.
        guard let root = try? File.open(rootfs, MLR_O_PATH | O_DIRECTORY) else { return }
        let home = (try? UserLookup.resolve("\(process.user.uid)", root: root.rawValue).home) ?? "/"
        spec.process?.env.append("HOME=\(home)")
    }

    private func makeGate(_ id: String, _ spec: RuntimeSpec) throws(ContainerError) -> String {
        func hostID(_ mappings: [RuntimeSpec.IDMap]) -> UInt32 {
            mappings.first { $0.containerID == 0 }?.hostID ?? 0
        }
        let linux = spec.linux
        do throws(SystemError) {
            try StartGate.make(
                gate(id), owner: hostID(linux?.uidMappings ?? []), group: hostID(linux?.gidMappings ?? []))
            return gate(id)
        } catch { throw .system(error) }
    }

    private static func makeCgroup(
        _ id: String, _ spec: RuntimeSpec, _ host: HostFacts
    ) throws(CgroupError) -> (Cgroup, [String]) {
        let resources = spec.linux?.resources ?? .init()
        let hierarchy = try CgroupHierarchy(host.cgroups)
        let (cgroup, warnings) = try hierarchy.create(
            spec.linux?.cgroupsPath ?? "/mlrun-oci/\(id)", resources: resources, policy: .strict)
        if resources.devices.isEmpty { return (cgroup, warnings) }
        do throws(CgroupError) {
            // In a user namespace no node can be made, so that only those that were bound in are there to be used.
            let inUserNamespace = spec.linux?.namespaces.contains { $0.kind == .user } ?? false
            try DeviceFilter.apply(
                DeviceRules.complete(resources.devices), to: cgroup,
                withoutPermission: inUserNamespace ? .skip : .refuse)
            return (cgroup, warnings)
        } catch {
            try? cgroup.remove()
            throw error
        }
    }

    static func removeCgroup(_ cgroup: Cgroup) throws(CgroupError) {
        try cgroup.kill()
        _ = try cgroup.waitUntilEmpty(deadline: mlr_monotonic_nanoseconds() + 10_000_000_000)
        try cgroup.remove()
    }

    /// One message with the terminal and the name it has on the host (the protocol of runc's console socket).
    public static func send(_ console: SharedDescriptor, to path: String) throws(SystemError) {
        let socket = OwnedDescriptor(
            taking: try check(mlr_socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0), "create a socket"))
        try check(mlr_connect_unix(socket.rawValue, path), "connect to", path: path)
        var descriptor = console.rawValue
        let name = Array("/dev/ptmx".utf8)
        try check(
            mlr_send_descriptors(socket.rawValue, name, name.count, &descriptor, 1, 0), "send the terminal to",
            path: path)
    }
}
