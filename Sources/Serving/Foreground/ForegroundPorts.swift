internal import CLinux
internal import Container
internal import Glibc
internal import LinuxSystem
internal import OCISpec

/// The published ports of a container in the foreground: sockets of this program, and a gateway of its own, which ends
/// with this program whatever becomes of it.
final class ForegroundPorts: Sendable {
    private static let service = "run"

    private let control: SharedDescriptor
    private let gateway: SharedDescriptor
    private let agent: SocketAgent?

    private init(_ control: SharedDescriptor, _ gateway: SharedDescriptor, _ agent: SocketAgent?) {
        self.control = control
        self.gateway = gateway
        self.agent = agent
    }

    /// Takes the ports, so that one that cannot be had is known before anything else is done.
    static func bind(_ ports: [PublishedPort]) throws(ControlError) -> [PortListener] {
        var result: [PortListener] = []
        for port in ports { result.append(try PortListener.bind(service: service, port: port)) }
        return result
    }

    /// Starts the gateway, and has it pass requests on to the container.
    static func open(
        _ listeners: [PortListener], _ process: ContainerProcess, _ settings: ServiceSettings, _ files: ReplicaFiles
    ) throws(ControlError) -> ForegroundPorts {
        do throws(SystemError) {
            let namespace = try ReplicaLauncher.networkNamespace(process, settings)
            let agent =
                namespace == nil ? nil : try ReplicaLauncher.startAgent(process, namespace, settings, files)
            do throws(SystemError) {
                let pair = try DescriptorPair.sockets(type: Int32(SOCK_SEQPACKET.rawValue))
                let own = SharedDescriptor(try pair.first.duplicate())
                let program = "\(File.parent(of: try SealedProgram.path()))/mlrun-gateway"
                let null = try File.open("/dev/null", O_RDWR)
                let errors = try SharedDescriptor.copy(of: STDERR_FILENO)
                let started = try ChildProgram.start(
                    program, ["--control-fd", "3", "--user", "65534:65534"], environment: [],
                    descriptors: [null.rawValue, null.rawValue, errors.rawValue, pair.second.rawValue])
                let ports = ForegroundPorts(own, started.pidfd, agent)
                do throws(SystemError) { try ports.tell(listeners) } catch {
                    ports.end()
                    throw error
                }
                return ports
            } catch {
                agent?.end()
                throw error
            }
        } catch {
            throw ControlError(error, remedy: "mlrun-gateway must be beside mlrun and executable")
        }
    }

    private func tell(_ listeners: [PortListener]) throws(SystemError) {
        for (index, listener) in listeners.enumerated() {
            try ask(
                [
                    "op": "listen", "seq": .integer(Int64(index)), "id": .string(listener.id),
                    "service": .string(Self.service), "protocol": .string(listener.port.transport.rawValue),
                    "containerPort": .integer(Int64(listener.port.containerPort)),
                ], listener.socket)
        }
        try ask(
            [
                "op": "replica-add", "seq": .integer(Int64(listeners.count)), "service": .string(Self.service),
                "replica": .string(Self.service), "state": "ready",
            ], agent?.client)
        // What the gateway tells later is of no use here, but must not fill its memory.
        let control = control
        WorkerThread.start {
            var byte: UInt8 = 0
            func receive() -> Int {
                let got = recv(control.rawValue, &byte, 1, 0)
                return got < 0 ? -Int(errno) : got
            }
            while retrying(receive) > 0 {}
        }
    }

    private func ask(_ request: JSON, _ descriptor: SharedDescriptor?) throws(SystemError) {
        let bytes = request.bytes()
        let descriptors = descriptor.map { [$0.rawValue] } ?? []
        let sent = retrying {
            mlr_send_descriptors(control.rawValue, bytes, bytes.count, descriptors, descriptors.count, 0)
        }
        try check(sent, "tell the gateway of a port")
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let got = retrying { () -> Int in
                let got = recv(control.rawValue, &buffer, buffer.count, 0)
                return got < 0 ? -Int(errno) : got
            }
            if got == 0 { throw SystemError("start the gateway: it ended at once", .brokenPipe) }
            if got < 0 { throw SystemError("hear from the gateway", Errno(rawValue: Int32(-got))) }
            guard let answer = try? JSON(parsing: Array(buffer[..<got])), answer["event"] == nil else { continue }
            if let reason = answer["error"]?.string {
                throw SystemError("publish a port: the gateway refused: \(reason)", .invalidArgument)
            }
            return
        }
    }

    /// Closes the ports.
    func end() {
        agent?.end()
        _ = mlr_pidfd_send_signal(gateway.rawValue, SIGKILL)
        var code: Int32 = 0
        var value: Int32 = 0
        _ = mlr_wait_pidfd(gateway.rawValue, 0, &code, &value)
    }
}
