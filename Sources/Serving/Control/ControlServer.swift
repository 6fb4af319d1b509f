internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import OCISpec

/// The supervisor's socket: answers clients that run as root (SO_PEERCRED), and nobody else.
final class ControlServer {
    private let loop: EventLoop
    private let path: String
    private let listener: SharedDescriptor
    private var connections: [ObjectIdentifier: ControlConnection] = [:]
    private let onRequest: (JSON, ControlReply) -> Void
    private var watch: EventLoop.Watch?

    /// Binds the socket. The caller holds the supervisor's lock, so a socket that is there is a dead one's.
    init(
        _ path: String, _ loop: EventLoop, onRequest: @escaping (JSON, ControlReply) -> Void
    ) throws(SystemError) {
        self.loop = loop
        self.path = path
        self.onRequest = onRequest
        listener = try UnixListener.bind(path, type: Int32(SOCK_STREAM.rawValue))
        watch = try loop.watch(listener.rawValue, for: .read) { [weak self] _ in self?.accept() }
    }

    func close() {
        for connection in connections.values { connection.close() }
        unlink(path)
    }

    private func accept() {
        let accepted = mlr_accept(listener.rawValue, Int32(MLR_SOCK_NONBLOCK))
        if accepted < 0 {
            if Errno(rawValue: -accepted).isShortage { rest() }
            return
        }
        let socket = SharedDescriptor(taking: accepted)
        var pid: Int32 = 0
        var uid: UInt32 = 0
        var gid: UInt32 = 0
        let known = mlr_peer_credentials(socket.rawValue, &pid, &uid, &gid)
        guard known == 0, uid == geteuid() else {
            let refusal = ControlError(
                "user \(uid) may not control mlrund", remedy: "run mlrun as the user that mlrund runs as")
            let line = JSON.object(JSONObject([("error", refusal.json)])).bytes() + [UInt8(ascii: "\n")]
            _ = Glibc.send(socket.rawValue, line, line.count, Int32(MSG_NOSIGNAL))
            return
        }
        do throws(SystemError) {
            let connection = try ControlConnection(socket, loop, onRequest: onRequest)
            let key = ObjectIdentifier(connection)
            connections[key] = connection
            connection.onClose = { [weak self] in
                // The connection may be on the call stack: let it go in the next round.
                self?.loop.soon { self?.connections[key] = nil }
            }
        } catch {
            // Out of descriptors: the client sees the end of the stream and says so.
            return
        }
    }
}

extension ControlServer {
    /// Where there is no descriptor for the next client, it goes on waiting, and the listener would be ready all the time.
    private func rest() {
        guard let watch else { return }
        do throws(SystemError) { try loop.change(watch, to: []) } catch { return }
        loop.after(500_000_000) { [weak self] in
            guard let self, let watch = self.watch else { return }
            do throws(SystemError) { try loop.change(watch, to: .read) } catch { Diagnostics.note("\(error)") }
        }
    }
}

/// Listening unix sockets for this user only.
enum UnixListener {
    static func bind(_ path: String, type: Int32) throws(SystemError) -> SharedDescriptor {
        let nonBlocking = type | Int32(MLR_SOCK_NONBLOCK)
        let socket = SharedDescriptor(taking: try check(mlr_socket(AF_UNIX, nonBlocking, 0), "create a socket"))
        try File.removeIfPresent(path)
        // Nobody can connect before chmod(2): the socket does not listen yet.
        try check(mlr_bind_unix(socket.rawValue, path), "bind the socket", path: path)
        if chmod(path, 0o600) < 0 { throw SystemError("change the mode of", path: path, Errno(rawValue: errno)) }
        try check(mlr_listen(socket.rawValue, 128), "listen on", path: path)
        return socket
    }
}
