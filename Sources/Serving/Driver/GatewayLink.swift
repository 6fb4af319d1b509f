internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import OCISpec

/// A connection to mlrun-gateway: one JSON object a message, descriptors beside it (SOCK_SEQPACKET, SCM_RIGHTS).
final class GatewayLink {
    /// The most that one message may be; the gateway sends `stats` a service each.
    private static let longestMessage = 1 << 20

    private struct Outgoing {
        let bytes: [UInt8]
        let descriptor: SharedDescriptor?
    }

    private let socket: SharedDescriptor
    private let loop: EventLoop
    private var watch: EventLoop.Watch?
    private var queue: [Outgoing] = []
    private var lastSequence: Int64 = 0
    private var pending: [Int64: Pending] = [:]
    private var buffer = [UInt8](repeating: 0, count: 65536)
    /// A message that belongs to no request: `{"event":…}`.
    var onEvent: (JSON) -> Void = { _ in }
    /// The gateway is gone; nothing comes after this.
    var onClosed: () -> Void = {}

    /// One message of a `list` answer.
    struct Item {
        let json: JSON
        let descriptor: SharedDescriptor?
    }

    private struct Pending {
        var items: [Item] = []
        let done: (Result<[Item], ControlError>) -> Void
    }

    init(_ path: String, _ loop: EventLoop) throws(SystemError) {
        self.loop = loop
        let type = Int32(SOCK_SEQPACKET.rawValue) | Int32(MLR_SOCK_NONBLOCK)
        socket = SharedDescriptor(taking: try check(mlr_socket(AF_UNIX, type, 0), "create a socket"))
        try check(mlr_connect_unix(socket.rawValue, path), "connect to", path: path)
        watch = try loop.watch(socket.rawValue, for: .read) { [weak self] ready in self?.handle(ready) }
    }

    func close() {
        guard let watch else { return }
        loop.cancel(watch)
        self.watch = nil
        let unanswered = pending.values
        pending = [:]
        for request in unanswered {
            request.done(.failure(ControlError("the gateway ended before it answered", remedy: "ask again")))
        }
    }

    /// Sends a request; `done` gets the items that came before the confirmation.
    func request(
        _ members: JSONObject, descriptor: SharedDescriptor? = nil,
        done: @escaping (Result<[Item], ControlError>) -> Void = { _ in }
    ) {
        lastSequence += 1
        var members = members
        members["seq"] = .integer(lastSequence)
        pending[lastSequence] = Pending(done: done)
        queue.append(Outgoing(bytes: JSON.object(members).bytes(), descriptor: descriptor))
        flush()
    }

    private func flush() {
        var isFull = false
        while let message = queue.first, !isFull {
            let descriptors = message.descriptor.map { [$0.rawValue] } ?? []
            let flags = Int32(MLR_MSG_DONTWAIT)
            let sent = retrying {
                mlr_send_descriptors(
                    socket.rawValue, message.bytes, message.bytes.count, descriptors, descriptors.count, flags)
            }
            if sent == -Int64(EAGAIN) {
                isFull = true
            } else if sent < 0 {
                fail()
                return
            } else {
                queue.removeFirst()
            }
        }
        guard let watch else { return }
        do throws(SystemError) { try loop.change(watch, to: isFull ? [.read, .write] : .read) } catch { fail() }
    }

    private func handle(_ ready: Readiness) {
        if ready.contains(.write) { flush() }
        // Several messages a round, but not all that may come: others have a right to the loop too.
        for _ in 0..<32 where watch != nil {
            var descriptors: [Int32] = [-1, -1, -1, -1]
            var count = descriptors.count
            let got = retrying {
                mlr_receive_descriptors(
                    socket.rawValue, &buffer, buffer.count, &descriptors, &count, Int32(MLR_MSG_DONTWAIT))
            }
            if got == -Int64(EAGAIN) { return }
            if got == -Int64(EMSGSIZE), buffer.count < Self.longestMessage {
                // The message is lost, and with it the answer to a request: larger next time.
                buffer = [UInt8](repeating: 0, count: buffer.count * 4)
                continue
            }
            if got <= 0 {
                fail()
                return
            }
            let received = descriptors[..<count].map { SharedDescriptor(taking: $0) }
            guard let message = try? JSON(parsing: Array(buffer[..<Int(got)])) else { continue }
            receive(message, received.first)
        }
    }

    private func receive(_ message: JSON, _ descriptor: SharedDescriptor?) {
        guard let sequence = message["re"]?.int.map(Int64.init) else {
            if message["event"] != nil { onEvent(message) }
            return
        }
        if message["item"] != nil {
            pending[sequence]?.items.append(Item(json: message, descriptor: descriptor))
        } else if let error = message["error"] {
            let text = error.string ?? error["message"]?.string ?? error.text()
            pending.removeValue(forKey: sequence)?.done(.failure(ControlError("the gateway refused: \(text)")))
        } else if let request = pending.removeValue(forKey: sequence) {
            request.done(.success(request.items + [Item(json: message, descriptor: descriptor)]))
        }
    }

    private func fail() {
        guard watch != nil else { return }
        close()
        onClosed()
    }
}
