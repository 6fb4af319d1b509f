/// Limits by the names that people gave them: options of the command line, not members of a config.json that nobody wrote.
enum LimitOptions {
    private static let options = [
        "memory.limit": "--memory", "memory.swap": "--memory-swap", "cpu.quota": "--cpus", "cpu.period": "--cpus",
        "cpu.cpus": "--cpuset-cpus", "cpu.mems": "--cpuset-mems", "pids.limit": "--pids-limit",
        "blockIO.weight": "--io-weight",
    ]

    /// A sentence about a limit that cannot be set, in those names.
    static func told(_ text: String) -> String {
        let words = text.split(separator: " ", omittingEmptySubsequences: false)
        let named = words.map { word in
            guard word.last == ":", let option = options[String(word.dropLast())] else { return String(word) }
            return "\(option):"
        }
        return named.joined(separator: " ")
    }
}
