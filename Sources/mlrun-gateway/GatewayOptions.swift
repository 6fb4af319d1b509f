internal import Gateway

/// What the command line asks for.
struct GatewayOptions: Equatable {
    struct User: Equatable {
        var uid: UInt32
        var gid: UInt32
    }

    enum Command: Equatable {
        case help
        case serve(GatewayOptions)
    }

    var controlDescriptor: Int32
    var user: User?
    var threads = 1
    var drainTimeout = 120.0
    /// nil for what the limit of open files lets it carry.
    var maxConnections: Int?
    /// nil for half of all.
    var maxConnectionsPerClient: Int?

    func connections(descriptors: UInt64) -> ConnectionLimits {
        var limits = ConnectionLimits(descriptors: descriptors)
        if let maxConnections {
            limits = ConnectionLimits(total: maxConnections, perClient: max(1, maxConnections / 2))
        }
        if let maxConnectionsPerClient { limits.perClient = maxConnectionsPerClient }
        return limits
    }

    static let usage = """
        usage: mlrun-gateway --control-fd N [OPTIONS]

        Passes HTTP and TCP on to the replicas of services. Started by mlrund, which controls it over the listening
        SOCK_SEQPACKET socket N, or by mlrun run -p, which holds the other end of N.

          --control-fd N            the control socket: bound and listening, or connected to the one it belongs to, with
                                    whom it ends
          --user UID:GID            become this user, by number, before anything is served
          --threads N               event loops (1)
          --drain-timeout SECONDS   how long SIGTERM waits for what is in flight (120)
          --max-connections N       of all clients at a time (half of the descriptors it may open, at most 16384); more
                                    get 503, or are closed in TCP mode
          --max-connections-per-client N
                                    of one address, or of one /64 of IPv6 (half of --max-connections)
        """
}

struct OptionError: Error, Equatable {
    let message: String
}

extension GatewayOptions {
    static func parse(_ arguments: [String]) throws(OptionError) -> Command {
        var values: [String: String] = [:]
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if argument == "--help" || argument == "-h" { return .help }
            let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(parts[0])
            guard names.contains(name) else {
                throw OptionError(message: "unknown option \(name): see mlrun-gateway --help")
            }
            guard let value = parts.count == 2 ? String(parts[1]) : rest.popFirst() else {
                throw OptionError(message: "\(name) needs a value: see mlrun-gateway --help")
            }
            guard values.updateValue(value, forKey: name) == nil else {
                throw OptionError(message: "\(name) is given twice: give it once")
            }
        }
        guard let control = values["--control-fd"] else {
            throw OptionError(message: "--control-fd is missing: mlrund starts this program, not a person")
        }
        guard let descriptor = Int32(control), descriptor >= 0 else {
            throw OptionError(message: "--control-fd \(control): must be the number of an open descriptor")
        }
        var options = GatewayOptions(controlDescriptor: descriptor)
        if let user = values["--user"] { options.user = try Self.user(user) }
        if let threads = values["--threads"] {
            guard let count = Int(threads), (1...64).contains(count) else {
                throw OptionError(message: "--threads \(threads): must be 1 to 64")
            }
            options.threads = count
        }
        if let timeout = values["--drain-timeout"] {
            guard let seconds = Double(timeout), (0...86_400).contains(seconds) else {
                throw OptionError(message: "--drain-timeout \(timeout): must be 0 to 86400 seconds")
            }
            options.drainTimeout = seconds
        }
        options.maxConnections = try values["--max-connections"].map { text throws(OptionError) in
            try count(text, "--max-connections")
        }
        options.maxConnectionsPerClient = try values["--max-connections-per-client"].map { text throws(OptionError) in
            try count(text, "--max-connections-per-client")
        }
        return .serve(options)
    }

    private static let names = [
        "--control-fd", "--user", "--threads", "--drain-timeout", "--max-connections", "--max-connections-per-client",
    ]

    private static func count(_ text: String, _ option: String) throws(OptionError) -> Int {
        guard let count = Int(text), (1...1_000_000).contains(count) else {
            throw OptionError(message: "\(option) \(text): must be 1 to 1000000")
        }
        return count
    }

    private static func user(_ text: String) throws(OptionError) -> User {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        // The largest number means "no change" to setresuid(2).
        guard parts.count == 2, let uid = UInt32(parts[0]), let gid = UInt32(parts[1]), uid < .max, gid < .max else {
            throw OptionError(message: "--user \(text): must be two numbers, UID:GID")
        }
        return User(uid: uid, gid: gid)
    }
}
