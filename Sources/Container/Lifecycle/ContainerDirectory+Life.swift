internal import CLinux
internal import Glibc
public import LinuxSystem
public import OCISpec

extension ContainerDirectory {
    /// `start`: lets a created container run its program, and returns when it does.
    /// - Returns: warnings about hooks that failed without consequence.
    @discardableResult
    public func start(_ id: String) throws(ContainerError) -> [String] {
        let record = try record(id)
        guard let process = try process(record) else {
            throw .wrongState("cannot start container \"\(id)\": it has stopped")
        }
        guard File.exists(gate(id)) else {
            throw .wrongState("cannot start container \"\(id)\": it has been started already")
        }
        let spec = try spec(id)
        do throws(LaunchError) {
            try StartGate.open(gate(id), for: process, program: spec.process?.args.first ?? "")
            do throws(SystemError) { try File.removeIfPresent(gate(id)) } catch { throw .system(error) }
        } catch { throw .launch(error) }
        return HookRunner.tryAll(
            spec.hooks?.poststart ?? [], stage: "poststart", state: record.state(.running), in: record.bundle)
    }

    /// `kill`: sends a signal to the container's process, or with `all` to every process of its cgroup.
    public func kill(_ id: String, _ signal: SignalName, all: Bool = false) throws(ContainerError) {
        let record = try record(id)
        if all, let cgroup = record.cgroup {
            do throws(CgroupError) { return try Cgroup(path: cgroup).signal(signal.number) } catch {
                throw .cgroup(error)
            }
        }
        guard let process = try process(record) else {
            // What has ended already is what `all` asks for.
            if all { return }
            throw .notRunning(id)
        }
        let isThere: Bool
        do throws(SystemError) { isThere = try process.signal(signal) } catch { throw .system(error) }
        if !isThere { throw .notRunning(id) }
    }

    /// `delete`: removes what is left of a stopped container. With `force` it is killed first, and one that is not there
    /// is no error.
    /// - Returns: warnings about hooks that failed without consequence.
    @discardableResult
    public func delete(_ id: String, force: Bool = false) throws(ContainerError) -> [String] {
        let record: ContainerRecord
        do throws(ContainerError) { record = try self.record(id) } catch {
            try removeRemains(id, after: error, force: force)
            return []
        }
        if let process = try process(record) {
            let status = try status(record)
            // A created container has run nothing of its own yet, but it may hold files that its maker waits for.
            guard force || status == .created else {
                throw .wrongState(
                    "cannot delete container \"\(id)\" that is not stopped: it is \(status.rawValue); use --force")
            }
            do throws(SystemError) { try process.kill() } catch { throw .system(error) }
        }
        if let cgroup = record.cgroup {
            do throws(CgroupError) { try Self.removeCgroup(Cgroup(path: cgroup)) } catch { throw .cgroup(error) }
        }
        ResourceControl.remove(record.resourceGroups)
        let hooks = try? spec(id).hooks?.poststop
        do throws(SystemError) { try File.removeTree(directory(id)) } catch { throw .system(error) }
        return HookRunner.tryAll(hooks ?? [], stage: "poststop", state: record.state(.stopped), in: record.bundle)
    }

    /// A creation that was cut off leaves a directory without a readable record.
    private func removeRemains(_ id: String, after error: ContainerError, force: Bool) throws(ContainerError) {
        guard force else { throw error }
        if case .invalidID = error { throw error }
        do throws(SystemError) { try File.removeTree(directory(id)) } catch { throw .system(error) }
    }

    /// `exec`: starts a further process in a running container.
    public func exec(
        _ id: String, _ process: RuntimeSpec.Process, streams: LaunchRequest.Streams,
        extraDescriptors: [SharedDescriptor] = [], seccompCache: String? = nil
    ) throws(ContainerError) -> ContainerProcess {
        let record = try record(id)
        let status = try status(record)
        guard status == .running, let container = try self.process(record) else {
            throw status == .stopped
                ? .notRunning(id) : .wrongState("cannot exec in container \"\(id)\": it is \(status.rawValue)")
        }
        let spec = try spec(id)
        let host: HostFacts
        do throws(SystemError) { host = try HostFacts.discover() } catch { throw .system(error) }
        // What is not said is as it is for the container's own process.
        var process = process
        process.capabilities = process.capabilities ?? spec.process?.capabilities
        process.apparmorProfile = process.apparmorProfile ?? spec.process?.apparmorProfile
        process.selinuxLabel = process.selinuxLabel ?? spec.process?.selinuxLabel
        var request = ExecRequest(
            container: container, host: host, process: process, seccomp: spec.linux?.seccomp, streams: streams,
            extraDescriptors: extraDescriptors, seccompCache: seccompCache, keyring: Self.keyring(of: id))
        request.state = record.state(.running)
        if let cgroup = record.cgroup {
            do throws(CgroupError) { request.cgroup = SharedDescriptor(try Cgroup(path: cgroup).openDirectory()) } catch
            {
                throw .cgroup(error)
            }
        }
        do throws(LaunchError) { return try ContainerExec.run(request) } catch { throw .launch(error) }
    }

    /// The process that `exec` runs when it is given arguments only: the container's own with these.
    public func processTemplate(_ id: String, args: [String]) throws(ContainerError) -> RuntimeSpec.Process {
        _ = try record(id)
        var process = try spec(id).process ?? .init()
        process.args = args
        process.terminal = false
        process.consoleSize = nil
        return process
    }
}
