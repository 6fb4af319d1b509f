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
    /// Whether its annotations may ask for devices.
    public var heedsAnnotations = true
    /// Devices beside those that its annotations ask for, by their names in the Container Device Interface.
    public var devices: [String] = []
    /// Where the files are that describe them.
    public var deviceDirectories = CDIRegistry.standardDirectories
    /// What the program gets as standard input, output and error.
    public var streams = LaunchRequest.Streams.inherited
    /// Leave the host's root by pivot_root(2), as every host allows that does not run from an initramfs.
    public var pivots = true
    /// A unix socket that takes the terminal's controlling side.
    public var consoleSocket: String?
    /// A unix socket that takes a pidfd of the container's process.
    public var pidfdSocket: String?
    /// A file that takes the pid.
    public var pidFile: String?
    /// Where the container's READY is passed on to (sd_notify(3)), at once or by `start`.
    public var notifySocket: String?
    /// Which of ``extraDescriptors`` are sockets that the program is told of.
    public var listening: ListeningSockets?
    /// Whether a container without a group is an error where nobody asked for one without.
    public var needsCgroup = false
    /// Who makes the container's group.
    public var cgroupManager = ContainerDirectory.CgroupManager.cgroupfs
    /// Whether the container gets a session keyring of its own.
    public var makesKeyring = true
    /// Files the program gets as descriptors 3, 4, …
    public var extraDescriptors: [SharedDescriptor] = []
    /// A directory for compiled seccomp programs; nil compiles anew.
    public var seccompCache: String?
    /// Where containers begin on a host with many mounts; nil is the host's own mount namespace.
    public var preparedMounts: PreparedMounts?

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
        let rules = try Self.addDescribedDevices(to: &spec, options)
        let rootfs = Self.rootPath(spec, bundle: options.bundle)
        try Self.checkTerminal(spec, options)
        return try make(id, spec, rootfs: rootfs, options) { made throws(ContainerError) in
            made.describedDevices = rules
            let (process, warnings) = try launched(spec, options, &made)
            return (process, Self.annotationsLeftOut(spec, options) + warnings)
        }
    }

    /// Whether a bundle's process wants a terminal.
    public static func wantsTerminal(bundle: String) throws(ContainerError) -> Bool {
        try readSpec("\(bundle)/config.json").process?.terminal ?? false
    }

    /// What there is to take back when a later part fails.
    struct Making {
        let id: String
        let rootfs: String
        var cgroup = ContainerCgroup.none
        var record: ContainerRecord?
        var describedDevices: [RuntimeSpec.Resources.DeviceRule] = []
    }

    /// Takes the id, and takes back all that was made when `body` fails.
    func make<Result>(
        _ id: String, _ spec: RuntimeSpec, rootfs: String, _ options: CreateOptions,
        _ body: (inout Making) throws(ContainerError) -> Result
    ) throws(ContainerError) -> Result {
        try claim(id)
        var made = Making(id: id, rootfs: rootfs)
        do throws(ContainerError) { return try body(&made) } catch {
            let (reason, warnings) = undo(made, spec: spec, options)
            let cause = error.followed(by: warnings)
            if let reason { throw .remains(cause: cause, reason) }
            throw cause
        }
    }

    /// What a container needs before its first process: its group.
    func prepareHost(
        _ spec: RuntimeSpec, _ options: CreateOptions, _ made: inout Making
    ) throws(ContainerError) -> (host: HostFacts, warnings: [String]) {
        let host: HostFacts
        do throws(SystemError) { host = try HostFacts.discover() } catch { throw .system(error) }
        var request = ContainerCgroup.Request(
            id: made.id, cgroupsPath: spec.linux?.cgroupsPath, resources: spec.linux?.resources ?? .init())
        request.manager = options.cgroupManager
        request.devices = spec.linux?.devices ?? []
        request.owner = spec.ownerOfCgroup
        request.annotations = spec.annotations
        request.inUserNamespace = spec.linux?.namespaces.contains { $0.kind == .user } ?? false
        try announce(request, spec, host, options, made)
        do throws(CgroupError) {
            let (cgroup, warnings) = try ContainerCgroup.create(request, on: host.cgroups)
            made.cgroup = cgroup
            if cgroup.isNone, options.needsCgroup, options.cgroupManager != .disabled {
                throw CgroupError(
                    .unavailable, warnings.joined(separator: "; "), remedy: "or leave --rootless=false out")
            }
            return (host, warnings)
        } catch { throw .cgroup(error) }
    }

    /// Writes down where the group is going to be, so that whoever deletes a container finds it, however its creation ends.
    private func announce(
        _ request: ContainerCgroup.Request, _ spec: RuntimeSpec, _ host: HostFacts, _ options: CreateOptions,
        _ made: Making
    ) throws(ContainerError) {
        var planned = made
        // What is wrong with it is told by whoever makes it.
        planned.cgroup = (try? ContainerCgroup.planned(request, on: host.cgroups)) ?? .none
        do throws(SystemError) { try write(Self.newRecord(spec, options, planned)) } catch { throw .system(error) }
    }

    static func newRecord(_ spec: RuntimeSpec, _ options: CreateOptions, _ made: Making) -> ContainerRecord {
        var record = ContainerRecord(
            ociVersion: spec.ociVersion, id: made.id, bundle: options.bundle, pid: 0, startTime: 0,
            created: mlr_realtime_nanoseconds(), annotations: spec.annotations, rootfs: made.rootfs,
            cgroup: made.cgroup)
        record.describedDevices = made.describedDevices
        record.hasHooksForItsEnd = spec.hooks?.poststop.isEmpty == false
        return record
    }

    private func launched(
        _ spec: RuntimeSpec, _ options: CreateOptions, _ made: inout Making
    ) throws(ContainerError) -> (process: ContainerProcess, warnings: [String]) {
        let id = made.id
        var spec = spec
        if options.notifySocket != nil {
            do throws(SystemError) { try NotifyProxy.prepare(&spec, directory: notifyDirectory(id)) } catch {
                throw .system(error)
            }
        }
        let (host, said) = try prepareHost(spec, options, &made)
        var request = try plan(spec, rootfs: made.rootfs, host: host, options, made)
        let warnings = said + request.plan.warnings
        request.extraDescriptors = options.extraDescriptors
        request.listening = options.listening
        // Hooks that run before the root is entered may join the container's mount namespace, to add to it.
        let hooks = spec.hooks.map { $0.prestart + $0.createRuntime } ?? []
        if hooks.isEmpty { request.preparedMounts = options.preparedMounts }
        if !options.startsAtOnce { request.gate = .fifo(try makeGate(id)) }
        do throws(CgroupError) {
            if let directory = try made.cgroup.directory() { request.cgroup = SharedDescriptor(directory) }
        } catch { throw .cgroup(error) }
        if spec.process?.terminal == true { request.streams = .console(spec.process?.consoleSize) }
        var record = Self.newRecord(spec, options, made)
        if spec.linux?.namespaces.contains(where: { $0.kind == .mount }) != true {
            do throws(SystemError) { record.mountBelow = try File.status(made.rootfs).mount_id } catch {
                throw .system(error)
            }
        }
        made.record = record
        return (try launch(request, record, spec, options), warnings)
    }

    private func plan(
        _ spec: RuntimeSpec, rootfs: String, host: HostFacts, _ options: CreateOptions, _ made: Making
    ) throws(ContainerError) -> LaunchRequest {
        var choices = LaunchPlanner.Options(
            bundle: options.bundle, isGated: !options.startsAtOnce,
            keyring: options.makesKeyring ? Self.keyring(of: made.id) : nil, cgroup: made.cgroup.unified?.path)
        choices.pivots = options.pivots
        // Not on record, where it would be HOME of other users too.
        var planned = spec
        if var process = spec.process {
            Self.addHome(to: &process, root: rootfs)
            planned.process = process
        }
        let plan: LaunchPlan
        do throws(PlanError) { plan = try LaunchPlanner.plan(planned, host: host, options: choices) } catch {
            throw .configuration("\(error)")
        }
        var request = LaunchRequest(plan: plan, root: .path(rootfs), streams: options.streams)
        request.seccompCache = options.seccompCache
        // What is wrong with a policy is told by the launch.
        request.seccompProgram = plan.seccomp.flatMap { try? SeccompFilter.compile($0, cache: options.seccompCache) }
        do throws(SystemError) {
            // Nobody reads either before the record names a process.
            try File.create(configuration(made.id), with: spec.json.bytes())
            let exec = ExecRecord(spec, program: request.seccompProgram)
            try File.create(execFile(made.id), with: exec.bytes)
        } catch { throw .system(error) }
        return request
    }

    private func launch(
        _ request: LaunchRequest, _ record: ContainerRecord, _ spec: RuntimeSpec, _ options: CreateOptions
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
            try Self.admit(process, to: record.cgroup)
            // Creating is step 2 of a container's life, hooks come after it (runtime.md).
            let state = record.state(.created)
            try HookRunner.run(hooks.prestart, stage: "prestart", state: state, in: record.bundle)
            try HookRunner.run(hooks.createRuntime, stage: "createRuntime", state: state, in: record.bundle)
        }
        do throws(LaunchError) {
            let process = try Launcher.launch(request)
            do throws(SystemError) {
                try Self.handOut(
                    process, consoleSocket: options.consoleSocket, pidfdSocket: options.pidfdSocket,
                    pidFile: options.pidFile, kind: "standard")
            } catch {
                _ = try? process.kill()
                throw .system(error)
            }
            if options.startsAtOnce {
                // What is told to have failed is taken back, whatever its program has done.
                try HookRunner.run(
                    hooks.poststart, stage: "poststart", state: record.state(.running), in: record.bundle)
            }
            return process
        } catch { throw .launch(error) }
    }

    /// Each part is tried whatever became of the others; the record stays as long as there is something that it names.
    /// - Returns: what could not be taken back, and warnings about hooks that failed without consequence.
    private func undo(
        _ made: Making, spec: RuntimeSpec, _ options: CreateOptions
    ) -> (failure: String?, warnings: [String]) {
        var failure: String?
        var warnings: [String] = []
        // What was recorded last knows of processes and groups that were made meanwhile.
        let recorded = try? record(made.id)
        do throws(ContainerError) {
            if let recorded, let process = try process(recorded) {
                do throws(SystemError) { try process.kill() } catch { throw .system(error) }
            }
        } catch { failure = "\(error)" }
        do throws(CgroupError) { try made.cgroup.remove() } catch { failure = failure ?? error.cause }
        do throws(SystemError) { if let record = made.record { try Self.unmountRoot(record) } } catch {
            failure = failure ?? "\(ContainerError.system(error))"
        }
        if let record = made.record, let hooks = spec.hooks {
            warnings = HookRunner.tryAll(
                hooks.poststop, stage: "poststop", state: record.state(.stopped), in: options.bundle)
        }
        ResourceControl.remove(recorded?.resourceGroups ?? [])
        if failure != nil { return (failure, warnings) }
        do throws(SystemError) { try File.removeTree(directory(made.id)) } catch {
            return ("\(ContainerError.system(error))", warnings)
        }
        return (nil, warnings)
    }

    /// Takes a container's mounts off the host's mount namespace, if they are there.
    static func unmountRoot(_ record: ContainerRecord) throws(SystemError) {
        guard let below = record.mountBelow else { return }
        do throws(SystemError) { if try File.status(record.rootfs).mount_id == below { return } } catch {
            if error.errno == .noSuchFile { return }
            throw error
        }
        try check(
            mlr_umount(record.rootfs, Int32(MLR_MNT_DETACH)), "unmount the container's root", path: record.rootfs)
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

    /// HOME, which engines leave to the runtime: that of the process's user in the accounts below `root`.
    static func addHome(to process: inout RuntimeSpec.Process, root: String) {
        if process.env.contains(where: { $0.hasPrefix("HOME=") }) { return }
        // A root that cannot be opened is told of by whoever needs it.
        guard let root = try? File.open(root, MLR_O_PATH | O_DIRECTORY) else { return }
        process.env.append("HOME=\(UserLookup.home(of: process.user.uid, root: root.rawValue))")
    }

    private func makeGate(_ id: String) throws(ContainerError) -> String {
        do throws(SystemError) {
            try StartGate.make(gate(id))
            return gate(id)
        } catch { throw .system(error) }
    }
}
