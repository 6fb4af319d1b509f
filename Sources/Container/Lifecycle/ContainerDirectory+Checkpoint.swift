internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import OCISpec

extension ContainerDirectory {
    /// `checkpoint`: writes a running container to files by CRIU. Unless it is left running, it is gone afterwards.
    public func checkpoint(_ id: String, _ options: CheckpointOptions) throws(ContainerError) {
        let record = try record(id)
        let status = try status(record)
        guard status == .running || status == .paused, let process = try process(record) else {
            throw status == .stopped ? .notRunning(id) : .wrongState(id, verb: "checkpoint", status: status)
        }
        let spec = try spec(id)
        // Only what runs on can do without a restoration.
        if spec.process?.terminal == true, !options.leavesRunning, !options.isAhead {
            throw .configuration(
                "process.terminal: the terminal of a checkpoint cannot be handed out again, so that \"\(id)\" would be lost; "
                    + "let it go on: --leave-running")
        }
        var words = try options.arguments()
        words += ["-t", String(process.pid), "--evasive-devices", "--orphan-pts-master"]
        do throws(SystemError) {
            try File.makeDirectories(options.images, mode: 0o700)
            if let work = options.work { try File.makeDirectories(work, mode: 0o700) }
            if let cgroup = record.cgroup.unified { words += ["--freeze-cgroup", cgroup.path] }
            for mount in Self.externalMounts(spec, seenBy: process.pid) {
                words += ["--external", "mnt[\(mount.target)]:\(mount.target)"]
            }
            words += try Self.externalNamespaces(spec, of: process.pid)
            if !options.isAhead {
                let links = try (0...2).map { number throws(SystemError) in
                    try File.readLink("/proc/\(process.pid)/fd/\(number)")
                }
                try File.replace(
                    "\(options.images)/\(Self.descriptorFile)",
                    with: JSON.array(links.map { .string($0) }).bytes(), durable: false)
            }
        } catch { throw .system(error) }
        try Self.runCRIU(
            "checkpoint", options.program, log: "\(options.work ?? options.images)/dump.log"
        ) { () throws(SystemError) in
            try HostProgram.run(options.program, words, environment: HostProgram.environment)
        }
        if !options.leavesRunning, !options.isAhead { try delete(id, force: true) }
    }

    /// `restore`: makes a container from a bundle and files of CRIU.
    public func restore(
        _ id: String, _ options: CreateOptions, _ restore: RestoreOptions
    ) throws(ContainerError) -> (process: ContainerProcess, warnings: [String]) {
        try Self.checkID(id)
        let spec = try Self.readSpec("\(options.bundle)/config.json")
        if spec.process?.terminal == true {
            throw .configuration("process.terminal: the terminal of a checkpoint cannot be handed out again")
        }
        return try make(id, spec, rootfs: Self.rootPath(spec, bundle: options.bundle), options) {
            made throws(ContainerError) in
            try restored(spec, options, restore, &made)
        }
    }

    /// What CRIU calls at each stage of a restoration: the hooks for namespaces run when those are there.
    public func restoreAction(_ id: String, _ action: String, process: Int32) throws(ContainerError) {
        guard action == "setup-namespaces" else { return }
        let spec = try spec(id)
        var record = try record(id)
        record.pid = process
        let state = record.state(.created)
        do throws(LaunchError) {
            try HookRunner.run(spec.hooks?.prestart ?? [], stage: "prestart", state: state, in: record.bundle)
            try HookRunner.run(spec.hooks?.createRuntime ?? [], stage: "createRuntime", state: state, in: record.bundle)
        } catch { throw .launch(error) }
    }

    // MARK: Restoration

    private func restored(
        _ spec: RuntimeSpec, _ options: CreateOptions, _ restore: RestoreOptions, _ made: inout Making
    ) throws(ContainerError) -> (process: ContainerProcess, warnings: [String]) {
        let id = made.id
        let warnings = try prepareHost(spec, options, &made).warnings
        var record = Self.newRecord(spec, options, made)
        made.record = record
        var words = try restore.arguments()
        let numberFile = "\(directory(id))/criu.pid"
        let root = "\(directory(id))/criu-root"
        var descriptors: [SharedDescriptor] = []
        do throws(SystemError) {
            try File.replace(configuration(id), with: spec.json.bytes(), durable: false)
            try write(record)
            try File.makeDirectories(root, mode: 0o700)
            try check(
                mlr_mount(record.rootfs, root, nil, UInt(MLR_MS_BIND | MLR_MS_REC), nil), "bind the root to", path: root
            )
            words += ["--root", root, "--pidfile", numberFile]
            for mount in Self.externalMounts(spec, bundle: options.bundle) {
                words += ["--external", "mnt[\(mount.target)]:\(mount.source)"]
            }
            let inherited = try Self.inherited(spec, images: restore.images)
            for (index, entry) in inherited.enumerated() {
                // The descriptors stand in this order from 3 on.
                words += ["--inherit-fd", "fd[\(3 + index)]:\(entry.key)"]
                descriptors.append(entry.descriptor)
            }
        } catch {
            _ = mlr_umount(root, Int32(MLR_MNT_DETACH))
            throw .system(error)
        }
        defer { _ = mlr_umount(root, Int32(MLR_MNT_DETACH)) }
        let cgroup = made.cgroup
        try Self.runCRIU(
            "restore", restore.program, log: "\(restore.work ?? restore.images)/restore.log"
        ) { () throws(SystemError) in
            try Self.launch(restore.program, words, descriptors, in: cgroup)
        }
        do throws(SystemError) {
            guard let pid = Int32(try File.readText(numberFile).filter { !$0.isWhitespace }),
                let startTime = try ProcessFacts.startTime(of: pid),
                let process = try ContainerProcess.adopt(pid: pid, startTime: startTime)
            else { throw SystemError("find the restored process of", path: numberFile, .noSuchProcess) }
            record.pid = pid
            record.startTime = startTime
            try write(record)
            try Self.handOut(
                process, consoleSocket: nil, pidfdSocket: options.pidfdSocket, pidFile: options.pidFile,
                kind: "standard")
            return (process, warnings)
        } catch { throw .system(error) }
    }

    /// CRIU in the container's group, in which what it restores is born.
    private static func launch(
        _ program: String, _ words: [String], _ descriptors: [SharedDescriptor], in cgroup: ContainerCgroup
    ) throws(SystemError) -> HostProgram.Outcome {
        guard let path = HostProgram.find(program) else { throw SystemError("run \(program)", .noSuchFile) }
        let plan = LaunchPlan(steps: [
            .ownRoot, .streams(owner: 0), .findProgram(name: path, candidates: [path]),
            .execute(arguments: [path] + words, environment: HostProgram.environment),
        ])
        var request = LaunchRequest(plan: plan, root: nil)
        request.streams = .files(input: nil, output: nil, error: nil)
        request.extraDescriptors = descriptors
        do throws(CgroupError) {
            if let directory = try cgroup.directory() { request.cgroup = SharedDescriptor(directory) }
        } catch { throw SystemError("open the cgroup for criu", .noSuchDevice) }
        request.whenCreated = { process throws(LaunchError) in try Self.admit(process, to: cgroup) }
        do throws(LaunchError) {
            let process = try Launcher.launch(request)
            do throws(SystemError) {
                return .init(exitCode: try process.wait().code, output: "", errors: "")
            } catch { throw .system(error) }
        } catch {
            if case .system(let cause) = error { throw cause }
            throw SystemError("run", path: path, .noSuchFile)
        }
    }

    private static let descriptorFile = "descriptors.json"

    /// What the image refers to and has to be given: pipes of standard streams, and namespaces that are joined.
    private static func inherited(
        _ spec: RuntimeSpec, images: String
    ) throws(SystemError) -> [(key: String, descriptor: SharedDescriptor)] {
        var found: [(key: String, descriptor: SharedDescriptor)] = []
        let text = (try? File.read("\(images)/\(descriptorFile)", limit: 1 << 16)) ?? []
        let links = (try? JSON(parsing: text))?.array ?? []
        for (number, link) in links.prefix(3).enumerated() {
            // An image comes from anywhere; only what CRIU calls a pipe is looked up by it.
            guard let link = link.string, link.hasPrefix("pipe:[") else { continue }
            let copy = try check(mlr_dup_cloexec(Int32(number), 3), "pass on descriptor \(number)")
            found.append((link, SharedDescriptor(taking: copy)))
        }
        for (kind, key) in externalKinds {
            guard let path = spec.linux?.namespaces.first(where: { $0.kind == kind })?.path else { continue }
            found.append((key, SharedDescriptor(try File.open(path, O_RDONLY))))
        }
        return found
    }

    // MARK: What is not in the image

    private static let externalKinds: [(kind: RuntimeSpec.Namespace.Kind, key: String)] = [
        (.network, "extRootNetNS"), (.pid, "extRootPidNS"),
    ]

    private static func externalNamespaces(_ spec: RuntimeSpec, of pid: Int32) throws(SystemError) -> [String] {
        var words: [String] = []
        for (kind, key) in externalKinds
        where spec.linux?.namespaces.contains(where: { $0.kind == kind && $0.path != nil }) == true {
            let status = try File.status("/proc/\(pid)/ns/\(kind.link)")
            words += ["--external", "\(kind.link)[\(status.inode)]:\(key)"]
        }
        return words
    }

    /// Mounts whose content is the host's: binds, and files that are masked by its null device.
    private static func externalMounts(
        _ spec: RuntimeSpec, bundle: String = "/", seenBy pid: Int32? = nil
    ) -> [(target: String, source: String)] {
        var found: [(target: String, source: String)] = []
        for mount in spec.mounts where MountOptions(mount.options).binds(type: mount.type) {
            let source = mount.source ?? ""
            found.append((mount.destination.cleanPath, source.hasPrefix("/") ? source : "\(bundle)/\(source)"))
        }
        for path in spec.linux?.maskedPaths ?? [] {
            // Directories are masked by a file system that is in the image.
            let place = pid.map { "/proc/\($0)/root\(path)" } ?? path
            guard let status = try? File.status(place), status.mode & UInt32(S_IFMT) != UInt32(S_IFDIR) else {
                continue
            }
            found.append((path, "/dev/null"))
        }
        return found
    }

    private static func runCRIU(
        _ verb: String, _ program: String, log: String, _ run: () throws(SystemError) -> HostProgram.Outcome
    ) throws(ContainerError) {
        guard HostProgram.find(program) != nil else {
            throw .criu(verb: verb, reason: "\(program) is not installed (Debian package criu); or name it with --criu")
        }
        // A log of another attempt would speak of that one.
        do throws(SystemError) { try File.removeIfPresent(log) } catch { throw .system(error) }
        let outcome: HostProgram.Outcome
        do throws(SystemError) { outcome = try run() } catch { throw .system(error) }
        if outcome.exitCode == 0 { return }
        let text = (try? File.readText(log)) ?? outcome.output + outcome.errors
        throw .criu(verb: verb, reason: "\(CheckpointLog.cause(text)) (\(log))")
    }
}
