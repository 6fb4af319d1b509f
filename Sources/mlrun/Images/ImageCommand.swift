import ArgumentParser
internal import MLRun

struct ImageCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "image", abstract: "Look into images.", subcommands: [ImageExportCommand.self])
}

struct ImageExportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write the files of an image into a directory.",
        discussion: """
            The directory shows what a container of the image would see: layers over each other, deletions applied. Owners \
            and capabilities are kept by root alone; what could not be kept is said.
            """)

    @Argument(help: "A reference, digest or image ID.")
    var image: String

    @Argument(help: "A directory that is empty or does not exist yet.")
    var directory: String

    func run() async throws {
        let report = try await ModelHost().export(image, to: directory)
        if report.ownersNotKept > 0 {
            Output.error(
                "mlrun: warning: the owners of \(report.ownersNotKept) files were not kept, since only root can")
        }
        for (name, count) in report.attributesNotKept.sorted(by: { $0.key < $1.key }) {
            Output.error("mlrun: warning: the attribute \(name) of \(count) files was not kept")
        }
        Output.error("\(report.files) files, \(HumanUnits.bytes(report.bytes))")
    }
}
