internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import NIOCore
internal import NIOPosix
internal import OCISpec

/// What the gateway was told to do: its services, listeners and replicas with their descriptors. It belongs to the
/// control thread, and sends every change to the event loop that owns the service.
final class ServiceDirectory {
    struct Refusal: Error {
        let message: String
    }

    struct ListenerRecord {
        let id: String
        let service: String
        let mode: ControlRequest.Mode
        let containerPort: UInt16
        /// Kept to be handed to a supervisor that asks; the channel has its own duplicate.
        let socket: SharedDescriptor
        fileprivate let channel: any Channel
        fileprivate let listener: NIOLoopBound<Listener>
        let token: UInt64
    }

    struct ReplicaRecord {
        let key: ReplicaKey
        fileprivate(set) var state: ReplicaState
        let agent: SocketAgent?
        let replica: NIOLoopBound<Replica>
        let loop: any EventLoop
    }

    private struct ServiceRecord {
        let loop: any EventLoop
        let service: NIOLoopBound<Service>
    }

    private let group: MultiThreadedEventLoopGroup
    private let patience: ClientPatience
    private let admission: Admission
    private let events: EventInbox
    private var services: [String: ServiceRecord] = [:]
    private(set) var listeners: [String: ListenerRecord] = [:]
    private(set) var replicas: [ReplicaKey: ReplicaRecord] = [:]
    private var nextToken: UInt64 = 0

    init(
        group: MultiThreadedEventLoopGroup, patience: ClientPatience, admission: Admission, events: EventInbox
    ) {
        self.patience = patience
        self.admission = admission
        self.group = group
        self.events = events
    }

    // MARK: Listeners

    func listen(
        id: String, service name: String, mode: ControlRequest.Mode, containerPort: UInt16, socket: SharedDescriptor
    ) throws(Refusal) {
        guard listeners[id] == nil else { throw Refusal(message: "id: listener \(id) is there already") }
        try checkListening(socket)
        let record = service(name)
        let (events, patience, admission, token) = (events, patience, admission, nextToken)
        nextToken += 1
        let listener = onLoop(record.loop) {
            NIOLoopBound(
                Listener(
                    service: record.service.value, port: containerPort, token: token, patience: patience,
                    admission: admission, events: events),
                eventLoop: record.loop)
        }
        let channel = try accept(on: socket, mode: mode, to: listener, loop: record.loop)
        listeners[id] = ListenerRecord(
            id: id, service: name, mode: mode, containerPort: containerPort, socket: socket, channel: channel,
            listener: listener, token: token)
    }

    private func checkListening(_ socket: SharedDescriptor) throws(Refusal) {
        var (type, listens): (Int32, Int32) = (0, 0)
        guard mlr_get_socket_option(socket.rawValue, SOL_SOCKET, SO_TYPE, &type) == 0,
            mlr_get_socket_option(socket.rawValue, SOL_SOCKET, SO_ACCEPTCONN, &listens) == 0,
            type == Int32(SOCK_STREAM.rawValue), listens == 1
        else { throw Refusal(message: "descriptor: the socket of listen must be a listening stream socket") }
    }

    private func accept(
        on socket: SharedDescriptor, mode: ControlRequest.Mode, to listener: NIOLoopBound<Listener>,
        loop: any EventLoop
    ) throws(Refusal) -> any Channel {
        let copy: Int32
        do throws(SystemError) {
            copy = try socket.duplicate().release()
            try check(mlr_set_nonblocking(copy, true), "set up a listening socket")
        } catch { throw Refusal(message: "descriptor: \(error)") }
        let bootstrap = ServerBootstrap(group: loop, childGroup: loop)
            .serverChannelInitializer { channel in
                // Out of descriptors: rests for a moment instead of failing to accept over and over.
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptBackoffHandler())
                }
            }
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.allowRemoteHalfClosure, value: mode == .tcp)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.socketOption(.so_keepalive), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let operations = channel.pipeline.syncOperations
                    switch mode {
                    case .http: try operations.addHandler(HTTPClientConnection(channel, listener: listener.value))
                    case .tcp: try operations.addHandler(TCPClientConnection(channel, listener: listener.value))
                    }
                }
            }
        do { return try bootstrap.withBoundSocket(copy).wait() } catch {
            throw Refusal(message: "descriptor: cannot accept connections on it: \(error)")
        }
    }

    func unlisten(id: String) throws(Refusal) {
        guard let record = listeners[id] else { throw Refusal(message: "id: there is no listener \(id)") }
        close(record)
        listeners[id] = nil
        forgetIfUnused(record.service)
    }

    /// Accepts nothing more on any listener; returns the tokens of the events that tell when each has emptied.
    func closeListeners() -> Set<UInt64> {
        for record in listeners.values { close(record) }
        return Set(listeners.values.map(\.token))
    }

    private func close(_ record: ListenerRecord) {
        // That it is closed already is as good.
        _ = try? record.channel.close().wait()
        onLoop(record.channel.eventLoop) { record.listener.value.close() }
    }

    // MARK: Replicas

    func add(_ key: ReplicaKey, state: ReplicaState, agent socket: SharedDescriptor?) throws(Refusal) -> ReplicaRecord {
        guard replicas[key] == nil else {
            throw Refusal(message: "replica: \(key.replica) of service \(key.service) is there already")
        }
        var agent: SocketAgent?
        if let socket {
            var (domain, type): (Int32, Int32) = (0, 0)
            guard mlr_get_socket_option(socket.rawValue, SOL_SOCKET, SO_DOMAIN, &domain) == 0,
                mlr_get_socket_option(socket.rawValue, SOL_SOCKET, SO_TYPE, &type) == 0,
                domain == AF_UNIX, type == Int32(SOCK_SEQPACKET.rawValue)
            else { throw Refusal(message: "descriptor: a socket agent's must be a unix SOCK_SEQPACKET socket") }
            do throws(SystemError) { agent = try SocketAgent(socket) } catch {
                throw Refusal(message: "descriptor: \(error)")
            }
        }
        let service = service(key.service)
        let replica = onLoop(service.loop) { [agent] in
            let replica = Replica(name: key.replica, state: state, sockets: SocketStock(agent), loop: service.loop)
            service.service.value.add(replica)
            return NIOLoopBound(replica, eventLoop: service.loop)
        }
        let record = ReplicaRecord(key: key, state: state, agent: agent, replica: replica, loop: service.loop)
        replicas[key] = record
        return record
    }

    func set(_ key: ReplicaKey, to state: ReplicaState) throws(Refusal) {
        let record = try replica(key)
        replicas[key]?.state = state
        let service = service(key.service)
        onLoop(service.loop) { service.service.value.set(record.replica.value, to: state) }
    }

    func remove(_ key: ReplicaKey) throws(Refusal) -> ReplicaRecord {
        let record = try replica(key)
        replicas[key] = nil
        let service = service(key.service)
        onLoop(service.loop) { service.service.value.remove(record.replica.value) }
        forgetIfUnused(key.service)
        return record
    }

    private func replica(_ key: ReplicaKey) throws(Refusal) -> ReplicaRecord {
        guard let record = replicas[key] else {
            throw Refusal(message: "replica: there is no replica \(key.replica) of service \(key.service)")
        }
        return record
    }

    func inFlight(_ record: ReplicaRecord) -> Int { onLoop(record.loop) { record.replica.value.inFlight } }

    // MARK: Services

    func set(_ name: String, concurrency: Int?, maxQueue: Int?, maxWait: TimeAmount?) {
        let record = service(name)
        onLoop(record.loop) {
            let service = record.service.value
            var settings = service.settings
            settings.concurrency = concurrency ?? settings.concurrency
            settings.maxQueue = maxQueue ?? settings.maxQueue
            settings.maxWait = maxWait ?? settings.maxWait
            service.settings = settings
        }
    }

    /// What each service did, by name.
    func statistics() -> [JSON] {
        services.sorted { $0.key < $1.key }.map { _, record in onLoop(record.loop) { record.service.value.json } }
    }

    private func service(_ name: String) -> ServiceRecord {
        if let known = services[name] { return known }
        let (loop, events) = (group.next(), events)
        let service = onLoop(loop) {
            NIOLoopBound(Service(name: name, loop: loop, events: events), eventLoop: loop)
        }
        let record = ServiceRecord(loop: loop, service: service)
        services[name] = record
        return record
    }

    /// With its last listener and replica a service is over.
    private func forgetIfUnused(_ name: String) {
        guard let record = services[name], !listeners.values.contains(where: { $0.service == name }),
            !replicas.keys.contains(where: { $0.service == name })
        else { return }
        services[name] = nil
        onLoop(record.loop) { record.service.value.close() }
    }

    /// Runs on a service's loop and waits for it. The loop never waits for this thread.
    private func onLoop<Value: Sendable>(_ loop: any EventLoop, _ body: @escaping @Sendable () -> Value) -> Value {
        do { return try loop.submit(body).wait() } catch {
            // Loops end after the control thread has stopped giving them work.
            fatalError("an event loop of the gateway ended early: \(error)")
        }
    }
}
