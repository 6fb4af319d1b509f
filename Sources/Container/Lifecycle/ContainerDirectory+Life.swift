internal import CLinux
internal import Glibc
internal import LinuxSystem
public import OCISpec

extension ContainerDirectory {
    /// `start`: lets a created container run its program, and returns when it does.
    /// - Returns: the container's process, and warnings about hooks that failed without consequence.
    @discardableResult
    public func start(_ id: String) throws(ContainerError) -> (process: ContainerProcess, warnings: [String]) {
        let record = try record(id)
        guard let process = try process(record) else {
            throw .wrongState(id, verb: "start", status: .stopped, remedy: "delete it and create it anew")
        }
        guard File.exists(gate(id)) else {
            throw .wrongState(id, verb: "start", status: try status(record), remedy: "it has been started already")
        }
        let spec = try spec(id)
        guard let program = spec.process?.args.first else {
            throw .configuration("process: is missing, so that \"\(id)\" has no program to start")
        }
        do throws(LaunchError) {
            try StartGate.open(gate(id), for: process, program: program)
            do throws(SystemError) { try File.removeIfPresent(gate(id)) } catch { throw .system(error) }
        } catch { throw .launch(error) }
        let warnings = HookRunner.tryAll(
            spec.hooks?.poststart ?? [], stage: "poststart", state: record.state(.running), in: record.bundle)
        return (process, warnings)
    }

    /// `kill`: sends a signal to the container's process, or with `all` to every process of the container.
    public func kill(_ id: String, _ signal: SignalName, all: Bool = false) throws(ContainerError) {
        let record = try record(id)
        if all {
            // What has ended already is what `all` asks for.
            do throws(CgroupError) {
                if !record.cgroup.isNone { return try record.cgroup.signal(signal.number) }
            } catch { throw .cgroup(error) }
            for process in try processesOfNamespace(record) { try self.signal(process, signal) }
            return
        }
        guard let process = try process(record), try self.signal(process, signal) else { throw .notRunning(id) }
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
        if let process = try process(record) {
            let status = try status(record)
            // A created container has run nothing of its own yet, but it may hold files that its maker waits for.
            guard force || status == .created else {
                throw .wrongState(
                    id, verb: "delete", status: status, remedy: "what is not stopped is only deleted with --force")
            }
            do throws(SystemError) { try process.kill() } catch { throw .system(error) }
        }
        do throws(CgroupError) { try record.cgroup.remove() } catch { throw .cgroup(error) }
        do throws(SystemError) { try Self.unmountRoot(record) } catch { throw .system(error) }
        ResourceControl.remove(record.resourceGroups)
        let hooks = record.hasHooksForItsEnd ? try? spec(id).hooks?.poststop : nil
        do throws(SystemError) { try File.removeTree(directory(id)) } catch { throw .system(error) }
        return HookRunner.tryAll(hooks ?? [], stage: "poststop", state: record.state(.stopped), in: record.bundle)
    }

    /// A creation that was cut off leaves a directory without a readable record.
    private func removeRemains(_ id: String, after error: ContainerError, force: Bool) throws(ContainerError) {
        guard force else { throw error }
        if case .invalidID = error { throw error }
        do throws(SystemError) { try File.removeTree(directory(id)) } catch { throw .system(error) }
    }
}
