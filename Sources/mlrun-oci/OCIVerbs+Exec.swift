import Container
import LinuxSystem
import OCISpec

extension OCIVerbs {
    @Sendable static func exec(_ invocation: Invocation) throws -> Int32 {
        let id = invocation.arguments[0]
        let containers = containers(invocation)
        let process = try process(invocation, id, containers)
        let streams: LaunchRequest.Streams = process.terminal ? .console(process.consoleSize) : .inherited
        let socket = invocation.value("console-socket")
        if socket != nil, !process.terminal {
            throw UsageError(description: "--console-socket is given, but the process has no terminal")
        }
        if invocation.has("detach"), process.terminal, socket == nil {
            throw UsageError(description: "--detach with a terminal needs --console-socket")
        }
        let foreground = try Foreground()
        let started = try containers.exec(
            id, process, streams: streams, extraDescriptors: try preserved(invocation),
            seccompCache: "\(containers.root)/.seccomp")
        if let socket, let console = started.console { try ContainerDirectory.send(console, to: socket) }
        if let path = invocation.value("pid-file") {
            try File.replace(path, with: Array("\(started.pid)".utf8), mode: 0o644, durable: false)
        }
        if invocation.has("detach") { return 0 }
        return try foreground.follow(started, takesConsole: socket == nil).code
    }

    private static func process(
        _ invocation: Invocation, _ id: String, _ containers: ContainerDirectory
    ) throws -> RuntimeSpec.Process {
        var process: RuntimeSpec.Process
        if let path = invocation.value("process") {
            if !invocation.program.isEmpty {
                throw UsageError(description: "--process and a program exclude each other")
            }
            process = try RuntimeSpec.Process(JSONCursor(try JSON(parsing: try File.read(path))))
        } else {
            if invocation.program.isEmpty { throw UsageError(description: "exec needs a program, or --process") }
            process = try containers.processTemplate(id, args: invocation.program)
        }
        process.env += invocation.options["env"] ?? []
        if let cwd = invocation.value("cwd") { process.cwd = cwd }
        if invocation.has("tty") { process.terminal = true }
        if let user = invocation.value("user") { process.user = try self.user(user, process.user) }
        return process
    }

    private static func user(_ text: String, _ before: RuntimeSpec.User) throws -> RuntimeSpec.User {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let numbers = parts.map { part in part.utf8.allSatisfy { (0x30...0x39).contains($0) } ? UInt32(part) : nil }
        guard let uid = numbers[0], numbers.count == 1 || numbers[1] != nil else {
            throw UsageError(description: "--user is \"\(text)\", not UID or UID:GID in numbers")
        }
        return RuntimeSpec.User(uid: uid, gid: numbers.count > 1 ? numbers[1] ?? 0 : before.gid, umask: before.umask)
    }
}
