internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import OCISpec

/// Keeps one mlrun-gateway at work and tells it what it must know.
///
/// Everything that it is to know is kept here and told again to a gateway that was started anew. The listening sockets
/// are kept here too, so that connections wait instead of being refused while there is none. A gateway that a former
/// supervisor started is taken over with the sockets it holds.
final class GatewaySupervisor {
    struct Replica {
        let service: String
        var route: ReplicaRoute
        /// nil where the replica shares the host's network.
        let agent: SharedDescriptor?
    }

    private static let shortestLife: UInt64 = 1_000_000_000
    private static let longestDelay: UInt64 = 5_000_000_000

    private let loop: EventLoop
    private let directories: MLRunDirectories
    private let executable: String
    private let options: [String]
    private var listener: SharedDescriptor?
    private var link: GatewayLink?
    private var process: (identity: ProcessIdentity, pidfd: SharedDescriptor, watch: EventLoop.Watch)?
    private var startedAt: EventLoop.Instant = 0
    private var failures = 0
    private(set) var listeners: [String: PortListener] = [:]
    private var replicas: [ReplicaID: Replica] = [:]
    /// Sockets of a gateway that was taken over and that nobody has claimed yet.
    private var adoptedListeners: [String: SharedDescriptor] = [:]
    private var adoptedAgents: [String: SharedDescriptor] = [:]

    var onDrained: (ReplicaID) -> Void = { _ in }
    var onUpstreamFailed: (ReplicaID, String) -> Void = { _, _ in }
    var onUpstreamSilent: (ReplicaID, Duration) -> Void = { _, _ in }
    var onNotice: (String) -> Void = { _ in }

    init(_ loop: EventLoop, _ directories: MLRunDirectories, executable: String, options: [String] = []) {
        self.options = options
        self.loop = loop
        self.directories = directories
        self.executable = executable
    }

    private var identityFile: String { "\(directories.state)/gateway.pid" }

    // MARK: Life

    /// Takes over the gateway that still runs, and calls `done` when its sockets are known; without one does nothing
    /// until one is needed.
    func resume(done: @escaping () -> Void) {
        guard let identity = ProcessIdentity(file: identityFile), let pidfd = identity.open() else {
            done()
            return
        }
        do throws(SystemError) {
            let link = try connect()
            try watch(identity, pidfd)
            link.request(JSONObject([("op", "list")])) { [weak self] result in
                if case .success(let items) = result { self?.adopt(items) }
                done()
            }
        } catch {
            _ = mlr_pidfd_send_signal(pidfd.rawValue, SIGKILL)
            onNotice("the gateway (process \(identity.pid)) cannot be reached and is replaced: \(error)")
            done()
        }
    }

    private func adopt(_ items: [GatewayLink.Item]) {
        for item in items {
            guard let descriptor = item.descriptor else { continue }
            switch item.json["item"]?.string {
            case "listener": if let id = item.json["id"]?.string { adoptedListeners[id] = descriptor }
            case "replica": if let replica = item.json["replica"]?.string { adoptedAgents[replica] = descriptor }
            default: break
            }
        }
    }

    /// After all services have claimed what is theirs: the gateway forgets the rest.
    func dropUnclaimed() {
        for id in adoptedListeners.keys where listeners[id] == nil { send([("op", "unlisten"), ("id", .string(id))]) }
        adoptedListeners = [:]
        adoptedAgents = [:]
    }

    /// The client end of a replica's socket agent that the running gateway holds.
    func adoptedAgent(_ replica: ReplicaID) -> SharedDescriptor? { adoptedAgents[replica.rawValue] }

    private func ensureRunning() throws(SystemError) {
        if link != nil { return }
        let listener: SharedDescriptor
        if let bound = self.listener {
            listener = bound
        } else {
            listener = try UnixListener.bind(directories.gatewaySocket, type: Int32(SOCK_SEQPACKET.rawValue))
            self.listener = listener
        }
        let null = try File.open("/dev/null", O_RDWR)
        let log = try File.open("\(directories.root)/gateway.log", O_WRONLY | O_CREAT | O_APPEND, mode: 0o600)
        let started = try ChildProgram.start(
            executable, ["--control-fd", "3", "--user", "65534:65534"] + options, environment: ChildProgram.environment,
            descriptors: [null.rawValue, log.rawValue, log.rawValue, listener.rawValue])
        try started.identity.write(to: identityFile)
        startedAt = EventLoop.now
        _ = try connect()
        try watch(started.identity, started.pidfd)
        tellEverything()
    }

    private func connect() throws(SystemError) -> GatewayLink {
        let link = try GatewayLink(directories.gatewaySocket, loop)
        link.onEvent = { [weak self] in self?.handle($0) }
        link.onClosed = { [weak self] in self?.lost() }
        self.link = link
        return link
    }

    private func watch(_ identity: ProcessIdentity, _ pidfd: SharedDescriptor) throws(SystemError) {
        let watch = try loop.watch(pidfd.rawValue, for: .read) { [weak self] _ in self?.lost() }
        process = (identity, pidfd, watch)
    }

    /// The gateway died, or closed its connection and is made to die.
    private func lost() {
        link?.close()
        link = nil
        guard let process else { return }
        self.process = nil
        loop.cancel(process.watch)
        _ = mlr_pidfd_send_signal(process.pidfd.rawValue, SIGKILL)
        var code: Int32 = 0
        var value: Int32 = 0
        _ = mlr_wait_pidfd(process.pidfd.rawValue, 0, &code, &value)
        failures = EventLoop.now - startedAt < Self.shortestLife ? failures + 1 : 0
        for (id, replica) in replicas where replica.route == .draining { onDrained(id) }
        if listeners.isEmpty { return }
        let delay = failures == 0 ? 0 : min(Self.longestDelay, 50_000_000 << UInt64(min(failures, 7)))
        onNotice("the gateway ended and is started again")
        loop.after(delay) { [weak self] in self?.restart() }
    }

    private func restart() {
        do throws(SystemError) { try ensureRunning() } catch {
            onNotice("\(error): requests wait until the gateway can be started")
            failures += 1
            loop.after(Self.longestDelay) { [weak self] in self?.restart() }
        }
    }

    /// Ends the gateway; for a shutdown of everything.
    func end() {
        listeners = [:]
        replicas = [:]
        if let process { _ = mlr_pidfd_send_signal(process.pidfd.rawValue, SIGTERM) }
        unlink(identityFile)
        unlink(directories.gatewaySocket)
    }

    // MARK: What it knows

    /// Binds the ports of a service, or takes over the sockets that the running gateway already has; all or none.
    func publish(_ service: String, _ ports: [PublishedPort]) throws(ControlError) -> [PortListener] {
        var result: [PortListener] = []
        for port in ports {
            let id = PortListener.id(service, port)
            if let known = listeners[id] {
                result.append(known)
            } else if let socket = adoptedListeners[id] {
                do throws(SystemError) {
                    result.append(try PortListener(service: service, port: port, socket: socket))
                } catch {
                    throw ControlError(error)
                }
            } else {
                if let other = listeners.values.first(where: { $0.port.collides(with: port) }) {
                    throw ControlError(
                        "port \(port.hostPort) is published by the service \(other.service)",
                        remedy: "mlrun stop \(other.service), or publish on another port")
                }
                result.append(try PortListener.bind(service: service, port: port))
            }
        }
        // A service without ports needs nobody to pass requests on.
        if result.isEmpty { return [] }
        do throws(SystemError) { try ensureRunning() } catch {
            throw ControlError(error, remedy: "mlrun-gateway must be beside mlrund and executable")
        }
        for listener in result where listeners[listener.id] == nil {
            listeners[listener.id] = listener
            if adoptedListeners[listener.id] == nil { tell(listener) }
        }
        return result
    }

    /// Closes the ports of a service, here and in the gateway: connections are refused once `done` is called.
    func unpublish(_ service: String, done: @escaping () -> Void = {}) {
        let closing = listeners.values.filter { $0.service == service }
        for listener in closing { listeners[listener.id] = nil }
        guard let link, !closing.isEmpty else { return done() }
        var left = closing.count
        for listener in closing {
            link.request(JSONObject([("op", "unlisten"), ("id", .string(listener.id))])) { _ in
                // A gateway that refuses does not have it, and one that died has closed it.
                left -= 1
                if left == 0 { done() }
            }
        }
    }

    func route(_ id: ReplicaID, _ service: String, _ route: ReplicaRoute, agent: SharedDescriptor?) {
        let names: [(name: String, value: JSON)] = [("service", .string(service)), ("replica", .string(id.rawValue))]
        if route == .absent {
            if replicas.removeValue(forKey: id) != nil { send([("op", "replica-remove")] + names) }
            return
        }
        if replicas[id] == nil {
            let replica = Replica(service: service, route: route, agent: agent)
            replicas[id] = replica
            if adoptedAgents[id.rawValue] == nil {
                tell(id, replica)
                return
            }
        }
        replicas[id]?.route = route
        if link == nil, route == .draining {
            // Nobody passes requests on, so none is in flight.
            loop.soon { [weak self] in self?.onDrained(id) }
            return
        }
        send([("op", "replica-set")] + names + [("state", .string(route.rawValue))])
    }

    func statistics(done: @escaping (Result<[JSON], ControlError>) -> Void) {
        guard let link else { return done(.success([])) }
        link.request(JSONObject([("op", "stats")])) { result in done(result.map { $0.map(\.json) }) }
    }

    private func tellEverything() {
        for listener in listeners.values { tell(listener) }
        for (id, replica) in replicas { tell(id, replica) }
    }

    private func tell(_ listener: PortListener) {
        send(
            [
                ("op", "listen"), ("id", .string(listener.id)), ("service", .string(listener.service)),
                ("protocol", .string(listener.port.transport.rawValue)),
                ("containerPort", .integer(Int64(listener.port.containerPort))),
            ], listener.socket)
    }

    private func tell(_ id: ReplicaID, _ replica: Replica) {
        let state: ReplicaRoute = replica.route == .draining ? .unready : replica.route
        let names: [(name: String, value: JSON)] = [
            ("service", .string(replica.service)), ("replica", .string(id.rawValue)),
        ]
        send([("op", "replica-add")] + names + [("state", .string(state.rawValue))], replica.agent)
        if replica.route == .draining { send([("op", "replica-set")] + names + [("state", "draining")]) }
    }

    private func send(_ members: [(name: String, value: JSON)], _ descriptor: SharedDescriptor? = nil) {
        link?.request(JSONObject(members), descriptor: descriptor) { [weak self] result in
            if case .failure(let error) = result, self?.link != nil { self?.onNotice(error.message) }
        }
    }

    private func handle(_ message: JSON) {
        guard let replica = message["replica"]?.string.map({ ReplicaID($0) }) else { return }
        switch message["event"]?.string {
        case "drained": onDrained(replica)
        case "upstream-failed": onUpstreamFailed(replica, message["message"]?.string ?? "it could not be connected to")
        case "upstream-silent": onUpstreamSilent(replica, .seconds(message["seconds"]?.int ?? 0))
        default: break
        }
    }

    /// How long ago the gateway had anything from a replica for a client; nil where it never had, or is not there.
    func quietTime(of id: ReplicaID, done: @escaping (Duration?) -> Void) {
        statistics { result in
            let services = (try? result.get()) ?? []
            let replicas = services.flatMap { $0["replicas"]?.array ?? [] }
            let replica = replicas.first { $0["replica"]?.string == id.rawValue }
            switch replica?["quietSeconds"] {
            case .number(let seconds): done(.seconds(seconds))
            case .integer(let seconds): done(.seconds(seconds))
            default: done(nil)
            }
        }
    }
}
