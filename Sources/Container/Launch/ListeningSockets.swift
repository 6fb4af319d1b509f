/// Sockets of a service manager, which are the first of a process's further descriptors, and how its program is told of
/// them (sd_listen_fds(3)).
public struct ListeningSockets: Sendable, Equatable {
    /// How many there are.
    public var count: Int
    /// Their names, separated by colons, if they have any.
    public var names: String?

    public init(count: Int, names: String? = nil) {
        self.count = count
        self.names = names
    }

    private static let variables = ["LISTEN_FDS=", "LISTEN_PID=", "LISTEN_FDNAMES="]

    /// The environment with what tells of these sockets, and `number` as the process they are for. Whatever else the
    /// environment told of sockets was meant for another process.
    func told(in environment: [String], number: String) -> [String] {
        var told = environment.filter { variable in !Self.variables.contains { variable.hasPrefix($0) } }
        told.append("LISTEN_FDS=\(count)")
        if let names { told.append("LISTEN_FDNAMES=\(names)") }
        told.append("LISTEN_PID=\(number)")
        return told
    }
}
