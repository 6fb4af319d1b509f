internal import CLinux
internal import Container
internal import Glibc
internal import ImageStore
internal import LinuxSystem
internal import OCISpec

/// Makes a replica: mounts, cgroup, namespaces, process, socket agent. Runs on a worker thread and touches nothing of
/// the loop.
struct ReplicaLauncher: Sendable {
    let directories: MLRunDirectories
    let host: HostSnapshot
    let settings: ServiceSettings
    let image: ImageRecord
    let files: ReplicaFiles
    /// The processors of other replicas.
    let taken: Set<Int>
    /// What becomes stdout and stderr.
    let output: SharedDescriptor
    let errors: SharedDescriptor

    /// A replica whose program runs.
    struct Launched: Sendable {
        let record: ReplicaRecord
        let process: ContainerProcess
        let agent: SocketAgent
        let network: SharedDescriptor?
    }

    /// - Parameter record: with attempt, slot and cgroup filled in; it is on disk already.
    func launch(_ record: ReplicaRecord) throws(ControlError) -> Launched {
        var clock = PhaseClock()
        var record = record
        do throws(SystemError) { try removeLeftovers(record) } catch { throw ControlError(error) }
        let namespace = try userNamespace(record.slot)
        let root = try mountRoot(namespace)
        clock.lap(.mount)
        let build = try self.build(record, root: root)
        let user = build.spec.process?.user
        let plan: LaunchPlan
        do throws(PlanError) { plan = try LaunchPlanner.plan(build.spec, host: host.facts) } catch {
            throw ControlError("the container cannot be made on this host: \(error)")
        }
        try giveOutput(to: user, slot: record.slot)
        let (cgroup, warnings) = try makeCgroup(build.spec, record)
        record.warnings = warnings
        record.user = user
        record.processors = build.processors
        let noted = record
        var request = LaunchRequest(plan: plan, root: .mount(root))
        request.streams = .files(input: nil, output: output, error: errors)
        request.seccompCache = directories.seccompCache
        do throws(CgroupError) { request.cgroup = SharedDescriptor(try cgroup.openDirectory()) } catch {
            throw ControlError(error.cause, remedy: error.remedy)
        }
        request.whenCreated = { process throws(LaunchError) in
            var record = noted
            record.process = ProcessIdentity(pid: process.pid, startTime: process.startTime)
            do throws(SystemError) { try record.write(files) } catch { throw .system(error) }
        }
        clock.lap(.isolate)
        let process: ContainerProcess
        do throws(LaunchError) { process = try Launcher.launch(request) } catch {
            try? cgroup.kill()
            _ = try? cgroup.waitUntilEmpty(deadline: mlr_monotonic_nanoseconds() + 5_000_000_000)
            try? cgroup.remove()
            throw ControlError(error.description, remedy: Self.remedy(for: error), exitCode: error.exitCode)
        }
        clock.lap(.exec)
        record.process = ProcessIdentity(pid: process.pid, startTime: process.startTime)
        record.startedAt = Int64(mlr_realtime_nanoseconds())
        record.phases = clock.steps
        do throws(SystemError) {
            let network = try Self.networkNamespace(process, settings)
            let agent = try startAgent(process, network)
            record.agent = agent.identity
            try record.write(files)
            return Launched(record: record, process: process, agent: agent, network: network)
        } catch {
            _ = try? process.kill()
            throw ControlError(error)
        }
    }

    private static func remedy(for error: LaunchError) -> String? {
        switch error {
        case .programNotFound: "check the command, or the image's Entrypoint, with mlrun inspect"
        case .programNotExecutable: "the file must be executable and made for this processor"
        default: nil
        }
    }

    /// What an attempt that was cut off in the middle has left.
    private func removeLeftovers(_ record: ReplicaRecord) throws(SystemError) {
        for directory in [files.directory, files.scratch, files.etc] {
            try File.makeDirectories(directory, mode: 0o711)
        }
        try File.removeIfPresent(files.exit)
    }

    private func userNamespace(_ slot: Int) throws(ControlError) -> IDMapping? {
        if settings.usesHostUserNamespace { return nil }
        let range = HostSnapshot.userRange(slot)
        do throws(SystemError) {
            let namespace = SharedDescriptor(try UserNamespace.make(uid: [range], gid: [range]))
            return IDMapping(userNamespace: namespace, rootUID: range.hostID, rootGID: range.hostID)
        } catch {
            throw ControlError(error, remedy: "this kernel may forbid user namespaces: try --userns host")
        }
    }

    private func mountRoot(_ mapping: IDMapping?) throws(ControlError) -> SharedDescriptor {
        do throws(StoreError) {
            let store = try ImageStore(directories)
            return SharedDescriptor(
                try store.mountRoot(
                    of: image, scratch: settings.readOnlyRoot ? nil : files.scratch, idMapping: mapping,
                    readOnly: settings.readOnlyRoot, volatile: false))
        } catch {
            throw ControlError(error.description, remedy: error.remedy)
        }
    }

    private func build(_ record: ReplicaRecord, root: SharedDescriptor) throws(ControlError) -> ContainerBuild {
        var facts = host.buildFacts(
            record.id, slot: record.slot, taken: taken, devices: settings.limits.ioDevices)
        do throws(SystemError) {
            let etc = EtcFiles(directory: files.etc)
            try etc.write(hostname: settings.hostname ?? record.id.rawValue, network: settings.network)
            facts.hostsFile = etc.hosts
            facts.hostnameFile = etc.hostname
            facts.resolverFile = etc.resolver
        } catch {
            throw ControlError(error)
        }
        do throws(BuildError) {
            var build = try ContainerBuilder.build(image.configuration, settings, facts)
            let user: ResolvedUser
            do throws(UserError) { user = try UserLookup.resolve(build.user, root: root.rawValue) } catch {
                throw BuildError("user", error.description, remedy: "give a user of the image, or numbers, with --user")
            }
            build.resolve(user)
            return build
        } catch {
            throw ControlError(error.message, remedy: error.remedy)
        }
    }

    /// The container opens /dev/stdout again by its own rights.
    private func giveOutput(to user: RuntimeSpec.User?, slot: Int) throws(ControlError) {
        let base = settings.usesHostUserNamespace ? 0 : HostSnapshot.userRange(slot).hostID
        for stream in [output, errors]
        where fchown(stream.rawValue, base + (user?.uid ?? 0), base + (user?.gid ?? 0)) < 0 {
            throw ControlError(SystemError("change the owner of the output", Errno(rawValue: errno)))
        }
    }

    private func makeCgroup(
        _ spec: RuntimeSpec, _ record: ReplicaRecord
    ) throws(ControlError) -> (Cgroup, [String]) {
        let policy: LimitPolicy = settings.limitPolicy == .strict ? .strict : .bestEffort
        do throws(CgroupError) {
            let path = host.cgroupPath(record.id)
            let old = try host.hierarchy.group(at: path)
            if old.exists {
                try old.kill()
                _ = try old.waitUntilEmpty(deadline: mlr_monotonic_nanoseconds() + 5_000_000_000)
                try old.remove()
            }
            var resources = spec.linux?.resources ?? .init()
            if settings.limits.pids == ResourceLimits.defaultPids, host.facts.controllers?.contains("pids") != true {
                // Nobody asked for the default: a host that cannot limit processes starts the service all the same.
                resources.pids = nil
            }
            let created = try host.hierarchy.create(path, resources: resources, policy: policy)
            return (created.cgroup, created.warnings)
        } catch {
            throw ControlError(error.cause, remedy: error.remedy)
        }
    }

    /// nil where the replica shares the host's network.
    static func networkNamespace(
        _ process: ContainerProcess, _ settings: ServiceSettings
    ) throws(SystemError) -> SharedDescriptor? {
        if settings.network == .host { return nil }
        return SharedDescriptor(try File.open("/proc/\(process.pid)/ns/net", O_RDONLY))
    }

    private func startAgent(
        _ process: ContainerProcess, _ network: SharedDescriptor?
    ) throws(SystemError) -> SocketAgent {
        try Self.startAgent(process, network, settings, files)
    }

    static func startAgent(
        _ process: ContainerProcess, _ network: SharedDescriptor?, _ settings: ServiceSettings, _ files: ReplicaFiles
    ) throws(SystemError) -> SocketAgent {
        var place = SocketAgent.Place(networkNamespace: network, process: process.pidfd, exitFile: files.exit)
        if network != nil, !settings.usesHostUserNamespace {
            place.userNamespace = SharedDescriptor(try File.open("/proc/\(process.pid)/ns/user", O_RDONLY))
        }
        return try SocketAgent.start(place)
    }
}

/// Measures the steps of a launch one after the other.
struct PhaseClock {
    private var last = mlr_monotonic_nanoseconds()
    private(set) var steps: [ControlRequest.StartStep] = []

    mutating func lap(_ phase: StartPhase) {
        let now = mlr_monotonic_nanoseconds()
        steps.append(ControlRequest.StartStep(phase, seconds: Double(now - last) / 1e9))
        last = now
    }
}

extension ReplicaRecord {
    func write(_ files: ReplicaFiles) throws(SystemError) {
        try File.makeDirectories(files.directory, mode: 0o711)
        // Only this process's death matters: after a power cut no replica is left that the record could lead to.
        try File.replace(files.record, with: json.bytes(pretty: true), durable: false)
    }

    /// nil when there is none or it is not understood.
    static func read(_ files: ReplicaFiles) -> ReplicaRecord? {
        guard let bytes = try? File.read(files.record), let json = try? JSON(parsing: bytes) else { return nil }
        return try? ReplicaRecord(JSONCursor(json))
    }
}
