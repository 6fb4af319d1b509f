internal import CLinux
internal import Glibc
internal import LinuxSystem

extension ContainerDirectory {
    /// What the caller of a creation or `exec` gets: the terminal, a pidfd, the number.
    ///
    /// - Parameter kind: what the message with the pidfd says, as runc names its two kinds of processes.
    static func handOut(
        _ process: ContainerProcess, consoleSocket: String?, pidfdSocket: String?, pidFile: String?, kind: String
    ) throws(SystemError) {
        // The kernel's name of the terminal, which is what runc sends, means nothing outside of its devpts.
        if let consoleSocket, let console = process.console {
            try send(console.rawValue, named: "/dev/ptmx", to: consoleSocket, what: "terminal")
        }
        if let pidfdSocket { try send(process.pidfd, named: kind, to: pidfdSocket, what: "pidfd") }
        if let pidFile {
            try File.replace(pidFile, with: Array("\(process.pid)".utf8), mode: 0o644, durable: false)
        }
    }

    /// One message with a descriptor and its name (the protocol of runc's console and pidfd sockets).
    private static func send(
        _ descriptor: Int32, named name: String, to path: String, what: String
    ) throws(SystemError) {
        let socket = OwnedDescriptor(
            taking: try check(mlr_socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0), "create a socket"))
        try check(mlr_connect_unix(socket.rawValue, path), "connect to the \(what) socket", path: path)
        var descriptor = descriptor
        let bytes = Array(name.utf8)
        try check(
            mlr_send_descriptors(socket.rawValue, bytes, bytes.count, &descriptor, 1, 0), "send the \(what) to",
            path: path)
    }
}
