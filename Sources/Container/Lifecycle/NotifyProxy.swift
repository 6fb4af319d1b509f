internal import CLinux
internal import Glibc
public import LinuxSystem
internal import OCISpec

/// Passes on what a container tells the service manager (sd_notify(3)): the container has a socket of its own below
/// `/run/notify`, and its READY goes to the socket of whoever starts it, with the number of its process as the host knows it.
public final class NotifyProxy: Sendable {
    private static let place = "/run/notify"
    private static let name = "notify.sock"

    private let host: String
    private let socket: SharedDescriptor

    init(directory: String, host: String) throws(SystemError) {
        let path = "\(directory)/\(Self.name)"
        try File.removeIfPresent(path)
        self.host = host
        socket = try Self.datagramSocket()
        try check(mlr_bind_unix(socket.rawValue, path), "bind", path: path)
        // The container's user may be anybody.
        if chmod(path, 0o777) < 0 { throw SystemError("set the mode of", path: path, Errno(rawValue: errno)) }
    }

    /// Gives a container-to-be the directory that the socket will be in, and its address.
    static func prepare(_ spec: inout RuntimeSpec, directory: String) throws(SystemError) {
        try File.makeDirectories(directory, mode: 0o755)
        spec.mounts.append(
            .init(
                destination: place, type: "bind", source: directory,
                options: ["bind", "nosuid", "noexec", "nodev", "ro"]))
        spec.process?.env.removeAll { $0.hasPrefix("NOTIFY_SOCKET=") }
        spec.process?.env.append("NOTIFY_SOCKET=\(place)/\(name)")
    }

    /// Readable (poll(2)) when ``pass(from:)`` has something to do; valid as long as this object.
    public var descriptor: Int32 { socket.rawValue }

    /// Takes one message of the container; true when it was READY, which has been passed on.
    public func pass(from process: ContainerProcess) throws(SystemError) -> Bool {
        var bytes = [UInt8](repeating: 0, count: 4096)
        let got = recv(socket.rawValue, &bytes, bytes.count, Int32(MLR_MSG_DONTWAIT))
        guard got > 0 else { return false }
        let lines = String(decoding: bytes[..<got], as: UTF8.self).split(separator: "\n")
        guard let ready = lines.first(where: { $0.hasPrefix("READY=") }) else { return false }
        try tell("\(ready)\nMAINPID=\(process.pid)")
        return true
    }

    /// Returns when the container was ready or has ended.
    public func relay(from process: ContainerProcess) throws(SystemError) {
        while true {
            var entries = [
                pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: process.pidfd, events: Int16(POLLIN), revents: 0),
            ]
            try check(retrying { poll(&entries, 2, -1) < 0 ? -errno : 0 }, "wait for process \(process.pid)")
            if entries[0].revents != 0 {
                if try pass(from: process) { return }
            } else if entries[1].revents != 0 {
                return
            }
        }
    }

    private func tell(_ text: String) throws(SystemError) {
        let manager = try Self.datagramSocket()
        try check(
            host.hasPrefix("@")
                ? mlr_connect_abstract_unix(manager.rawValue, String(host.dropFirst()))
                : mlr_connect_unix(manager.rawValue, host), "connect to", path: host)
        let message = Array(text.utf8)
        try check(mlr_send_descriptors(manager.rawValue, message, message.count, nil, 0, 0), "notify", path: host)
    }

    private static func datagramSocket() throws(SystemError) -> SharedDescriptor {
        SharedDescriptor(taking: try check(mlr_socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0), "create a socket"))
    }
}

extension ContainerDirectory {
    func notifyDirectory(_ id: String) -> String { "\(directory(id))/notify" }

    /// To be made before ``start(_:)``; nil for a container that was made without a socket for it.
    public func notifyProxy(_ id: String, to host: String) throws(ContainerError) -> NotifyProxy? {
        _ = try record(id)
        let directory = notifyDirectory(id)
        guard File.exists(directory) else { return nil }
        do throws(SystemError) { return try NotifyProxy(directory: directory, host: host) } catch {
            throw .system(error)
        }
    }
}
