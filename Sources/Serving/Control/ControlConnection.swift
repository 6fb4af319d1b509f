internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import OCISpec

/// One client of the supervisor: requests are answered one after the other, in the order they came.
final class ControlConnection {
    /// A request line longer than this is refused.
    private static let longestRequest = 4 << 20
    /// A follower of events that does not read is cut off here, so that it cannot fill the supervisor's memory.
    private static let mostUnsent = 4 << 20

    private let socket: SharedDescriptor
    private let loop: EventLoop
    private let onRequest: (JSON, ControlReply) -> Void
    private var watch: EventLoop.Watch?
    private var input = LineBuffer()
    private var output: [UInt8] = []
    private var sent = 0
    private var current: ControlReply?
    private var hasEnded = false
    private(set) var isClosed = false
    var onClose: () -> Void = {}

    init(
        _ socket: SharedDescriptor, _ loop: EventLoop, onRequest: @escaping (JSON, ControlReply) -> Void
    ) throws(SystemError) {
        self.socket = socket
        self.loop = loop
        self.onRequest = onRequest
        watch = try loop.watch(socket.rawValue, for: .read) { [weak self] ready in self?.handle(ready) }
    }

    func close() {
        if isClosed { return }
        isClosed = true
        if let watch { loop.cancel(watch) }
        current?.abandon()
        current = nil
        onClose()
    }

    fileprivate func send(_ line: JSON) {
        if isClosed { return }
        output.append(contentsOf: line.bytes())
        output.append(UInt8(ascii: "\n"))
        flush()
        if output.count - sent > Self.mostUnsent { close() }
    }

    fileprivate func finished(_ reply: ControlReply) {
        guard current === reply else { return }
        current = nil
        // Not from inside the handler, which may still be at work.
        loop.soon { [weak self] in self?.takeRequests() }
    }

    private func handle(_ ready: Readiness) {
        if ready.contains(.write) { flush() }
        if isClosed || ready.isDisjoint(with: [.read, .hangUp, .error]) { return }
        var buffer = [UInt8](repeating: 0, count: 16384)
        let got = retrying { () -> Int in
            let got = recv(socket.rawValue, &buffer, buffer.count, Int32(MLR_MSG_DONTWAIT))
            return got < 0 ? -Int(errno) : got
        }
        if got == -Int(EAGAIN) { return }
        if got <= 0 {
            close()
            return
        }
        input.append(buffer[..<got])
        if input.count > Self.longestRequest {
            send(["error": ControlError("the request is longer than \(Self.longestRequest) bytes").json])
            close()
            return
        }
        takeRequests()
    }

    private func takeRequests() {
        while current == nil, !isClosed, let line = input.next() {
            if line.isEmpty { continue }
            let reply = ControlReply(self)
            current = reply
            do throws(JSONError) {
                onRequest(try JSON(parsing: line), reply)
            } catch {
                reply.fail(ControlError("the request is not understood: \(error)"))
            }
        }
    }

    private func flush() {
        while sent < output.count {
            let written = retrying { () -> Int in
                output.withUnsafeBytes { bytes in
                    let flags = Int32(MSG_NOSIGNAL) | Int32(MLR_MSG_DONTWAIT)
                    let written = Glibc.send(socket.rawValue, bytes.baseAddress! + sent, bytes.count - sent, flags)
                    return written < 0 ? -Int(errno) : written
                }
            }
            if written == -Int(EAGAIN) { break }
            if written < 0 {
                close()
                return
            }
            sent += written
        }
        let isDone = sent == output.count
        if isDone {
            output = []
            sent = 0
        }
        guard let watch else { return }
        do throws(SystemError) {
            try loop.change(watch, to: isDone ? .read : [.read, .write])
        } catch {
            close()
        }
    }
}

/// The answer to one request: any number of events, then one result.
final class ControlReply {
    private weak var connection: ControlConnection?
    private var isOver = false
    /// Told when the client leaves before the answer is complete.
    var onAbandoned: () -> Void = {}

    fileprivate init(_ connection: ControlConnection) { self.connection = connection }

    func event(_ event: JSON) {
        if !isOver { connection?.send(["event": event]) }
    }

    func succeed(_ result: JSON = .object(JSONObject())) { end(["ok": result]) }

    func fail(_ error: ControlError) { end(["error": error.json]) }

    var isWanted: Bool { !isOver }

    private func end(_ line: JSON) {
        if isOver { return }
        isOver = true
        connection?.send(line)
        connection?.finished(self)
    }

    fileprivate func abandon() {
        if isOver { return }
        isOver = true
        onAbandoned()
    }
}
