internal import Container
internal import ImageStore
internal import LinuxSystem
internal import OCISpec

/// Asking replicas how they are.
extension ServiceRunner {
    func schedule(_ id: ReplicaID, _ attempt: Int, _ request: ProbeRequest) {
        guard let replica = runtime(id) else { return }
        if let old = replica.probeTimers.removeValue(forKey: request.kind) { loop.cancel(old) }
        replica.probes.removeValue(forKey: request.kind)?.cancel()
        let delay = UInt64(max(0, request.after.wholeNanoseconds))
        replica.probeTimers[request.kind] = loop.after(delay) { [weak self, weak replica] in
            guard let self, let replica else { return }
            replica.probeTimers[request.kind] = nil
            ask(replica, attempt, request)
        }
    }

    private func ask(_ replica: ReplicaRuntime, _ attempt: Int, _ request: ProbeRequest) {
        switch request.check {
        case .http(let port, let path, _): ask(replica, attempt, request, port: port, path: path)
        case .tcp(let port): ask(replica, attempt, request, port: port, path: nil)
        case .exec(let command): run(command, in: replica, attempt, request)
        }
    }

    private func ask(
        _ replica: ReplicaRuntime, _ attempt: Int, _ request: ProbeRequest, port: UInt16, path: String?
    ) {
        replica.probes[request.kind] = NetworkProbe(
            loop, network: replica.network, port: port, path: path, timeout: request.timeout
        ) { [weak self, weak replica] answer in
            guard let self, let replica else { return }
            replica.probes[request.kind] = nil
            answered(replica, attempt, request.kind, answer)
        }
    }

    private func run(
        _ command: [String], in replica: ReplicaRuntime, _ attempt: Int, _ request: ProbeRequest
    ) {
        guard let container = replica.process, let build = try? commandProcess(command, replica) else {
            answered(replica, attempt, request.kind, .failed("there is no process to run the command beside"))
            return
        }
        let probe = CommandProbe(
            container: container, host: context.host.facts, process: build.process, linux: build.linux,
            cgroup: replica.cgroup, timeout: request.timeout, seccompCache: context.directories.seccompCache,
            keyring: ContainerAssembly.keyring(of: replica.record.id))
        let generation = replica.probeGeneration
        loop.work {
            probe.run()
        } then: { [weak self, weak replica] answer in
            guard let self, let replica, replica.probeGeneration == generation else { return }
            answered(replica, attempt, request.kind, answer)
        }
    }

    /// The service's own process with another command.
    private func commandProcess(
        _ command: [String], _ replica: ReplicaRuntime
    ) throws(BuildError) -> (process: RuntimeSpec.Process, linux: RuntimeSpec.Linux?) {
        try RunningReplica.process(command, replica.record, settings, image, context.host)
    }

    private func answered(_ replica: ReplicaRuntime, _ attempt: Int, _ kind: ProbeKind, _ answer: ProbeAnswer) {
        let id = replica.record.id
        guard kind == .liveness, !answer.showsLife else {
            return report(id, attempt, .probed(kind, answer, activity(replica)))
        }
        // It may be too busy with its clients to answer, and who passes its answers on knows.
        let generation = replica.probeGeneration
        context.gateway.quietTime(of: id) { [weak self, weak replica] quiet in
            guard let self, let replica, replica.probeGeneration == generation else { return }
            var activity = activity(replica) ?? Activity()
            activity.quietFor = quiet
            report(id, attempt, .probed(kind, answer, activity))
        }
    }

    /// The replica's work since its launch: what tells a slow start from a stuck one.
    private func activity(_ replica: ReplicaRuntime) -> Activity? {
        guard let statistics = try? replica.cgroup.statistics() else { return nil }
        return Activity(
            cpu: Int64(clamping: (statistics.cpu?.usage ?? 0) &* 1000),
            bytesRead: Int64(clamping: (statistics.io ?? [:]).values.reduce(0) { $0 &+ $1.readBytes }),
            logOutput: replica.pump?.loggedBytes ?? 0)
    }
}
