internal import CLinux
internal import Container
internal import Glibc
internal import ImageStore
internal import LinuxSystem
internal import OCISpec

/// From the decision to launch to a process that is watched.
extension ServiceRunner {
    func launch(_ id: ReplicaID, _ attempt: Int) {
        guard let replica = runtime(id) else { return }
        replica.launchError = nil
        let launcher: ReplicaLauncher
        do throws(SystemError) {
            launcher = try prepare(replica, attempt)
        } catch {
            failed(id, attempt, ControlError(error))
            return
        }
        let record = replica.record
        loop.work { () -> Result<ReplicaLauncher.Launched, ControlError> in
            do throws(ControlError) { return .success(try launcher.launch(record)) } catch { return .failure(error) }
        } then: { [weak self] result in
            switch result {
            case .success(let launched): self?.succeeded(id, attempt, launched)
            case .failure(let error): self?.failed(id, attempt, error)
            }
        }
    }

    /// Writes down what is about to be made, and makes what receives the output.
    private func prepare(_ replica: ReplicaRuntime, _ attempt: Int) throws(SystemError) -> ReplicaLauncher {
        if let pump = replica.pump { try pump.finish() }
        replica.pump = nil
        replica.release(loop)
        replica.record.attempt = attempt
        replica.record.boot = context.host.boot
        replica.record.image = image.config.description
        replica.record.process = nil
        replica.record.agent = nil
        replica.record.network = nil
        replica.record.phases = []
        replica.record.warnings = []
        try replica.record.write(replica.files)
        try File.makeDirectories(replica.files.runtimeDirectory, mode: 0o700)
        let output = replica.files.output
        // The container's user gets them once it is known.
        try LogPump.prepare(output, log: log, uid: 0, gid: 0)
        let streams = (
            SharedDescriptor(try Spool.openForReplica(output.fifo(.stdout))),
            SharedDescriptor(try Spool.openForReplica(output.fifo(.stderr)))
        )
        replica.pump = try makePump(replica)
        let assembly = ContainerAssembly(
            directories: context.directories, host: context.host, settings: settings, image: image,
            files: replica.files, taken: takenProcessors())
        return ReplicaLauncher(assembly: assembly, output: streams.0, errors: streams.1)
    }

    func makePump(_ replica: ReplicaRuntime) throws(SystemError) -> LogPump {
        let pump = try LogPump(replica.record.id, replica.files.output, log: log, loop: loop)
        let id = replica.record.id
        pump.onTrouble = { [weak self] error in
            self?.emitWarning(
                id,
                error.map { "the log of \(id) cannot be written, its output waits: \($0)" }
                    ?? "the log of \(id) can be written again")
        }
        return pump
    }

    private func succeeded(_ id: ReplicaID, _ attempt: Int, _ launched: ReplicaLauncher.Launched) {
        guard let replica = replicas[id], replica.record.attempt == attempt else {
            _ = try? launched.process.kill()
            launched.agent.end()
            return
        }
        replica.record = launched.record
        replica.process = launched.process
        replica.network = launched.network
        replica.agent = launched.agent
        replica.agentClient = launched.network == nil ? nil : launched.agent.client
        for warning in launched.record.warnings { emitWarning(id, warning) }
        let identity = ProcessIdentity(pid: launched.process.pid, startTime: launched.process.startTime)
        // Before it is watched: an end that comes first would be about a process the machine does not know.
        report(id, attempt, .launched(identity))
        watchProcess(replica)
    }

    private func failed(_ id: ReplicaID, _ attempt: Int, _ error: ControlError) {
        replicas[id]?.launchError = error
        // Not within the machine's own step: the answer comes after all that it wanted done.
        loop.soon { [weak self] in self?.report(id, attempt, .launchFailed(error.message)) }
    }

    func watchProcess(_ replica: ReplicaRuntime) {
        guard let process = replica.process, replica.processWatch == nil else { return }
        do throws(SystemError) {
            replica.processWatch = try loop.watch(process.pidfd, for: .read) { [weak self, weak replica] _ in
                guard let self, let replica else { return }
                if let watch = replica.processWatch { loop.cancel(watch) }
                replica.processWatch = nil
                processEnded(replica, tries: 0)
            }
        } catch {
            Diagnostics.note("\(replica.record.id) cannot be watched: \(error)")
        }
    }

    /// A process that is not this one's child must be reaped by its parent before anybody learns how it ended.
    func processEnded(_ replica: ReplicaRuntime, tries: Int) {
        let id = replica.record.id
        let attempt = replica.record.attempt
        guard let status = replica.exitStatus(isLastTry: tries >= 100) else {
            loop.after(20_000_000) { [weak self, weak replica] in
                guard let self, let replica, replica.record.attempt == attempt else { return }
                processEnded(replica, tries: tries + 1)
            }
            return
        }
        report(id, attempt, .exited(status, outOfMemory: replica.hadOutOfMemoryKill))
    }
}
