internal import Container

/// Limits by the names that people gave them: options of the command line, not members of a config.json that nobody wrote.
enum LimitOptions {
    private static let options = [
        "memory.limit": "--memory", "memory.swap": "--memory-swap", "cpu.quota": "--cpus", "cpu.period": "--cpus",
        "cpu.cpus": "--cpuset-cpus", "cpu.mems": "--cpuset-mems", "pids.limit": "--pids-limit",
        "blockIO.weight": "--io-weight",
    ]

    /// The error with its cause in those names.
    static func told(_ error: CgroupError) -> ControlError {
        guard case .limit(let field, _) = error.kind, let option = options[field] else {
            return ControlError(error.cause, remedy: error.remedy)
        }
        let beginning = "cannot set \(field)"
        let cause =
            error.cause.hasPrefix(beginning)
            ? "cannot set \(option)\(error.cause.dropFirst(beginning.count))" : error.cause
        return ControlError(cause, remedy: error.remedy)
    }
}
