import ArgumentParser
internal import Glibc

/// The program: reads the command line, runs one verb, and turns what it throws into two lines and an exit status.
@main
struct MLRunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mlrun",
        abstract: "Serve models from container images, isolated, limited and supervised.",
        discussion: """
            Begin with `mlrun start IMAGE`: it pulls the image, serves it and prints the URL; `mlrun ps` lists what runs.

            MLRUN_ROOT (default /var/lib/mlrun) holds images, services and logs; MLRUN_STATE (default /run/mlrun) holds \
            sockets and mounts. Different ones keep several mlruns apart.
            """,
        version: version,
        groupedSubcommands: [
            CommandGroup(
                name: "Services",
                subcommands: [
                    StartCommand.self, RunCommand.self, PsCommand.self, LogsCommand.self, InspectCommand.self,
                    ExecCommand.self, StopCommand.self, KillCommand.self, RestartCommand.self, RmCommand.self,
                    StatsCommand.self, TopCommand.self, EventsCommand.self,
                ]),
            CommandGroup(
                name: "Images",
                subcommands: [
                    PullCommand.self, PushCommand.self, ImagesCommand.self, TagCommand.self, SaveCommand.self,
                    LoadCommand.self, ImageCommand.self, RmiCommand.self, PruneCommand.self,
                ]),
            CommandGroup(name: "Registries", subcommands: [LoginCommand.self, LogoutCommand.self]),
            CommandGroup(
                name: "The program", subcommands: [SystemCommand.self, VersionCommand.self, ShutdownCommand.self]),
        ])

    static let version = "0.1.0"

    static func main() async {
        // A reader that goes away, as `mlrun ps | head -1` has, is no failure worth a signal.
        signal(SIGPIPE, SIG_IGN)
        do {
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch {
            CommandFailure.end(with: error)
        }
    }
}

struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "version", abstract: "Print the version.")

    func run() { Output.line("mlrun version \(MLRunCommand.version)") }
}
