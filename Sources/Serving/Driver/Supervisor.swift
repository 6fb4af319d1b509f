internal import CLinux
internal import Container
internal import Glibc
internal import ImageStore
public import LinuxSystem
internal import OCISpec

/// mlrund: keeps services running. One a host and state directory.
///
/// Crash-only: whatever it needs to go on is on disk before it acts, so being killed and being stopped are the same.
/// Replicas and the gateway go on without it; the next supervisor takes them over.
public final class Supervisor {
    let context: SupervisorContext
    var services: [String: ServiceRunner] = [:]
    /// Services whose files are being deleted.
    var removing: Set<String> = []
    private var server: ControlServer?
    private let lock: SharedLock
    private var directories: MLRunDirectories { context.directories }
    var loop: EventLoop { context.loop }

    /// The version that ``ControlRequest/ping`` answers.
    public static let version = "0.1.0"

    /// Keeps the supervisor's lock for as long as the process lives.
    private final class SharedLock {
        private let lock: FileLock
        init(_ lock: consuming FileLock) { self.lock = lock }
    }

    /// Runs a supervisor in this process until it is told to end.
    ///
    /// - Parameter gateway: the path of the mlrun-gateway program.
    /// - Throws: ``ControlError``, also when another supervisor runs for these directories.
    public static func run(_ directories: MLRunDirectories, gateway: String) throws(ControlError) {
        let supervisor = try Supervisor(directories, gateway: gateway)
        do throws(SystemError) { try supervisor.serve() } catch { throw ControlError(error) }
    }

    private init(_ directories: MLRunDirectories, gateway: String) throws(ControlError) {
        guard geteuid() == 0 else {
            throw ControlError("mlrund must run as root", remedy: "use sudo, or the systemd unit")
        }
        do throws(SystemError) {
            // Every replica takes several descriptors.
            try OpenFileLimit.raise()
            // Programs that are setuid in a container's files must not be within reach of the host's users
            // (CVE-2021-41103).
            try File.makeDirectories(directories.root, mode: 0o700)
            try File.makeDirectories(directories.services, mode: 0o700)
            try File.makeDirectories(directories.state, mode: 0o711)
            try File.makeDirectories(directories.replicas, mode: 0o700)
            guard let lock = try FileLock(trying: directories.supervisorLock, exclusive: true) else {
                let pid = (try? File.readText(directories.supervisorPidFile))?.split(separator: "\n").first
                throw SystemError(
                    "run a second mlrund for \(directories.state): one runs already\(pid.map { " as process \($0)" } ?? "")",
                    .busy)
            }
            self.lock = SharedLock(lock)
        } catch {
            throw ControlError(error)
        }
        let host = try HostSnapshot(directories)
        let options = try GatewayOptions.arguments()
        let slots = try SlotPool(HostIDRegistry(directories, .services))
        do throws(SystemError) {
            let loop = try EventLoop()
            context = SupervisorContext(
                directories, loop, host, GatewaySupervisor(loop, directories, executable: gateway, options: options),
                try EventLog(directories), slots)
        } catch {
            throw ControlError(error)
        }
    }

    private func serve() throws(SystemError) {
        try loop.onSignals([SIGTERM, SIGINT, SIGHUP]) { [unowned self] number in
            // Nothing is read again on SIGHUP: it only must not end the supervisor when a terminal goes.
            if number != SIGHUP {
                endWhatServesNobody()
                end()
            }
        }
        try File.replace(
            directories.supervisorPidFile, with: Array("\(getpid())\n".utf8), mode: 0o644, durable: false)
        watchGateway()
        context.gateway.resume { [unowned self] in
            adoptServices()
            do throws(SystemError) { try listen() } catch {
                Diagnostics.note("\(error)")
                loop.stop()
            }
        }
        try loop.run()
    }

    /// Only now: whoever connects finds all services as they are.
    private func listen() throws(SystemError) {
        server = try ControlServer(directories.supervisorSocket, loop) { [unowned self] request, reply in
            handle(request, reply)
        }
        Diagnostics.note("process \(getpid()) serves \(directories.state)")
        context.repose.disturb()
    }

    private func adoptServices() {
        let names: [String]
        do throws(SystemError) { names = try ServiceFiles.names(directories) } catch {
            Diagnostics.note("\(error)")
            return
        }
        for name in names {
            do throws(ControlError) {
                guard let (runner, afterBoot) = try ServiceRunner.load(name, context) else { continue }
                add(runner)
                runner.adopt(afterBoot: afterBoot)
            } catch {
                Diagnostics.note("\(error)")
                context.events.record(service: name, replica: nil, kind: "warning", text: error.message)
            }
        }
        context.gateway.dropUnclaimed()
        removeUnrecordedServices()
        let (directories, host) = (context.directories, context.host)
        loop.work {
            do throws(ControlError) { try ForegroundContainer.removeAbandoned(directories, host) } catch {
                Diagnostics.note("\(error)")
            }
        } then: { _ in
        }
    }

    func add(_ runner: ServiceRunner) {
        services[runner.name] = runner
        runner.takenProcessors = { [weak self] in
            var taken: Set<Int> = []
            for service in self?.services.values ?? [:].values {
                for replica in service.replicas.values where replica.process != nil {
                    let list = replica.record.processors.flatMap { ProcessorList(parsing: $0) }
                    taken.formUnion(list?.processors ?? [])
                }
            }
            return taken
        }
    }

    private func watchGateway() {
        let gateway = context.gateway
        gateway.onDrained = { [unowned self] replica in tell(replica, .drained) }
        gateway.onUpstreamFailed = { [unowned self] replica, text in tell(replica, .upstreamFailed(text)) }
        gateway.onUpstreamSilent = { [unowned self] replica, time in tell(replica, .upstreamSilent(time)) }
        gateway.onNotice = { [unowned self] text in
            context.events.record(service: "", replica: nil, kind: "gateway", text: text)
            Diagnostics.note(text)
        }
    }

    private func tell(_ id: ReplicaID, _ event: ReplicaEvent) {
        for service in services.values {
            guard let replica = service.state.replica(id) else { continue }
            service.report(id, replica.attempt, event)
            return
        }
    }

    /// Ends the gateway and removes the group of the replicas' groups, unless a service still wants them.
    func endWhatServesNobody() {
        guard services.values.allSatisfy(\.state.isAtRest) else { return }
        context.gateway.end()
        context.host.removeCgroupParent()
    }

    /// Leaves replicas and gateway to the next supervisor.
    func end() {
        server?.close()
        unlink(directories.supervisorPidFile)
        loop.stop()
    }
}
