internal import CLinux
internal import Container
internal import Glibc
internal import ImageStore
internal import LinuxSystem
internal import OCISpec

/// Going on with a service that another supervisor started.
extension ServiceRunner {
    /// What ``persist()`` has written; nil without a record.
    static func load(
        _ name: String, _ context: SupervisorContext
    ) throws(ControlError) -> (runner: ServiceRunner, afterBoot: Bool)? {
        let files = ServiceFiles(context.directories, name: name)
        guard File.exists(files.record) else { return nil }
        let cursor: JSONCursor
        let settings: ServiceSettings
        var phases: [ControlRequest.StartStep] = []
        let boot: String
        do {
            cursor = JSONCursor(try JSON(parsing: try File.read(files.record)))
            settings = try ServiceSettings(try cursor.required("settings"))
            boot = try cursor.required("boot").string()
            phases =
                try cursor.optional("phases")?.array { step throws(JSONError) in
                    try ControlRequest.StartStep(step)
                } ?? []
        } catch {
            throw ControlError(
                "the record of the service \(name) is not understood: \(error)",
                remedy: "remove it with mlrun rm --force \(name) and start it again")
        }
        let image = try findImage(settings, context.directories)
        let rules = try rules(settings, image)
        do {
            let state = try ServiceState(try cursor.required("state"), rules: rules)
            let runner = try ServiceRunner(context, settings, image, state, phases: phases)
            return (runner, boot != context.host.boot)
        } catch {
            throw ControlError(
                "the state of the service \(name) is not understood: \(error)",
                remedy: "remove it with mlrun rm --force \(name) and start it again")
        }
    }

    /// The image that a service was started with, by its ID where one is noted.
    static func findImage(
        _ settings: ServiceSettings, _ directories: MLRunDirectories
    ) throws(ControlError) -> ImageRecord {
        do throws(StoreError) {
            let store = try ImageStore(directories)
            if let wanted = settings.image.configDigest {
                if let named = try store.image(settings.image.reference), named.config == wanted { return named }
                if let exact = try store.image(wanted.description) { return exact }
            }
            return try store.existingImage(settings.image.reference)
        } catch {
            throw ControlError(error.description, remedy: error.remedy)
        }
    }

    static func rules(_ settings: ServiceSettings, _ image: ImageRecord) throws(ControlError) -> ServiceRules {
        do throws(BuildError) { return try ServiceRules(settings, image: image.configuration) } catch {
            throw ControlError(error.message, remedy: error.remedy)
        }
    }

    /// Finds the replicas of a former supervisor again, and goes on: those that run are left as they are, of those
    /// that have ended the cause is found out.
    func adopt(afterBoot: Bool) {
        var ended: [ReplicaRuntime] = []
        for replica in state.replicas {
            let files = files.replica(replica.id)
            guard let record = ReplicaRecord.read(files) else { continue }
            do throws(ControlError) { try context.slots.claim(record.slot) } catch {
                emitWarning(replica.id, "another mlrun has been given the host ids of \(replica.id): \(error.message)")
            }
            let runtime = ReplicaRuntime(files, record)
            replicas[replica.id] = runtime
            if afterBoot || record.boot != context.host.boot { continue }
            if !take(runtime), replica.process != nil, replica.phase != .cleaning { ended.append(runtime) }
        }
        if state.desired == .running { publishAgain() }
        let known = replicas
        resume(afterBoot: afterBoot)
        if afterBoot {
            releaseNetworks(of: known.values.filter { state.replica($0.record.id)?.phase.isAtRest ?? true })
        }
        for runtime in ended { processEnded(runtime, tries: 0) }
        for runtime in replicas.values { watchProcess(runtime) }
    }

    /// Leases of addresses survive a reboot. A replica that is launched again gives its own back itself.
    private func releaseNetworks(of replicas: [ReplicaRuntime]) {
        for replica in replicas where File.exists(replica.files.network) {
            let id = replica.record.id
            let files = replica.files
            loop.work { () -> String? in
                do throws(ControlError) { try ReplicaNetwork.release(files) } catch { return error.description }
                return nil
            } then: { [weak self] failure in
                if let failure { self?.emitWarning(id, "the network of \(id) cannot be given back: \(failure)") }
            }
        }
    }

    private func publishAgain() {
        do throws(ControlError) { _ = try context.gateway.publish(name, settings.ports) } catch {
            emitWarning(nil, "the ports of \(name) are not published: \(error)")
        }
    }

    /// Whether the replica still has its first process.
    private func take(_ replica: ReplicaRuntime) -> Bool {
        let id = replica.record.id
        do throws(SystemError) {
            if File.exists(replica.files.output.checkpoint) { replica.pump = try makePump(replica) }
            guard let identity = replica.record.process,
                let process = try ContainerProcess.adopt(pid: identity.pid, startTime: identity.startTime)
            else { return false }
            replica.process = process
            replica.network = try ReplicaLauncher.networkNamespace(process, settings)
            try takeAgent(replica, process)
            return true
        } catch {
            emitWarning(id, "\(id) could not be taken over in full: \(error)")
            return replica.process != nil
        }
    }

    /// The gateway has kept the agent's client end; without a gateway that did, a new agent takes the old one's place.
    private func takeAgent(_ replica: ReplicaRuntime, _ process: ContainerProcess) throws(SystemError) {
        if let client = context.gateway.adoptedAgent(replica.record.id) {
            replica.agentClient = client
            return
        }
        let isAlive = replica.record.agent.flatMap { $0.open() } != nil
        if replica.network == nil, isAlive { return }
        if let old = replica.record.agent { SocketAgent.end(old) }
        let agent = try ReplicaLauncher.startAgent(process, replica.network, settings, replica.files)
        replica.agent = agent
        replica.agentClient = replica.network == nil ? nil : agent.client
        replica.record.agent = agent.identity
        try replica.record.write(replica.files)
    }
}
