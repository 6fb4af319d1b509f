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

    static let usage = """
        usage: mlrun-gateway --control-fd N [--user UID:GID] [--threads N] [--drain-timeout SECONDS]

        Passes HTTP and TCP on to the replicas of services. Started by mlrund, which controls it over the listening
        SOCK_SEQPACKET socket N.

          --control-fd N            the bound and listening control socket
          --user UID:GID            become this user, by number, before anything is served
          --threads N               event loops (1)
          --drain-timeout SECONDS   how long SIGTERM waits for what is in flight (120)
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
            guard ["--control-fd", "--user", "--threads", "--drain-timeout"].contains(name) else {
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
        return .serve(options)
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
