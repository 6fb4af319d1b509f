import ArgumentParser

struct SystemCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "system", abstract: "Look at what mlrun keeps on the disk, check it, and make room.",
        subcommands: [SystemDfCommand.self, SystemPruneCommand.self, SystemFsckCommand.self])
}
