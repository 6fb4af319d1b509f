internal import CLaunch
internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import OCISpec

/// A plan and a request laid out for the C player, with every file open that the child will need.
final class PlayerProgram {
    let arena = PlayerArena()
    private var kept: [SharedDescriptor] = []
    private var steps: [mlr_step] = []
    private var joins: [mlr_join] = []
    private(set) var launch = mlr_launch()
    /// What hooks inside the container read; the launcher fills them once the pid is known.
    private(set) var hookStates: [SharedDescriptor] = []
    let request: LaunchRequest
    /// The mount namespace to begin with a copy of, where it is not the caller's.
    private let prepared: SharedDescriptor?
    /// A copy of the host's mounts with the locks that another user namespace gives it, once it is wanted.
    var locks: SharedDescriptor?
    /// Mounts that a later step changes, by their targets.
    var slots: [String: UnsafeMutablePointer<Int32>] = [:]

    init(_ request: LaunchRequest) throws(LaunchError) {
        self.request = request
        prepared = request.plan.canBeginWithoutHostMounts ? request.preparedMounts?.namespace() : nil
        launch.cgroup = request.cgroup?.rawValue ?? -1
        launch.gate = -1
        launch.outcome = -1
        launch.channel = -1
        try encodeStreams()
        try encodeGate()
        for step in request.plan.steps {
            do throws(SystemError) {
                steps.append(try encode(step))
            } catch {
                throw Self.failure(of: step, error)
            }
        }
        try encodeSeccomp()
        for namespace in request.plan.joined { try join(namespace) }
        launch.namespaces = request.plan.created.reduce(0) { $0 | $1.cloneFlag }
        beginInPreparedNamespace()
        launch.steps = UnsafePointer(arena.copy(steps))
        launch.step_count = steps.count
        launch.joins = UnsafePointer(arena.copy(joins))
        launch.join_count = joins.count
        if let list = request.plan.initialAffinity, let words = BitList(list)?.words(width: 64) {
            launch.affinity = UnsafeRawPointer(arena.copy(words))
            launch.affinity_size = words.count * 8
        }
    }

    /// What a new user namespace keeps from joining it is joined before that is made; otherwise the process joins it itself,
    /// which takes no stage.
    private func beginInPreparedNamespace() {
        guard let prepared else { return }
        let kind = RuntimeSpec.Namespace.Kind.mount.cloneFlag
        if request.plan.created.contains(.user) {
            joins.append(mlr_join(descriptor: keep(prepared), kinds: UInt32(kind)))
        } else {
            launch.namespaces &= ~kind
        }
    }

    /// Namespaces of a running process, joined in one call.
    func join(_ process: ContainerProcess, kinds: UInt64) {
        joins.append(mlr_join(descriptor: process.pidfd, kinds: UInt32(kinds)))
        launch.joins = UnsafePointer(arena.copy(joins))
        launch.join_count = joins.count
    }

    /// The launch on a channel, with the list of all descriptors that are for the child.
    func launch(on channel: Int32) -> mlr_launch {
        var launch = launch
        launch.channel = channel
        var needed = kept.map(\.rawValue) + request.extraDescriptors.map(\.rawValue) + joins.map(\.descriptor)
        needed += [channel, launch.streams.0, launch.streams.1, launch.streams.2]
        // Only the stage that joins namespaces clones into it; the container's own process must not have it.
        if !joins.isEmpty || launch.affinity != nil { needed.append(launch.cgroup) }
        if launch.inherit_streams { needed += [0, 1, 2] }
        let ascending = Set(needed.filter { $0 >= 0 }).sorted()
        launch.kept = UnsafePointer(arena.copy(ascending))
        launch.kept_count = ascending.count
        return launch
    }

    static func failure(of step: LaunchStep, _ error: SystemError) -> LaunchError {
        .step(step, error.errno, detail: "cannot \(error.operation)\(error.path.map { " \($0)" } ?? "")")
    }

    func keep(_ descriptor: consuming OwnedDescriptor) -> Int32 { keep(SharedDescriptor(descriptor)) }

    func keep(_ shared: SharedDescriptor) -> Int32 {
        kept.append(shared)
        return shared.rawValue
    }

    private func join(_ namespace: RuntimeSpec.Namespace) throws(LaunchError) {
        let path = namespace.path ?? ""
        let opened: OwnedDescriptor
        do throws(SystemError) { opened = try File.open(path, O_RDONLY) } catch {
            throw Self.failure(of: .join(namespace), error)
        }
        let kind = mlr_namespace_kind(opened.rawValue)
        guard kind > 0, UInt64(kind) == namespace.kind.cloneFlag else {
            let other = RuntimeSpec.Namespace.Kind.allCases.first { kind > 0 && $0.cloneFlag == UInt64(kind) }
            throw .setting(
                path: "linux.namespaces",
                "\(path) is no \(namespace.kind.rawValue) namespace\(other.map { " but a \($0.rawValue) namespace" } ?? "")"
            )
        }
        try refuseOwn(opened.rawValue, namespace)
        if namespace.kind == .user {
            try UserNamespace.refuseOtherMappings(request.plan, of: opened.rawValue, path)
        }
        joins.append(mlr_join(descriptor: keep(opened), kinds: UInt32(namespace.kind.cloneFlag)))
    }

    /// A path may well lead to a namespace of the host, whose parameters the container must not set, and which would be left
    /// with the container's root.
    private func refuseOwn(_ descriptor: Int32, _ namespace: RuntimeSpec.Namespace) throws(LaunchError) {
        let said = "\(namespace.path ?? "") is the host's own \(namespace.kind.rawValue) namespace"
        for case .sysctl(let name, _) in request.plan.steps where KernelParameter.namespace(of: name) == namespace.kind
        {
            if try isSame(descriptor, "/proc/thread-self/ns/\(namespace.kind.link)") {
                throw .setting(path: "linux.sysctl.\(name)", said)
            }
        }
        guard namespace.kind == .mount, let (path, reason) = request.plan.changeOfMounts else { return }
        // Who may not look at the first process may not join its namespaces either.
        let isOfFirst = (try? isSame(descriptor, "/proc/1/ns/mnt")) ?? false
        let isOwn = try isSame(descriptor, "/proc/thread-self/ns/mnt")
        if isOwn || isOfFirst { throw .setting(path: path, "\(said), \(reason)") }
    }

    private func isSame(_ descriptor: Int32, _ namespace: String) throws(LaunchError) -> Bool {
        do throws(SystemError) {
            let joined = try File.status(of: descriptor), other = try File.status(namespace)
            return joined.inode == other.inode && joined.device_minor == other.device_minor
        } catch { throw .system(error) }
    }

    private func encodeStreams() throws(LaunchError) {
        launch.streams = (-1, -1, -1)
        switch request.streams {
        case .inherited: launch.inherit_streams = true
        case .files(let input, let output, let error):
            launch.streams = (input?.rawValue ?? -1, output?.rawValue ?? -1, error?.rawValue ?? -1)
        case .console:
            guard request.plan.steps.contains(where: { if case .console = $0 { true } else { false } }) else {
                throw .setting(path: "process.terminal", "is false, but a terminal is asked for")
            }
        }
        let extra = request.extraDescriptors.map(\.rawValue)
        launch.extra = UnsafePointer(arena.copy(extra))
        launch.extra_count = extra.count
    }

    private func encodeGate() throws(LaunchError) {
        let gated = request.plan.steps.contains(.gate)
        switch request.gate {
        case .none:
            if gated { throw .setting(path: "gate", "the plan has a start gate, but the request has none") }
        case .fifo(let path):
            do throws(SystemError) {
                // For both directions: so neither end of a FIFO waits for the other to be there.
                launch.gate = keep(try File.open(path, O_RDWR | O_NOFOLLOW))
                launch.outcome = keep(try File.open(StartGate.outcome(path), O_RDWR | O_NOFOLLOW))
            } catch { throw .system(error) }
        }
    }

    /// The compiled policy goes into its step last: it is the one part that takes a library.
    private func encodeSeccomp() throws(LaunchError) {
        guard let seccomp = request.plan.seccomp,
            let index = steps.firstIndex(where: { $0.kind == MLR_STEP_SECCOMP.rawValue })
        else { return }
        do throws(SeccompError) {
            let made = request.seccompProgram
            let program =
                if let made { made } else {
                    try SeccompFilter.compile(seccomp, cache: request.seccompCache)
                }
            steps[index].data = UnsafeRawPointer(arena.copy(program))
            steps[index].size = program.count / 8
        } catch {
            throw .setting(path: "linux.seccomp", "\(error)")
        }
    }

    // MARK: Steps

    private func encode(_ step: LaunchStep) throws(SystemError) -> mlr_step {
        switch step {
        case .becomeRoot(let tolerant): make(MLR_STEP_BECOME_ROOT) { $0.a = tolerant ? 1 : 0 }
        case .join(let namespace):
            try make(MLR_STEP_JOIN) { step throws(SystemError) in
                step.descriptor = keep(try File.open(namespace.path ?? "", O_RDONLY))
                step.a = namespace.kind.cloneFlag
            }
        case .unshareCgroup: make(MLR_STEP_UNSHARE) { $0.a = UInt64(MLR_CLONE_NEWCGROUP) }
        case .timeNamespace(let offsets):
            make(MLR_STEP_TIME_OFFSETS) {
                let lines = offsets.sorted { $0.key < $1.key }.map {
                    "\($0.key) \($0.value.secs) \($0.value.nanosecs)\n"
                }
                $0.text = arena.string(lines.joined())
            }
        case .isolateMounts:
            // Where the player clones the host's mounts itself, they must still be what slaves of them can receive from.
            make(MLR_STEP_ISOLATE_MOUNTS) {
                $0.a = UInt64(geteuid() == 0 ? MLR_MS_PRIVATE : MLR_MS_SLAVE)
                $0.descriptor = request.plan.created.contains(.user) ? -1 : prepared.map(keep) ?? -1
            }
        case .attachRoot(let inPlace):
            try make(MLR_STEP_ATTACH_ROOT) { step throws(SystemError) in
                try openRoot(&step)
                if inPlace, case .path(let path) = request.root { step.path = arena.string(path) }
            }
        case .ownRoot: make(MLR_STEP_OWN_ROOT)
        case .rootOf(let process):
            try make(MLR_STEP_OWN_ROOT) { step throws(SystemError) in
                step.descriptor = keep(try File.open("/proc/\(process)/root", MLR_O_PATH | O_DIRECTORY))
            }
        case .mount(let mount): try encode(mount)
        case .remount(let remount): encode(remount)
        case .mountReadOnly(let path):
            make(MLR_STEP_MOUNT_READ_ONLY) { $0.slot = slots[path] }
        case .bind(let bind): try encode(bind)
        case .node(let node): encode(node)
        case .link(let path, let target):
            make(MLR_STEP_LINK) {
                $0.path = arena.string(path)
                $0.text = arena.string(target)
            }
        case .mask(let path): make(MLR_STEP_MASK) { $0.path = arena.string(path) }
        case .readOnly(let path): make(MLR_STEP_READ_ONLY) { $0.path = arena.string(path) }
        case .directory(let path): make(MLR_STEP_DIRECTORY) { $0.path = arena.string(path) }
        case .console(let path, let owner):
            make(MLR_STEP_CONSOLE) {
                $0.path = path.map(arena.string)
                $0.owner = owner
                if case .console(let size?) = request.streams {
                    $0.a = UInt64(size.height)
                    $0.b = UInt64(size.width)
                }
            }
        case .hooks(_, let directory, let hooks): try encode(hooks, directory)
        case .enterRoot(let pivots): make(MLR_STEP_ENTER_ROOT) { $0.a = pivots ? 0 : 1 }
        case .rootPropagation(let propagation):
            make(MLR_STEP_ROOT_PROPAGATION) {
                $0.b = propagation.bit | (propagation.isRecursive ? UInt64(MLR_MS_REC) : 0)
            }
        case .rootReadOnly: make(MLR_STEP_ROOT_READ_ONLY)
        default: try encodeProcess(step)
        }
    }

    private func encodeProcess(_ step: LaunchStep) throws(SystemError) -> mlr_step {
        switch step {
        case .hostName(let name): make(MLR_STEP_HOST_NAME) { $0.text = arena.string(name) }
        case .domainName(let name): make(MLR_STEP_DOMAIN_NAME) { $0.text = arena.string(name) }
        case .sysctl(let name, let value):
            make(MLR_STEP_SYSCTL) {
                $0.path = arena.string("sys/\(KernelParameter.path(name))")
                $0.text = arena.string(value)
            }
        case .ownAttribute(let name, let value):
            make(MLR_STEP_OWN_ATTRIBUTE) {
                $0.path = arena.string(name)
                $0.text = arena.string(value)
            }
        case .loopback: make(MLR_STEP_LOOPBACK)
        case .session: make(MLR_STEP_SESSION)
        case .keyring(let name): make(MLR_STEP_KEYRING) { $0.text = arena.string(name) }
        case .resourceLimit(let limit):
            make(MLR_STEP_LIMIT) {
                $0.mode = UInt32(RuntimeSpec.ResourceLimit.numbers[limit.type] ?? -1)
                $0.a = limit.soft
                $0.b = limit.hard
            }
        case .scheduler(let scheduler):
            make(MLR_STEP_SCHEDULER) { $0.data = UnsafeRawPointer(arena.copy(SchedulingValues.attributes(scheduler))) }
        case .ioPriority(let priority): make(MLR_STEP_IO_PRIORITY) { $0.a = SchedulingValues.ioPriority(priority) }
        case .personality(let personality):
            make(MLR_STEP_PERSONALITY) { $0.a = SchedulingValues.personality(personality) }
        case .memoryPolicy(let policy):
            make(MLR_STEP_MEMORY_POLICY) {
                let mask = BitList(policy.nodes ?? "")?.words(width: 64) ?? []
                $0.a = SchedulingValues.memoryPolicy(policy)
                $0.data = mask.isEmpty ? nil : UnsafeRawPointer(arena.copy(mask))
                // The kernel counts one bit less than it is told.
                $0.size = mask.isEmpty ? 0 : mask.count * 64 + 1
            }
        case .affinity(let list):
            make(MLR_STEP_AFFINITY) {
                let mask = BitList(list)?.words(width: 64) ?? []
                $0.data = UnsafeRawPointer(arena.copy(mask))
                $0.size = mask.count * 8
            }
        case .fileMask(let mask): make(MLR_STEP_FILE_MASK) { $0.mode = mask }
        case .streams(let owner):
            make(MLR_STEP_STREAMS) {
                $0.owner = owner
                $0.flags = UInt32(MLR_STREAMS_CHOWN)
            }
        case .workingDirectory(let path, let early):
            make(MLR_STEP_WORKING_DIRECTORY) {
                $0.path = arena.string(path)
                $0.flags = early ? UInt32(MLR_DIRECTORY_EARLY) : 0
            }
        case .boundingSet(let mask): make(MLR_STEP_BOUNDING_SET) { $0.a = mask }
        case .user(let user, let tolerant):
            make(MLR_STEP_USER) {
                $0.a = tolerant ? 1 : 0
                $0.owner = user.uid
                $0.group = user.gid
                $0.data = UnsafeRawPointer(arena.copy(user.additionalGids))
                $0.size = user.additionalGids.count
            }
        case .capabilities(let masks):
            make(MLR_STEP_CAPABILITIES) {
                $0.a = masks.effective
                $0.b = masks.permitted
                $0.c = masks.inheritable
                $0.d = masks.ambient
            }
        case .noNewPrivileges: make(MLR_STEP_NO_NEW_PRIVILEGES)
        case .endWithLauncher: make(MLR_STEP_END_WITH_LAUNCHER)
        case .seccomp(let flags, let raises, let last):
            make(MLR_STEP_SECCOMP) {
                $0.a = flags
                $0.flags = UInt32(last ? MLR_SECCOMP_IS_LAST : 0) | UInt32(raises ? MLR_SECCOMP_RAISES : 0)
            }
        case .findProgram(_, let candidates): make(MLR_STEP_FIND_PROGRAM) { $0.list = arena.strings(candidates) }
        case .gate: make(MLR_STEP_GATE)
        case .execute(let arguments, let environment):
            make(MLR_STEP_EXECUTE) {
                $0.list = arena.strings(arguments)
                $0.environment = encodeEnvironment(environment)
            }
        default: throw SystemError("understand a step of the plan", .invalidArgument)
        }
    }

    /// The number of a process in its own pid namespace is known to nobody before it is there: the player writes it in.
    private func encodeEnvironment(_ environment: [String]) -> UnsafePointer<UnsafePointer<CChar>?> {
        guard let listening = request.listening else { return arena.strings(environment) }
        let room = String(repeating: "0", count: Int(MLR_OWN_NUMBER_ROOM))
        let told = listening.told(in: environment, number: room)
        let encoded = arena.strings(told)
        if let last = told.last, let variable = encoded[told.count - 1] {
            launch.own_number = UnsafeMutablePointer(mutating: variable) + (last.utf8.count - room.utf8.count)
        }
        return encoded
    }

    func make(_ kind: mlr_step_kind) -> mlr_step { make(kind) { _ in } }

    func make<Failure: Error>(
        _ kind: mlr_step_kind, _ fill: (inout mlr_step) throws(Failure) -> Void
    ) throws(Failure) -> mlr_step {
        var step = mlr_step()
        step.kind = kind.rawValue
        step.descriptor = -1
        try fill(&step)
        return step
    }

    private func encode(_ node: DeviceNode) -> mlr_step {
        make(MLR_STEP_NODE) {
            let type = node.type == "b" ? S_IFBLK : node.type == "p" ? S_IFIFO : S_IFCHR
            $0.path = arena.string(node.path)
            $0.mode = UInt32(type) | node.mode
            $0.a = UInt64(node.major)
            $0.b = UInt64(node.minor)
            $0.owner = node.uid
            $0.group = node.gid
        }
    }

    private func encode(_ hooks: [RuntimeSpec.Hook], _ directory: String) throws(SystemError) -> mlr_step {
        let state = SharedDescriptor(taking: try check(mlr_memfd_create("state", 0), "create a memory file"))
        hookStates.append(state)
        return make(MLR_STEP_HOOKS) {
            $0.descriptor = keep(state)
            $0.text = arena.string(directory)
            $0.hooks = UnsafePointer(arena.copy(hooks.map { HookRunner.encode($0, in: arena) }))
            $0.size = hooks.count
        }
    }
}

extension LaunchPlan {
    /// What of it would change the mounts of a namespace that is joined, by its place in the configuration, and why the host's
    /// are not to be changed.
    fileprivate var changeOfMounts: (path: String, reason: String)? {
        if steps.contains(.attachRoot(inPlace: false)) {
            return ("linux.namespaces", "whose root cannot become the container's")
        }
        let isPropagation = steps.contains { if case .rootPropagation = $0 { true } else { false } }
        return isPropagation ? ("linux.rootfsPropagation", "whose mounts stay as they are") : nil
    }
}
