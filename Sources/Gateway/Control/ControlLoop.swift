internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import NIOCore
internal import NIOPosix
internal import OCISpec

/// The control thread: waits for messages of mlrund, answers of socket agents, events of the event loops and signals.
/// It sleeps whenever there is none.
final class ControlLoop {
    private enum Source {
        case listener, inbox, signals
        case peer(ControlPeer)
        case agent(SocketAgent, NIOLoopBound<Replica>, any EventLoop)
    }

    private let epoll: OwnedDescriptor
    private let control: Gateway.ControlSocket
    private let signals: SharedDescriptor?
    private let inbox: EventInbox
    private let owner: UInt32
    private let drainTimeout: UInt64
    private let directory: ServiceDirectory
    private var sources: [UInt64: Source] = [:]
    private var nextToken: UInt64 = 0
    private var agentTokens: [ReplicaKey: UInt64] = [:]
    /// Set once the gateway is to stop: when to stop waiting, and for which listeners.
    private var stopping: (deadline: UInt64, waitingFor: Set<UInt64>)?
    private var listenerToken: UInt64 = 0
    /// When to accept peers again, after there was no descriptor for one.
    private var acceptsAgainAt: UInt64?
    /// When to see whether the gateway is at rest and can be small.
    private var reposesAt: UInt64?
    /// The first request afterwards takes half a millisecond longer.
    private static let restBeforeRepose: UInt64 = 30_000_000_000
    private let admission: Admission

    init(
        control: Gateway.ControlSocket, signals: SharedDescriptor?, inbox: EventInbox, owner: UInt32,
        drainTimeout: UInt64, directory: ServiceDirectory, admission: Admission
    ) throws(SystemError) {
        self.admission = admission
        epoll = OwnedDescriptor(taking: try check(mlr_epoll_create(), "create the control thread's epoll"))
        self.control = control
        self.signals = signals
        self.inbox = inbox
        self.owner = owner
        self.drainTimeout = drainTimeout
        self.directory = directory
        switch control {
        case .listening(let listener):
            try check(mlr_set_nonblocking(listener.rawValue, true), "set up the control socket")
            listenerToken = try watch(.listener, listener.rawValue)
        case .connected(let socket):
            let peer = ControlPeer(try socket.duplicate())
            _ = try watch(.peer(peer), peer.descriptor)
        }
        _ = try watch(.inbox, inbox.descriptor)
        if let signals { _ = try watch(.signals, signals.rawValue) }
    }

    /// Returns when a stop was asked for and what was in flight is done, or its time is over.
    func run() throws(SystemError) {
        var events = [mlr_event](repeating: mlr_event(), count: 64)
        while true {
            let now = mlr_monotonic_nanoseconds()
            if let stopping, stopping.waitingFor.isEmpty || now >= stopping.deadline { return }
            if let time = acceptsAgainAt, now >= time { rest(until: nil) }
            if let time = reposesAt, now >= time { repose(now) }
            let next = [stopping?.deadline, acceptsAgainAt, reposesAt].compactMap { $0 }.min()
            let timeout = next.map { Int32(clamping: ($0 - now) / 1_000_000 + 1) } ?? -1
            let count = retrying { mlr_epoll_wait(epoll.rawValue, &events, Int32(events.count), timeout) }
            try check(count, "wait for control messages")
            for event in events.prefix(Int(count)) { handle(event) }
        }
    }

    private func handle(_ event: mlr_event) {
        switch sources[event.token] {
        case .listener: acceptPeers()
        case .inbox: for event in inbox.take() { handle(event) }
        case .signals: if let signals, mlr_signalfd_read(signals.rawValue) > 0 { stop() }
        case .peer(let peer): serve(peer, token: event.token, events: event.events)
        case .agent(let agent, let replica, let loop): read(agent, for: replica, on: loop, token: event.token)
        case nil: break
        }
    }

    /// Makes the process small once it has rested for a while, whose last work may have been a message.
    private func repose(_ now: UInt64) {
        reposesAt = nil
        guard let rest = admission.restsFor() else { return }
        if rest < Self.restBeforeRepose {
            reposesAt = now + Self.restBeforeRepose - rest
        } else {
            admission.looked()
            ProcessMemory.release()
        }
    }

    private func watch(_ source: Source, _ descriptor: Int32) throws(SystemError) -> UInt64 {
        let token = nextToken
        nextToken += 1
        try check(
            mlr_epoll_control(epoll.rawValue, Int32(MLR_EPOLL_ADD), descriptor, UInt32(MLR_EPOLLIN), token),
            "watch a descriptor")
        sources[token] = source
        return token
    }

    private func unwatch(_ token: UInt64, _ descriptor: Int32) {
        sources[token] = nil
        mlr_epoll_control(epoll.rawValue, Int32(MLR_EPOLL_DELETE), descriptor, 0, 0)
    }

    // MARK: Stopping

    /// The second time it waits no longer.
    private func stop() {
        if stopping != nil {
            stopping?.deadline = 0
        } else {
            stopping = (mlr_monotonic_nanoseconds() + drainTimeout, directory.closeListeners())
        }
    }

    private func handle(_ event: GatewayEvent) {
        switch event {
        case .stopRequested: stop()
        case .listenerEmptied(let token): stopping?.waitingFor.remove(token)
        case .connectionsEnded: reposesAt = reposesAt ?? mlr_monotonic_nanoseconds() + Self.restBeforeRepose
        case .drained, .upstreamFailed, .upstreamSilent:
            guard let message = event.json else { return }
            for (token, source) in sources {
                if case .peer(let peer) = source { send(message, to: peer, token: token) }
            }
        }
    }

    // MARK: Peers

    private func acceptPeers() {
        guard case .listening(let listener) = control else { return }
        while true {
            let accepted = retrying { mlr_accept(listener.rawValue, Int32(MLR_SOCK_NONBLOCK)) }
            if accepted < 0 {
                // Nobody waits any more, or the one who did has left. Where there is no descriptor for the next, it goes
                // on waiting, and the listener would be ready all the time.
                if Errno(rawValue: -accepted).isShortage { rest(until: mlr_monotonic_nanoseconds() + 500_000_000) }
                return
            }
            let socket = OwnedDescriptor(taking: accepted)
            var (pid, uid, gid): (Int32, UInt32, UInt32) = (0, 0, 0)
            guard mlr_peer_credentials(accepted, &pid, &uid, &gid) == 0, uid == 0 || uid == owner else { continue }
            let peer = ControlPeer(socket)
            // One that cannot be watched is closed at once, which tells it as much as anything could.
            _ = try? watch(.peer(peer), peer.descriptor)
        }
    }

    /// Takes the listener out of the epoll until then; nil puts it back.
    private func rest(until time: UInt64?) {
        acceptsAgainAt = time
        guard case .listening(let listener) = control else { return }
        let events = time == nil ? UInt32(MLR_EPOLLIN) : 0
        mlr_epoll_control(epoll.rawValue, Int32(MLR_EPOLL_MODIFY), listener.rawValue, events, listenerToken)
    }

    private func serve(_ peer: ControlPeer, token: UInt64, events: UInt32) {
        reposesAt = mlr_monotonic_nanoseconds() + Self.restBeforeRepose
        if events & UInt32(MLR_EPOLLOUT) != 0, !peer.sendUnsent() { return drop(peer, token) }
        // Others get their turn after this many; what is left wakes the next round.
        for _ in 0..<16 {
            switch peer.receive() {
            case .nothing: return updateInterest(peer, token)
            case .ended: return drop(peer, token)
            case .oversized:
                let message =
                    "the message is larger than \(ControlPeer.largestMessage) bytes or has too many descriptors"
                send(["re": nil, "error": .string(message)], to: peer, token: token)
            case .message(let bytes, let descriptors):
                answer(bytes, descriptors, from: peer, token: token)
            }
            guard case .peer = sources[token] else { return }
        }
        updateInterest(peer, token)
    }

    private func send(_ message: JSON, with descriptor: SharedDescriptor? = nil, to peer: ControlPeer, token: UInt64) {
        if peer.send(message, with: descriptor) { updateInterest(peer, token) } else { drop(peer, token) }
    }

    private func updateInterest(_ peer: ControlPeer, _ token: UInt64) {
        let events = UInt32(MLR_EPOLLIN) | (peer.hasUnsent ? UInt32(MLR_EPOLLOUT) : 0)
        mlr_epoll_control(epoll.rawValue, Int32(MLR_EPOLL_MODIFY), peer.descriptor, events, token)
    }

    private func drop(_ peer: ControlPeer, _ token: UInt64) {
        unwatch(token, peer.descriptor)
        // Nobody is left for whom to serve, nor any way for another to come.
        if case .connected = control { stopping = (0, []) }
    }

    private func answer(_ bytes: [UInt8], _ descriptors: [SharedDescriptor], from peer: ControlPeer, token: UInt64) {
        var sequence = JSON.null
        do {
            let message = try JSON(parsing: bytes)
            sequence = message["seq"] ?? .null
            let request = try ControlRequest(JSONCursor(message))
            guard request.descriptors.contains(descriptors.count) else {
                throw JSONError(
                    path: "descriptor",
                    message: "\(descriptors.count) came with the message, \(request.descriptors) are expected")
            }
            for (item, descriptor) in try perform(request.operation, descriptors) {
                var object = item.object ?? JSONObject()
                object["re"] = sequence
                send(.object(object), with: descriptor, to: peer, token: token)
            }
            send(["re": sequence, "ok": true], to: peer, token: token)
        } catch {
            let text = (error as? ServiceDirectory.Refusal)?.message ?? "\(error)"
            send(["re": sequence, "error": .string(text)], to: peer, token: token)
        }
    }

    // MARK: Operations

    /// Does it, or throws and has changed nothing. Returns the items that come before the reply.
    private func perform(
        _ operation: ControlRequest.Operation, _ descriptors: [SharedDescriptor]
    ) throws -> [(JSON, SharedDescriptor?)] {
        switch operation {
        case .listen(let id, let service, let mode, let port):
            if stopping != nil { throw ServiceDirectory.Refusal(message: "the gateway is stopping") }
            try directory.listen(id: id, service: service, mode: mode, containerPort: port, socket: descriptors[0])
        case .unlisten(let id): try directory.unlisten(id: id)
        case .addReplica(let key, let state):
            let record = try directory.add(key, state: state, agent: descriptors.first)
            if let agent = record.agent {
                do throws(SystemError) {
                    agentTokens[key] = try watch(
                        .agent(agent, record.replica, record.loop), agent.descriptor.rawValue)
                } catch {
                    _ = try directory.remove(key)
                    throw error
                }
            }
        case .setReplica(let key, let state): try directory.set(key, to: state)
        case .removeReplica(let key):
            let record = try directory.remove(key)
            if let agent = record.agent, let token = agentTokens.removeValue(forKey: key) {
                unwatch(token, agent.descriptor.rawValue)
            }
        case .setService(let name, let concurrency, let maxQueue, let maxWait):
            directory.set(name, concurrency: concurrency, maxQueue: maxQueue, maxWait: maxWait)
        case .list: return list()
        case .stats:
            return directory.statistics().map { statistics in
                var object = statistics.object ?? JSONObject()
                object["item"] = "service"
                return (.object(object), nil)
            }
        }
        return []
    }

    private func list() -> [(JSON, SharedDescriptor?)] {
        let listeners = directory.listeners.values.sorted { $0.id < $1.id }.map { record -> (JSON, SharedDescriptor?) in
            let item: JSON = [
                "item": "listener", "id": .string(record.id), "service": .string(record.service),
                "protocol": .string(record.mode.rawValue), "containerPort": .integer(Int64(record.containerPort)),
            ]
            return (item, record.socket)
        }
        let replicas = directory.replicas.values.sorted { $0.key.replica < $1.key.replica }
            .map { record -> (JSON, SharedDescriptor?) in
                let item: JSON = [
                    "item": "replica", "service": .string(record.key.service),
                    "replica": .string(record.key.replica), "state": .string(record.state.rawValue),
                    "inFlight": .integer(Int64(directory.inFlight(record))),
                ]
                return (item, record.agent?.descriptor)
            }
        return listeners + replicas
    }

    // MARK: Socket agents

    private func read(_ agent: SocketAgent, for replica: NIOLoopBound<Replica>, on loop: any EventLoop, token: UInt64) {
        while let answer = agent.answer() {
            loop.execute { replica.value.sockets.deliver(answer) }
            if case .ended = answer { return unwatch(token, agent.descriptor.rawValue) }
        }
    }
}
