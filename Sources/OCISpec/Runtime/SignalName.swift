/// A signal by number or name (signal(7)), as images, callers and people write it: `TERM`, `SIGTERM`, `sigterm`, `15`,
/// `SIGRTMIN+3`, `RTMAX-1`. Numbers are x86-64's and arm64's, which agree.
public struct SignalName: Sendable, Hashable, CustomStringConvertible {
    /// As signal(7) counts them on this machine.
    public let number: Int32

    /// A number from 1 to 64.
    public init?(number: Int32) {
        guard (1...64).contains(number) else { return nil }
        self.number = number
    }

    public init?(_ text: String) {
        if let number = Int32(text) {
            guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
            self.init(number: number)
            return
        }
        var name = text.uppercased()
        if name.hasPrefix("SIG") { name.removeFirst(3) }
        if let index = Self.names.firstIndex(of: name) {
            self.init(number: Int32(index + 1))
        } else if let number = Self.synonyms[name] ?? Self.realtime(name) {
            self.init(number: number)
        } else {
            return nil
        }
    }

    /// `SIGTERM`; for real-time signals `SIGRTMIN+3`.
    public var description: String {
        let index = Int(number) - 1
        if index < Self.names.count { return "SIG\(Self.names[index])" }
        if number < Self.firstRealtime { return "signal \(number)" }
        return number == Self.firstRealtime ? "SIGRTMIN" : "SIGRTMIN+\(number - Self.firstRealtime)"
    }

    /// SIGHUP.
    public static let hangup = SignalName(trusted: 1)
    /// SIGINT.
    public static let interrupt = SignalName(trusted: 2)
    /// SIGKILL.
    public static let kill = SignalName(trusted: 9)
    /// SIGTERM.
    public static let terminate = SignalName(trusted: 15)

    private init(trusted number: Int32) { self.number = number }

    // glibc keeps 32 and 33 for itself, so its first real-time signal is 34.
    private static let firstRealtime: Int32 = 34
    private static let lastRealtime: Int32 = 64
    private static let synonyms: [String: Int32] = ["IOT": 6, "CLD": 17, "POLL": 29]
    private static let names = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
        "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
        "WINCH", "IO", "PWR", "SYS",
    ]

    private static func realtime(_ name: String) -> Int32? {
        func offset(after prefix: String, _ sign: Character) -> Int32? {
            let rest = name.dropFirst(prefix.count)
            if rest.isEmpty { return 0 }
            guard rest.first == sign, let number = Int32(rest.dropFirst()), number >= 0, number <= 30 else {
                return nil
            }
            return number
        }
        if name.hasPrefix("RTMIN"), let offset = offset(after: "RTMIN", "+") { return firstRealtime + offset }
        if name.hasPrefix("RTMAX"), let offset = offset(after: "RTMAX", "-") { return lastRealtime - offset }
        return nil
    }
}
