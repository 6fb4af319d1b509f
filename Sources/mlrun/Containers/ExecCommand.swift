import ArgumentParser
internal import Container
internal import Glibc
internal import MLRun
internal import OCISpec
internal import Serving

struct ExecCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exec", abstract: "Run a command in a running service; ends with the command's exit code.")

    @OptionGroup var attachment: AttachOptions

    @Option(
        name: [.customShort("e"), .long],
        help: ArgumentHelp(
            "Set an environment variable; a name alone passes on the value it has here.", valueName: "name[=value]"))
    var env: [String] = []

    @Option(
        name: [.customShort("u"), .long],
        help: ArgumentHelp("The user inside, by name or number; by default the service's.", valueName: "user[:group]"))
    var user: String?

    @Option(
        name: [.customShort("w"), .long],
        help: ArgumentHelp("The working directory inside; by default the service's.", valueName: "path"))
    var workdir: String?

    @Argument(help: "The name of a service, or of one of its replicas.")
    var service: String

    @Argument(parsing: .captureForPassthrough, help: "The command and its arguments.")
    var command: [String]

    func run() throws {
        let host = try ModelHost()
        let name = service.split(separator: "/", maxSplits: 1).first.map(String.init) ?? service
        let running = try host.runningReplicas(of: [name])
        guard let replica = running.first(where: { service == name || $0.id.rawValue == service }) else {
            throw CommandFailure("\(service) does not run", remedy: "`mlrun start` or `mlrun restart` it")
        }
        if try ReplicaCommand.needsSealedProgram(replica, host.directories) { try SealedProgram.enter() }
        var task = ReplicaCommand(command.first == "--" ? Array(command.dropFirst()) : command)
        task.environment = try env.compactMap {
            try EnvironmentText.variable($0) { getenv($0).map { String(cString: $0) } }
        }
        task.workingDirectory = workdir
        task.user = user
        task.streams = try attachment.streams()
        let process = try task.start(in: replica, host.directories)
        throw CommandFailure.ProgramEnded(exitCode: try ForegroundSession(process: process).wait())
    }
}

/// What of this program's terminal a command in a container gets.
struct AttachOptions: ParsableArguments {
    @Flag(name: [.short, .long], help: "Pass standard input on.")
    var interactive = false

    @Flag(name: [.short, .long], help: "Give it a terminal.")
    var tty = false

    func streams() throws -> ReplicaCommand.Streams {
        guard tty else { return .inherited(input: interactive) }
        guard !interactive || Terminal.isTerminal(STDIN_FILENO) else {
            throw CommandFailure(
                "standard input is no terminal", remedy: "leave -t out to pass a file or pipe on", exitCode: 125)
        }
        return .terminal(Terminal.consoleSize)
    }
}

extension Terminal {
    /// Of the terminal on standard input; nil without one.
    static var consoleSize: RuntimeSpec.ConsoleSize? {
        var size = winsize()
        guard ioctl(STDIN_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_row > 0 else { return nil }
        return RuntimeSpec.ConsoleSize(height: size.ws_row, width: size.ws_col)
    }
}
