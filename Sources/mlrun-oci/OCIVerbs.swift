import CLinux
import Container
import Glibc
import LinuxSystem
import OCISpec
import Synchronization

/// The verbs, as a table.
enum OCIVerbs {
    private static let creation = [
        OptionRule("bundle", short: "b", value: "DIR", "the bundle; the working directory by default"),
        OptionRule("pid-file", value: "FILE", "write the pid of the container's process to a file"),
        OptionRule("console-socket", value: "SOCKET", "send the terminal to a unix socket"),
        OptionRule("no-new-keyring", "keep the caller's session keyring"),
        OptionRule("preserve-fds", value: "N", "pass on descriptors 3 to 3+N-1"),
    ]

    static let all = [
        VerbRule(
            name: "create", help: "make a container from a bundle, up to its program", options: creation,
            arguments: ["ID"], run: create),
        VerbRule(name: "start", help: "run the program of a created container", arguments: ["ID"], run: start),
        VerbRule(
            name: "run", help: "create and start a container",
            options: creation + [OptionRule("detach", short: "d", "do not wait for its end")], arguments: ["ID"],
            run: run),
        VerbRule(
            name: "exec", help: "run a further process in a container",
            options: [
                OptionRule("process", short: "p", value: "FILE", "the process as JSON"),
                OptionRule("console-socket", value: "SOCKET", "send the terminal to a unix socket"),
                OptionRule("tty", short: "t", "give it a terminal"),
                OptionRule("detach", short: "d", "do not wait for its end"),
                OptionRule("pid-file", value: "FILE", "write its pid to a file"),
                OptionRule("env", short: "e", value: "NAME=VALUE", "a variable more"),
                OptionRule("cwd", value: "DIR", "its working directory"),
                OptionRule("user", short: "u", value: "UID[:GID]", "its ids"),
                OptionRule("preserve-fds", value: "N", "pass on descriptors 3 to 3+N-1"),
            ], arguments: ["ID"], takesProgram: true, run: exec),
        VerbRule(name: "state", help: "print the state of a container", arguments: ["ID"], run: state),
        VerbRule(
            name: "kill", help: "send a signal to a container's process",
            options: [OptionRule("all", short: "a", "to all of its processes")], arguments: ["ID", "SIGNAL"],
            optionalArguments: 1, run: kill),
        VerbRule(
            name: "delete", help: "remove a stopped container",
            options: [OptionRule("force", short: "f", "kill it first if it runs")], arguments: ["ID"], run: delete),
        VerbRule(
            name: "list", help: "list the containers",
            options: [
                OptionRule("format", short: "f", value: "FORMAT", "table or json"),
                OptionRule("quiet", short: "q", "ids only"),
            ], arguments: [], run: list),
    ]

    static func containers(_ invocation: Invocation) -> ContainerDirectory {
        ContainerDirectory(root: invocation.globals["root"] ?? "/run/mlrun-oci")
    }

    static func absolute(_ path: String) -> String {
        if path.hasPrefix("/") { return path }
        guard let working = getcwd(nil, 0) else { return path }
        defer { free(working) }
        let base = String(cString: working)
        return path == "." ? base : "\(base)/\(path)"
    }

    static func preserved(_ invocation: Invocation) throws -> [SharedDescriptor] {
        guard let text = invocation.value("preserve-fds") else { return [] }
        guard let count = Int32(text), (0...1024).contains(count) else {
            throw UsageError(description: "--preserve-fds is \"\(text)\", not a number of descriptors")
        }
        return try (3..<3 + count).map { number in
            SharedDescriptor(taking: try check(mlr_dup_cloexec(number, 3), "pass on descriptor \(number)"))
        }
    }

    // MARK: Creation

    private static func createOptions(_ invocation: Invocation) throws -> CreateOptions {
        var options = CreateOptions(bundle: absolute(invocation.value("bundle") ?? "."))
        options.pidFile = invocation.value("pid-file")
        options.consoleSocket = invocation.value("console-socket")
        options.makesKeyring = !invocation.has("no-new-keyring")
        options.extraDescriptors = try preserved(invocation)
        options.seccompCache = "\(containers(invocation).root)/.seccomp"
        if let name = invocation.globals["cgroup-manager"],
            let manager = ContainerDirectory.CgroupManager(rawValue: name)
        {
            options.cgroupManager = manager
        }
        return options
    }

    @Sendable private static func create(_ invocation: Invocation) throws -> Int32 {
        let (_, warnings) = try containers(invocation).create(
            invocation.arguments[0], try createOptions(invocation))
        warn(warnings)
        return 0
    }

    @Sendable private static func run(_ invocation: Invocation) throws -> Int32 {
        let id = invocation.arguments[0]
        let containers = containers(invocation)
        var options = try createOptions(invocation)
        options.startsAtOnce = true
        if invocation.has("detach") {
            let (process, warnings) = try containers.create(id, options)
            warn(warnings)
            if process.console != nil, options.consoleSocket == nil {
                try containers.delete(id, force: true)
                throw UsageError(description: "--detach with a terminal needs --console-socket")
            }
            return 0
        }
        let foreground = try Foreground()
        let (process, warnings) = try containers.create(id, options)
        warn(warnings)
        let status = try foreground.follow(process, takesConsole: options.consoleSocket == nil)
        try containers.delete(id)
        return status.code
    }

    private static func warn(_ warnings: [String]) {
        for warning in warnings { OCILog.shared.withLock { $0 }.warning(warning) }
    }

    @Sendable private static func start(_ invocation: Invocation) throws -> Int32 {
        warn(try containers(invocation).start(invocation.arguments[0]))
        return 0
    }

    // MARK: Life

    @Sendable private static func state(_ invocation: Invocation) throws -> Int32 {
        print(try containers(invocation).state(invocation.arguments[0]).json.text(pretty: true))
        return 0
    }

    @Sendable private static func kill(_ invocation: Invocation) throws -> Int32 {
        let text = invocation.arguments.count > 1 ? invocation.arguments[1] : "SIGTERM"
        guard let signal = SignalName(text) else { throw UsageError(description: "\"\(text)\" is no signal") }
        try containers(invocation).kill(invocation.arguments[0], signal, all: invocation.has("all"))
        return 0
    }

    @Sendable private static func delete(_ invocation: Invocation) throws -> Int32 {
        warn(try containers(invocation).delete(invocation.arguments[0], force: invocation.has("force")))
        return 0
    }

    @Sendable private static func list(_ invocation: Invocation) throws -> Int32 {
        let containers = containers(invocation)
        let format = invocation.value("format") ?? "table"
        guard format == "table" || format == "json" else {
            throw UsageError(description: "--format is \"\(format)\", not table or json")
        }
        // One that is deleted meanwhile, or whose creation has not got to a record yet, has no state to list.
        let states = try containers.list().compactMap { try? containers.state($0) }
        if invocation.has("quiet") {
            for state in states { print(state.id) }
        } else if format == "json" {
            print(JSON.array(states.map(\.json)).text())
        } else {
            let row = OCIProgram.padded
            print(row("ID", 24) + row("PID", 10) + row("STATUS", 10) + "BUNDLE")
            for state in states {
                print(row(state.id, 24) + row("\(state.pid ?? 0)", 10) + row(state.status.rawValue, 10) + state.bundle)
            }
        }
        return 0
    }
}
