import Container
import LinuxSystem
import OCISpec

extension OCIVerbs {
    static let execution = [
        OptionRule("process", short: "p", value: "FILE", "the process as JSON"),
        OptionRule("console-socket", value: "SOCKET", "send the terminal to a unix socket"),
        OptionRule("pidfd-socket", value: "SOCKET", "send a pidfd of the process to a unix socket"),
        OptionRule("pid-file", value: "FILE", "write its pid to a file"),
        OptionRule("detach", short: "d", "do not wait for its end"),
        OptionRule("tty", short: "t", "give it a terminal"),
        OptionRule("env", short: "e", value: "NAME=VALUE", "a variable more"),
        OptionRule("cwd", value: "DIR", "its working directory"),
        OptionRule("user", short: "u", value: "UID[:GID]", "its ids, in numbers"),
        OptionRule("additional-gids", short: "g", value: "GID", "a group more"),
        OptionRule("cap", short: "c", value: "NAME", "a capability more"),
        OptionRule("no-new-privs", "it cannot gain privileges by executing programs"),
        OptionRule("apparmor", value: "PROFILE", "its AppArmor profile"),
        OptionRule("process-label", value: "LABEL", "its SELinux label"),
        OptionRule("preserve-fds", value: "N", "pass on N descriptors behind those of LISTEN_FDS"),
        OptionRule("cgroup", value: "PATH", "a group below the container's own, which is there already"),
        OptionRule("ignore-paused", "start it in a paused container too"),
    ]

    @Sendable static func exec(_ invocation: Invocation) throws -> Int32 {
        let id = invocation.arguments[0]
        let containers = containers(invocation)
        let container = try containers.known(id)
        let process = try process(invocation, container)
        var options = ExecOptions()
        options.streams = process.terminal ? .console(process.consoleSize) : .inherited
        options.consoleSocket = invocation.value("console-socket")
        options.pidfdSocket = invocation.value("pidfd-socket")
        options.pidFile = invocation.value("pid-file")
        if options.consoleSocket != nil, !process.terminal {
            throw UsageError("--console-socket is given, but the process has no terminal")
        }
        if invocation.has("detach"), process.terminal, options.consoleSocket == nil {
            throw UsageError("--detach with a terminal needs --console-socket")
        }
        (options.listening, options.extraDescriptors) = try passedOn(invocation)
        options.seccompCache = "\(containers.root)/.seccomp"
        options.cgroup = try subgroup(invocation)
        options.ignoresPause = invocation.has("ignore-paused")
        let foreground = try Foreground()
        let started = try containers.exec(container, process, options)
        if invocation.has("detach") { return 0 }
        do { return try foreground.follow(started, takesConsole: options.consoleSocket == nil).code } catch {
            // What is told to have failed must not go on.
            _ = try? started.kill()
            throw error
        }
    }

    private static func process(
        _ invocation: Invocation, _ container: KnownContainer
    ) throws -> RuntimeSpec.Process {
        var process: RuntimeSpec.Process
        if let path = invocation.value("process") {
            if !invocation.program.isEmpty { throw UsageError("--process and a program exclude each other") }
            do throws(JSONError) {
                process = try RuntimeSpec.Process(JSONCursor(try JSON(parsing: try readInput(path)), path: "process"))
            } catch { throw ContainerError.option("\(path): \(error)") }
        } else {
            if invocation.program.isEmpty { throw UsageError("exec needs a program, or --process") }
            process = container.process(args: invocation.program)
        }
        process.env += invocation.values("env")
        if let cwd = invocation.value("cwd") { process.cwd = cwd }
        if invocation.has("tty") { process.terminal = true }
        if let user = invocation.value("user") { process.user = try self.user(user, process.user) }
        for text in invocation.values("additional-gids").flatMap({ $0.split(separator: ",") }) {
            process.user.additionalGids.append(try identifier(text, "additional-gids"))
        }
        try addCapabilities(invocation.values("cap"), to: &process)
        if invocation.options["no-new-privs"] != nil { process.noNewPrivileges = invocation.has("no-new-privs") }
        if let profile = invocation.value("apparmor") { process.apparmorProfile = profile }
        if let label = invocation.value("process-label") { process.selinuxLabel = label }
        return process
    }

    /// Into all sets but the inheritable one, from which a program could pass it on past a change of its user (CVE-2022-29162).
    private static func addCapabilities(_ names: [String], to process: inout RuntimeSpec.Process) throws {
        if names.isEmpty { return }
        var capabilities = process.capabilities ?? .init()
        for text in names.flatMap({ $0.split(separator: ",") }) {
            guard let capability = Capability(named: String(text)) else {
                throw UsageError("--cap: \(CapabilityError(name: String(text)))")
            }
            for set in [\RuntimeSpec.Capabilities.bounding, \.effective, \.permitted]
            where !capabilities[keyPath: set].contains(capability.name) {
                capabilities[keyPath: set].append(capability.name)
            }
        }
        process.capabilities = capabilities
    }

    static func user(_ text: String, _ before: RuntimeSpec.User) throws -> RuntimeSpec.User {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        return RuntimeSpec.User(
            uid: try identifier(parts[0], "user"), gid: parts.count > 1 ? try identifier(parts[1], "user") : before.gid,
            umask: before.umask, additionalGids: before.additionalGids)
    }

    /// 32 bits without sign, all of it digits: whatever else was meant, it would become another user (CVE-2026-30892).
    static func identifier(_ text: Substring, _ option: String) throws(UsageError) -> UInt32 {
        guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = UInt32(text),
            number != UInt32.max
        else { throw UsageError("--\(option): \"\(text)\" is no id: give a number below 4294967295") }
        return number
    }

    /// `--cgroup` of runc is `[CONTROLLER:]PATH`, given once for each of cgroup v1's hierarchies.
    private static func subgroup(_ invocation: Invocation) throws(UsageError) -> String? {
        let given = invocation.values("cgroup")
        guard let path = given.last else { return nil }
        if given.count > 1 {
            throw UsageError("--cgroup is given \(given.count) times, but cgroup v2 has one hierarchy")
        }
        if path.contains(":") {
            throw UsageError("--cgroup \"\(path)\" names controllers, which cgroup v2 does not tell groups apart by")
        }
        return path
    }

    /// A file, or standard input for `-`.
    static func readInput(_ path: String) throws(JSONError) -> [UInt8] {
        do throws(SystemError) {
            if path == "-" { return try File.readAll(0, limit: 16 << 20, path: "standard input") }
            return try File.read(path, limit: 16 << 20)
        } catch { throw JSONError(path: "", message: FailureTable.outcome(error).text) }
    }
}
