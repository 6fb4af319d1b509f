internal import CLinux
internal import Glibc
internal import LinuxSystem
public import OCISpec

extension ContainerDirectory {
    /// `start`: lets a created container run its program, and returns when it does and its poststart hooks have run. When one of
    /// those fails nothing is left of the container.
    @discardableResult
    public func start(_ id: String) throws(ContainerError) -> ContainerProcess {
        let record = try record(id)
        guard let process = try process(record) else {
            throw .wrongState(id, verb: "start", status: .stopped, remedy: "delete it and create it anew")
        }
        let status = try status(record, process: process)
        guard status == .created else {
            throw .wrongState(
                id, verb: "start", status: status,
                remedy: status == .paused ? "resume it first" : "it has been started already")
        }
        let spec = try spec(id)
        guard let program = spec.process?.args.first else {
            throw .configuration("process: is missing, so that \"\(id)\" has no program to start")
        }
        do throws(LaunchError) {
            try StartGate.open(gate(id), for: process, program: program)
        } catch { throw .launch(error) }
        // Whether the program runs is seen by the process itself.
        try? File.removeIfPresent(gate(id))
        do throws(LaunchError) {
            let hooks = spec.hooks?.poststart ?? []
            try HookRunner.run(hooks, stage: "poststart", state: record.state(.running), in: record.bundle)
            return process
        } catch { throw end(id, after: .launch(error)) }
    }

    /// Ends a container that cannot be what was asked for (runtime.md, Lifecycle, step 9).
    /// - Returns: what is to be told.
    private func end(_ id: String, after failure: ContainerError) -> ContainerError {
        do throws(ContainerError) { return failure.followed(by: try delete(id, force: true)) } catch {
            return .remains(cause: failure, "\(error)")
        }
    }

    /// `kill`: sends a signal to the container's process, or with `all` to every process of the container.
    public func kill(_ id: String, _ signal: SignalName, all: Bool = false) throws(ContainerError) {
        let record = try record(id)
        try send(signal, to: record, all: all)
        if signal != .kill { return }
        do throws(CgroupError) { try record.cgroup.letDie() } catch { throw .cgroup(error) }
    }

    private func send(_ signal: SignalName, to record: ContainerRecord, all: Bool) throws(ContainerError) {
        if all {
            // What has ended already is what `all` asks for.
            do throws(CgroupError) {
                if !record.cgroup.isNone { return try record.cgroup.signal(signal.number) }
            } catch { throw .cgroup(error) }
            for process in try processesOfNamespace(record) { try self.signal(process, signal) }
            return
        }
        guard let process = try process(record), try self.signal(process, signal) else { throw .notRunning(record.id) }
    }

    @discardableResult
    private func signal(_ process: ContainerProcess, _ signal: SignalName) throws(ContainerError) -> Bool {
        do throws(SystemError) { return try process.signal(signal) } catch { throw .system(error) }
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
        if record.pid == 0, !force {
            throw .wrongState(
                id, verb: "delete", status: .creating, remedy: "if its creation was cut off, delete it with --force")
        }
        let (hooks, lost) = record.hasHooksForItsEnd ? try hooksOfEnd(id, force: force) : ([], [])
        if let process = try process(record) {
            let status = try status(record, process: process)
            // A created container has run nothing of its own yet, but it may hold files that its maker waits for.
            guard force || status == .created else {
                throw .wrongState(
                    id, verb: "delete", status: status, remedy: "what is not stopped is only deleted with --force")
            }
            try end(process, of: id, status)
        }
        do throws(CgroupError) {
            if record.pid == 0 { try record.cgroup.removeIfUnused() } else { try record.cgroup.remove() }
        } catch { throw .cgroup(error) }
        do throws(SystemError) { try Self.unmountRoot(record) } catch { throw .system(error) }
        ResourceControl.remove(record.resourceGroups)
        do throws(SystemError) { try File.removeTree(directory(id)) } catch { throw .system(error) }
        return lost
            + HookRunner.tryAll(hooks, stage: "poststop", state: record.state(.stopped), in: record.bundle)
    }

    private func end(
        _ process: ContainerProcess, of id: String, _ status: ContainerState.Status
    ) throws(ContainerError) {
        do throws(SystemError) { if try process.kill(within: 10_000) { return } } catch { throw .system(error) }
        throw .wrongState(
            id, verb: "delete", status: status,
            remedy: "its process \(process.pid) was killed and has not ended in 10 s: delete it again when its system "
                + "call returns, or the processes in its pid namespace are taken away by their parents")
    }

    /// A configuration that cannot be read must not keep a container from being removed for ever.
    private func hooksOfEnd(
        _ id: String, force: Bool
    ) throws(ContainerError) -> (hooks: [RuntimeSpec.Hook], warnings: [String]) {
        do throws(ContainerError) { return (try spec(id).hooks?.poststop ?? [], []) } catch {
            guard force else { throw error }
            // One that was not made so far has none.
            if case .system(let cause) = error, cause.errno == .noSuchFile { return ([], []) }
            return ([], ["poststop hooks are not run: \(error)"])
        }
    }

    /// What was cut off before there was a record, or whose record says nothing. One that just cannot be read now may be of a
    /// container that runs.
    private func removeRemains(_ id: String, after error: ContainerError, force: Bool) throws(ContainerError) {
        guard force else { throw error }
        switch error {
        case .missing, .damaged: break
        default: throw error
        }
        do throws(SystemError) { try File.removeTree(directory(id)) } catch { throw .system(error) }
    }
}
