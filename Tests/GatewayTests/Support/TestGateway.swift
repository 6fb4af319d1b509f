import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Synchronization

@testable import Gateway

/// A gateway in this process with a control connection to it.
final class TestGateway {
    private let gateway: Gateway
    private let path: String
    private let ended = SharedFlag()
    private(set) var control: ControlClient

    init(
        drainTimeout: Double = 10, threads: Int = 1, patience: ClientPatience = .standard,
        connections: ConnectionLimits = ConnectionLimits(total: 4096, perClient: 4096)
    ) throws {
        path = "/tmp/mlrun-gateway-test.\(File.randomName()).sock"
        let socket = SharedDescriptor(
            taking: try check(mlr_socket(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue), 0), "create a socket"))
        try check(mlr_bind_unix(socket.rawValue, path), "bind")
        try check(mlr_listen(socket.rawValue, 8), "listen")
        var configuration = Gateway.Configuration(owner: getuid())
        configuration.drainTimeout = drainTimeout
        configuration.threads = threads
        configuration.patience = patience
        configuration.connections = connections
        gateway = try Gateway(control: .listening(socket), configuration: configuration)
        inBackground { [gateway, ended] in
            do { try gateway.run() } catch { fatalError("the gateway ended: \(error)") }
            ended.set()
        }
        control = try ControlClient(path)
    }

    deinit {
        gateway.stop()
        gateway.stop()
        _ = eventually { ended.isSet }
        unlink(path)
    }

    func stop() { gateway.stop() }
    var hasEnded: Bool { ended.isSet }

    /// A second connection, as a supervisor that was started again makes one.
    func reconnect() throws { control = try ControlClient(path) }
    func anotherControl() throws -> ControlClient { try ControlClient(path) }

    /// Publishes a service and returns the port that clients connect to.
    func listen(_ service: String = "svc", to port: UInt16, tcp: Bool = false) throws -> UInt16 {
        let (socket, published) = try GatewayTests.listen()
        try control.done(
            [
                "op": "listen", "id": .string("\(service)/\(port)"), "service": .string(service),
                "protocol": tcp ? "tcp" : "http", "containerPort": .integer(Int64(port)),
            ], socket)
        return published
    }

    func add(_ replica: String = "r1", state: String = "ready", agent: FakeAgent? = nil, to service: String = "svc")
        throws
    {
        try control.done(
            [
                "op": "replica-add", "service": .string(service), "replica": .string(replica),
                "state": .string(state),
            ], agent?.client)
    }

    func set(_ replica: String = "r1", _ state: String, of service: String = "svc") throws {
        try control.done(
            [
                "op": "replica-set", "service": .string(service), "replica": .string(replica),
                "state": .string(state),
            ])
    }

    func remove(_ replica: String = "r1", of service: String = "svc") throws {
        try control.done(["op": "replica-remove", "service": .string(service), "replica": .string(replica)])
    }

    func statistics(_ service: String = "svc") throws -> JSON {
        let items = try control.done(["op": "stats"])
        guard let item = items.first(where: { $0.json["service"]?.string == service }) else {
            throw TestFailure("there are no statistics of \(service)")
        }
        return item.json
    }

    func inFlight(_ service: String = "svc") throws -> Int { try statistics(service)["inFlight"]?.int ?? -1 }
    func idleConnections() throws -> Int {
        try statistics()["replicas"]?.array?.first?["idleConnections"]?.int ?? -1
    }
    func queued(_ service: String = "svc") throws -> Int { try statistics(service)["queued"]?.int ?? -1 }
}

final class SharedFlag: Sendable {
    private let value = Mutex(false)
    var isSet: Bool { value.withLock { $0 } }
    func set() { value.withLock { $0 = true } }
}

/// mlrund's side of the control protocol.
final class ControlClient {
    struct Message {
        let json: JSON
        let descriptors: [SharedDescriptor]
    }

    private let socket: SharedDescriptor
    private var sequence: Int64 = 0
    /// Events that came while an answer was waited for.
    private(set) var events: [JSON] = []

    init(_ socket: SharedDescriptor) { self.socket = socket }

    init(_ path: String) throws {
        socket = SharedDescriptor(
            taking: try check(mlr_socket(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue), 0), "create a socket"))
        try check(mlr_connect_unix(socket.rawValue, path), "connect")
    }

    func disconnect() { _ = shutdown(socket.rawValue, Int32(SHUT_RDWR)) }

    func send(_ text: String, _ descriptors: [SharedDescriptor] = []) throws {
        let numbers = descriptors.map(\.rawValue)
        let bytes = Array(text.utf8)
        try check(mlr_send_descriptors(socket.rawValue, bytes, bytes.count, numbers, numbers.count, 0), "send")
    }

    func receive(within seconds: Double = 10) throws -> Message {
        var request = pollfd(fd: socket.rawValue, events: Int16(POLLIN), revents: 0)
        guard poll(&request, 1, Int32(seconds * 1000)) > 0 else { throw TestFailure("the gateway does not answer") }
        var bytes = [UInt8](repeating: 0, count: 256 << 10)
        var numbers: [Int32] = [-1, -1]
        var count = 2
        let got = try check(
            mlr_receive_descriptors(socket.rawValue, &bytes, bytes.count, &numbers, &count, 0), "receive")
        guard got > 0 else { throw TestFailure("the gateway has closed the control connection") }
        return Message(
            json: try JSON(parsing: Array(bytes[..<Int(got)])),
            descriptors: numbers[..<count].map { SharedDescriptor(taking: $0) })
    }

    /// Sends a request and returns its items and the reply, last.
    func ask(_ request: JSON, _ descriptor: SharedDescriptor? = nil) throws -> [Message] {
        sequence += 1
        var object = request.object!
        object["seq"] = .integer(sequence)
        try send(JSON.object(object).text(), descriptor.map { [$0] } ?? [])
        var messages: [Message] = []
        while true {
            let message = try receive()
            if message.json["event"] != nil {
                events.append(message.json)
                continue
            }
            messages.append(message)
            if message.json["item"] == nil { return messages }
        }
    }

    /// Asks for something that must succeed; returns the items.
    @discardableResult
    func done(_ request: JSON, _ descriptor: SharedDescriptor? = nil) throws -> [Message] {
        var messages = try ask(request, descriptor)
        let reply = messages.removeLast().json
        guard reply["ok"]?.bool == true else { throw TestFailure("refused: \(reply.text())") }
        return messages
    }

    /// Asks for something that must be refused; returns why.
    func refusal(_ request: JSON, _ descriptor: SharedDescriptor? = nil) throws -> String {
        guard let text = try ask(request, descriptor).last?.json["error"]?.string else {
            throw TestFailure("it was not refused")
        }
        return text
    }

    func event(_ name: String) throws -> JSON {
        while true {
            if let index = events.firstIndex(where: { $0["event"]?.string == name }) { return events.remove(at: index) }
            let message = try receive()
            if message.json["event"] != nil { events.append(message.json) }
        }
    }
}
