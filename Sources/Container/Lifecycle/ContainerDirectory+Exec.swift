internal import CLinux
internal import Glibc
public import LinuxSystem
public import OCISpec

/// How a further process is started in a container.
public struct ExecOptions: Sendable {
    /// What the program gets as standard input, output and error.
    public var streams = LaunchRequest.Streams.inherited
    /// A unix socket that takes the terminal's controlling side.
    public var consoleSocket: String?
    /// A unix socket that takes a pidfd of the process.
    public var pidfdSocket: String?
    /// A file that takes the pid.
    public var pidFile: String?
    /// Files the program gets as descriptors 3, 4, …
    public var extraDescriptors: [SharedDescriptor] = []
    /// Which of those are sockets that the program is told of.
    public var listening: ListeningSockets?
    /// A directory for compiled seccomp programs; nil compiles anew.
    public var seccompCache: String?
    /// A group below the container's own, which is there already.
    public var cgroup: String?
    /// Start it in a paused container too, where it will stand still as the others do.
    public var ignoresPause = false

    public init() {}
}

extension ContainerDirectory {
    /// `exec`: starts a further process in a container that runs, or waits for its start.
    public func exec(
        _ id: String, _ process: RuntimeSpec.Process, _ options: ExecOptions = .init()
    ) throws(ContainerError) -> ContainerProcess {
        try exec(try known(id), process, options)
    }

    /// The same in a container that has been looked up already.
    public func exec(
        _ known: KnownContainer, _ process: RuntimeSpec.Process, _ options: ExecOptions = .init()
    ) throws(ContainerError) -> ContainerProcess {
        let (record, spec, id) = (known.record, known.spec, known.record.id)
        let first = record.pid == 0 ? nil : try self.process(record)
        let status = try status(record, process: first)
        if status == .stopped { throw .notRunning(id) }
        if status == .paused, !options.ignoresPause {
            throw .wrongState(
                id, verb: "exec in", status: status, remedy: "resume it first, or use --ignore-paused")
        }
        let isComplete = status == .running ? true : try isComplete(record)
        guard let container = first, isComplete else {
            throw .wrongState(id, verb: "exec in", status: .creating, remedy: "wait until it is created")
        }
        let host: HostFacts
        do throws(SystemError) { host = try HostFacts.discover() } catch { throw .system(error) }
        // What is not said is as it is for the container's own process.
        var process = process
        process.capabilities = process.capabilities ?? spec.process?.capabilities
        process.apparmorProfile = process.apparmorProfile ?? spec.process?.apparmorProfile
        process.selinuxLabel = process.selinuxLabel ?? spec.process?.selinuxLabel
        Self.addHome(to: &process, root: "/proc/\(container.pid)/root")
        var request = ExecRequest(
            container: container, linux: spec.linux, host: host, process: process, streams: options.streams,
            extraDescriptors: options.extraDescriptors, seccompCache: options.seccompCache,
            keyring: Self.keyring(of: id))
        request.seccompProgram = known.program
        request.state = record.state(status)
        request.listening = options.listening
        if let path = options.cgroup, record.cgroup.unified == nil {
            throw .option("--cgroup \"\(path)\": the container has no group of cgroup v2")
        }
        do throws(CgroupError) {
            if let unified = record.cgroup.unified {
                request.cgroup = SharedDescriptor(try Self.below(unified, options.cgroup).openDirectory())
            }
        } catch { throw .cgroup(error) }
        request.whenCreated = { process throws(LaunchError) in
            if let settings = spec.linux?.intelRdt { try ResourceControl.admit(process.pid, to: settings, id: id) }
            try Self.admit(process, to: record.cgroup)
        }
        let started = try launch(request, isSubgroup: options.cgroup != nil)
        do throws(SystemError) {
            try Self.handOut(
                started, consoleSocket: options.consoleSocket, pidfdSocket: options.pidfdSocket,
                pidFile: options.pidFile, kind: "setns")
        } catch {
            _ = try? started.kill()
            throw .system(error)
        }
        return started
    }

    /// Before its process has come to its gate a container may still have the host's root.
    private func isComplete(_ record: ContainerRecord) throws(ContainerError) -> Bool {
        if record.pid == 0 { return false }
        if try !hasNotExecuted(record) { return true }
        do throws(SystemError) { if try StartGate.isReached(gate(record.id)) { return true } } catch {
            throw .system(error)
        }
        // It may have been let go meanwhile.
        return try !hasNotExecuted(record)
    }

    /// A container that manages groups of its own (systemd, dockerd) has moved out of the top of its group, which takes no
    /// processes any more: then where its first process has gone is the place.
    private func launch(_ request: ExecRequest, isSubgroup: Bool) throws(ContainerError) -> ContainerProcess {
        do throws(LaunchError) { return try ContainerExec.run(request) } catch {
            guard case .system(let cause) = error, cause.errno == .busy, !isSubgroup,
                let present = try? Self.presentGroup(of: request.container.pid, request.host)
            else { throw .launch(error) }
            var request = request
            do throws(CgroupError) { request.cgroup = SharedDescriptor(try present.openDirectory()) } catch {
                throw .cgroup(error)
            }
            do throws(LaunchError) { return try ContainerExec.run(request) } catch { throw .launch(error) }
        }
    }

    private static func presentGroup(of pid: Int32, _ host: HostFacts) throws(SystemError) -> Cgroup? {
        let facts = HostCgroups(
            mountinfo: try File.readText("/proc/self/mountinfo"), selfCgroup: try File.readText("/proc/\(pid)/cgroup"))
        return facts.unifiedMount.flatMap { mount in facts.ownGroup.map { Cgroup(path: mount + $0) } }
    }

    /// Into groups that a process cannot be born in.
    static func admit(_ process: ContainerProcess, to cgroup: ContainerCgroup) throws(LaunchError) {
        do throws(CgroupError) { try cgroup.admit(process.pid) } catch {
            throw .setting(path: "linux.cgroupsPath", FailureTable.ofNoProgram(error.description))
        }
    }

    private static func below(_ cgroup: Cgroup, _ path: String?) throws(CgroupError) -> Cgroup {
        guard let path else { return cgroup }
        let names = path.split(separator: "/")
        if names.contains(where: { $0 == ".." || $0 == "." }) {
            throw CgroupError(.path, "the cgroup \"\(path)\" would lead out of the container's own")
        }
        let group = Cgroup(path: ([cgroup.path] + names.map(String.init)).joined(separator: "/"))
        guard group.exists else {
            throw CgroupError(.path, "the container has no cgroup \"\(path)\"", remedy: "make it first")
        }
        return group
    }

    /// Looks a container up for what is done with it next.
    public func known(_ id: String) throws(ContainerError) -> KnownContainer {
        let record = try record(id)
        let bytes = try? File.read(execFile(id), limit: 16 << 20)
        // Whatever is wrong with it, the configuration says it all.
        if let bytes, let exec = ExecRecord(bytes) { return KnownContainer(record, exec.spec, exec.program) }
        return KnownContainer(record, try spec(id))
    }
}

/// What is on record of a container.
public struct KnownContainer: Sendable {
    let record: ContainerRecord
    /// As much of it as a further process needs.
    let spec: RuntimeSpec
    /// Its system call filter, compiled; nil where ``spec`` has the rules.
    let program: [UInt8]?

    init(_ record: ContainerRecord, _ spec: RuntimeSpec, _ program: [UInt8]? = nil) {
        self.record = record
        self.spec = spec
        self.program = program
    }

    /// The process that `exec` runs when it is given arguments only: the container's own with these.
    public func process(args: [String]) -> RuntimeSpec.Process {
        var process = spec.process ?? .init()
        process.args = args
        process.terminal = false
        process.consoleSize = nil
        return process
    }
}
