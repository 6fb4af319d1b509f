import Container
import LinuxSystem

extension OCIVerbs {
    /// Options of both verbs that are CRIU's own switches: the option's name, and CRIU's where it is another.
    private static let switches: [(rule: OptionRule, criu: String?)] = [
        (OptionRule("tcp-established", "allow connections that are open"), nil),
        (OptionRule("ext-unix-sk", "allow unix sockets whose other end is outside"), nil),
        (OptionRule("shell-job", "allow a terminal that is the caller's"), nil),
        (OptionRule("file-locks", "allow locks on files"), nil),
        (OptionRule("lazy-pages", "bring memory over when it is needed"), nil),
        (OptionRule("auto-dedup", "give back what newer images hold too"), nil),
    ]
    private static let dumpSwitches: [(rule: OptionRule, criu: String?)] = [
        (OptionRule("tcp-skip-in-flight", "leave connections out that are not accepted yet"), "skip-in-flight"),
        (OptionRule("link-remap", "allow files that have no name any more"), nil),
    ]
    private static let restoreSwitches: [(rule: OptionRule, criu: String?)] = [
        (OptionRule("tcp-close", "close connections that were open"), nil)
    ]

    private static let both = [
        OptionRule("image-path", value: "DIR", "the image; ./checkpoint by default"),
        OptionRule("work-path", value: "DIR", "CRIU's log and temporary files; the image's directory by default"),
        OptionRule("manage-cgroups-mode", value: "MODE", "ignore, soft, full or strict"),
        OptionRule("empty-ns", value: "NAMESPACE", "leave the content of a namespace out: network"),
    ]

    static let checkpointing =
        both + (switches + dumpSwitches).map(\.rule) + [
            OptionRule("parent-path", value: "DIR", "an earlier image, relative to --image-path, to differ from"),
            OptionRule("leave-running", "the container goes on"),
            OptionRule("pre-dump", "write memory only; the container goes on"),
            OptionRule("page-server", value: "ADDRESS:PORT", "send memory there"),
            OptionRule("status-fd", value: "N", "a descriptor that is told when lazy pages can be fetched"),
        ]

    /// The devices of a checkpoint are in it, however the container got them.
    static let restoring =
        creation.filter { $0.name != "device" } + both + (switches + restoreSwitches).map(\.rule) + [
            OptionRule("detach", short: "d", "do not wait for its end"),
            OptionRule("no-subreaper", "accepted: processes of a container never become this program's children"),
            OptionRule("lsm-profile", value: "MODULE:PROFILE", "another profile of the security module"),
            OptionRule("lsm-mount-context", value: "LABEL", "another SELinux label of mounts"),
        ]

    private static func chosen(
        _ invocation: Invocation, _ table: [(rule: OptionRule, criu: String?)]
    ) -> [String] {
        table.filter { invocation.has($0.rule.name) }.map { $0.criu ?? $0.rule.name }
    }

    private static func images(_ invocation: Invocation) -> String {
        absolute(invocation.value("image-path") ?? "checkpoint")
    }

    @Sendable static func checkpoint(_ invocation: Invocation) throws -> Int32 {
        var options = CheckpointOptions(images: images(invocation))
        if let program = invocation.globals["criu"] { options.program = program }
        options.work = invocation.value("work-path").map(absolute)
        options.parent = invocation.value("parent-path")
        options.leavesRunning = invocation.has("leave-running")
        options.isAhead = invocation.has("pre-dump")
        options.pageServer = invocation.value("page-server")
        if let text = invocation.value("status-fd") {
            guard let number = Int32(text), number > 2 else {
                throw UsageError("--status-fd is \"\(text)\", not the number of a descriptor above 2")
            }
            options.statusDescriptor = number
        }
        options.cgroupMode = invocation.value("manage-cgroups-mode")
        options.emptyNamespaces = invocation.values("empty-ns")
        options.switches = chosen(invocation, switches + dumpSwitches)
        try containers(invocation).checkpoint(invocation.arguments[0], options)
        return 0
    }

    @Sendable static func restore(_ invocation: Invocation) throws -> Int32 {
        let id = invocation.arguments[0]
        let containers = containers(invocation)
        let options = try createOptions(invocation)
        if !options.pivots {
            throw UsageError("--no-pivot: criu enters the root of what it restores, and by pivot_root(2) only")
        }
        if options.consoleSocket != nil {
            throw UsageError("--console-socket: the terminal of a checkpoint cannot be handed out again")
        }
        var restore = RestoreOptions(images: images(invocation))
        if let program = invocation.globals["criu"] { restore.program = program }
        restore.work = invocation.value("work-path").map(absolute)
        restore.cgroupMode = invocation.value("manage-cgroups-mode")
        restore.emptyNamespaces = invocation.values("empty-ns")
        restore.securityProfile = invocation.value("lsm-profile")
        restore.mountContext = invocation.value("lsm-mount-context")
        restore.switches = chosen(invocation, switches + restoreSwitches)
        // CRIU runs it by a shell; ids have no character that means something to one, directories may.
        let words = [try SealedProgram.path(), "--root", containers.root, "criu-action", id]
        restore.actionScript = words.map(quoted).joined(separator: " ")
        let foreground = invocation.has("detach") ? nil : try Foreground()
        let (process, warnings) = try containers.restore(id, options, restore)
        warn(warnings)
        guard let foreground else { return 0 }
        let status = try foreground.follow(process, takesConsole: false)
        try containers.delete(id, force: true)
        return status.code
    }

    private static func quoted(_ word: String) -> String {
        "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }

    /// What CRIU calls while it restores (its `--action-script`).
    @Sendable static func criuAction(_ invocation: Invocation) throws -> Int32 {
        guard let action = variable("CRTOOLS_SCRIPT_ACTION") else {
            throw UsageError("criu-action is called by criu, not by hand")
        }
        let process = variable("CRTOOLS_INIT_PID").flatMap { Int32($0) } ?? 0
        try containers(invocation).restoreAction(invocation.arguments[0], action, process: process)
        return 0
    }
}
