internal import CLinux
internal import Glibc
internal import LinuxSystem

/// A port of the host that is bound and listens: connections queue there whether or not a gateway runs.
final class PortListener {
    /// `<service>/<container port>/<host port>`: names it to the gateway.
    let id: String
    let service: String
    /// With the port that the kernel chose where 0 was asked for.
    let port: PublishedPort
    let socket: SharedDescriptor

    private static let backlog: Int32 = 4096

    init(service: String, port: PublishedPort, socket: SharedDescriptor) throws(SystemError) {
        self.service = service
        self.socket = socket
        var bound = port
        bound.hostPort = UInt16(try check(mlr_local_port(socket.rawValue), "find the port of a socket"))
        self.port = bound
        id = Self.id(service, bound)
    }

    static func id(_ service: String, _ port: PublishedPort) -> String {
        "\(service)/\(port.containerPort)/\(port.hostIP ?? "*"):\(port.hostPort)"
    }

    /// Binds the port.
    /// - Throws: ``ControlError`` that names the port and, where it can be found, who has it.
    static func bind(service: String, port: PublishedPort) throws(ControlError) -> PortListener {
        do throws(SystemError) {
            let type = Int32(SOCK_STREAM.rawValue) | Int32(MLR_SOCK_NONBLOCK)
            let domain = port.isIPv6 ? AF_INET6 : AF_INET
            let socket = SharedDescriptor(taking: try check(mlr_socket(domain, type, 0), "create a socket"))
            try check(mlr_set_socket_option(socket.rawValue, SOL_SOCKET, SO_REUSEADDR, 1), "set SO_REUSEADDR")
            let place = "\(port.shownIP):\(port.hostPort)"
            let bound =
                port.isIPv6
                ? mlr_bind_ipv6(socket.rawValue, port.hostIP ?? "::", port.hostPort)
                : mlr_bind_ipv4(socket.rawValue, address(port.hostIP), port.hostPort)
            try check(bound, "listen on", path: place)
            try check(mlr_listen(socket.rawValue, backlog), "listen on", path: place)
            return try PortListener(service: service, port: port, socket: socket)
        } catch {
            switch error.errno {
            case .addressInUse:
                let owner = PortOwner.find(port.hostPort).map { " by \($0)" } ?? ""
                throw ControlError(
                    "port \(port.hostPort) is in use\(owner)",
                    remedy: "stop that program, or publish on another port, such as -p "
                        + "\(port.hostPort == 65535 ? 8080 : port.hostPort + 1):\(port.containerPort)")
            case Errno(rawValue: EADDRNOTAVAIL):
                throw ControlError(
                    "\(port.hostIP ?? "0.0.0.0") is no address of this host",
                    remedy: "leave the address out of -p, or use one that ip address shows")
            case Errno(rawValue: EAFNOSUPPORT):
                throw ControlError(
                    "this host has no IPv6, so \(port.shownIP) cannot be published on",
                    remedy: "leave the address out of -p, or use an IPv4 one")
            default: throw ControlError(error)
            }
        }
    }

    private static func address(_ text: String?) -> UInt32 {
        guard let text else { return 0 }
        return text.split(separator: ".").reduce(0) { $0 << 8 | (UInt32($1) ?? 0) }
    }
}

/// Who listens on a TCP port of this host: read from procfs, so only a best guess for a message.
enum PortOwner {
    static func find(_ port: UInt16) -> String? {
        guard let inode = listeningSocket(port) else { return nil }
        let link = "socket:[\(inode)]"
        guard let processes = try? File.list("/proc") else { return nil }
        for pid in processes where Int32(pid) != nil {
            guard let descriptors = try? File.list("/proc/\(pid)/fd") else { continue }
            for descriptor in descriptors where (try? File.readLink("/proc/\(pid)/fd/\(descriptor)")) == link {
                let name = (try? File.readText("/proc/\(pid)/comm").split(separator: "\n").first) ?? nil
                return "\(name ?? "a process") (process \(pid))"
            }
        }
        return nil
    }

    /// The inode of the listening socket, from the tables of proc_net(5): state 0A, port in hexadecimal.
    private static func listeningSocket(_ port: UInt16) -> Substring? {
        let digits = String(port, radix: 16, uppercase: true)
        let suffix = ":" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
        for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
            guard let text = try? File.readText(table) else { continue }
            for line in text.split(separator: "\n").dropFirst() {
                let fields = line.split(separator: " ")
                if fields.count > 9, fields[1].hasSuffix(suffix), fields[3] == "0A" { return fields[9] }
            }
        }
        return nil
    }
}
