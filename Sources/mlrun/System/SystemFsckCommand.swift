import ArgumentParser
internal import Glibc
internal import ImageStore
internal import MLRun
internal import OCISpec
internal import Synchronization

struct SystemFsckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fsck", abstract: "Check that everything in the store is what was stored.",
        discussion: """
            Records are held against layers and blobs, and each layer's file against the superblock, length and digest that \
            were recorded when it was written. Images may be pulled and run meanwhile.

            Exits with 0 if all is well, 1 if damage was found and repaired, 4 if damage is left, 8 if the check failed.
            """)

    @Flag(help: "Remove what is damaged, and the images that need it: pulled again, they are whole.")
    var repair = false

    @Flag(help: "Do not read layers whole: check only their form.")
    var quick = false

    @Option(
        name: [.customShort("o"), .long], help: ArgumentHelp("How to print it: text or json.", valueName: "format"))
    var output = TextOrJSON.text

    func run() throws {
        let result: StoreCheck
        do {
            let showsProgress = output == .text && Terminal.isTerminal(STDERR_FILENO)
            result = try ModelHost().store.audit(repair: repair, content: !quick) { done, total in
                if showsProgress {
                    Output.write("\r\(HumanUnits.bytes(done)) of \(HumanUnits.bytes(total)) read ", to: STDERR_FILENO)
                }
            }
            if showsProgress, result.bytes > 0 { Output.write("\r\u{1B}[K", to: STDERR_FILENO) }
        } catch {
            CommandFailure.report(error)
            throw CommandFailure.ProgramEnded(exitCode: 8)
        }
        if output == .json { Output.json(Self.json(result)) } else { Self.show(result) }
        let status: Int32 =
            result.isDamaged ? 4 : result.findings.contains { $0.kind == .damage && $0.isRepaired } ? 1 : 0
        if status != 0 { throw CommandFailure.ProgramEnded(exitCode: status) }
    }

    private static func show(_ result: StoreCheck) {
        for finding in result.findings {
            let state = finding.isRepaired ? "removed" : finding.kind == .damage ? "damage" : "leftover"
            let images = finding.images.isEmpty ? "" : " (\(finding.images.joined(separator: ", ")))"
            Output.line(ShownText.lines("\(state): \(finding.path) \(finding.reason)\(images)"))
        }
        for image in result.lostImages {
            Output.line(
                ShownText.lines("lost: \(image.reference); `mlrun pull \(image.source)` brings it again"))
        }
        if result.isDamaged {
            Output.line("`mlrun system fsck --repair` removes what is damaged, and the images that need it")
        }
        let unverified =
            result.unverifiedLayers > 0
            ? ", \(result.unverifiedLayers) of them without a recorded digest, so only by their form" : ""
        Output.line(
            "checked \(result.images) images and \(result.layers) layers\(unverified), "
                + "\(HumanUnits.bytes(result.bytes)) read")
    }

    private static func json(_ result: StoreCheck) -> JSON {
        let findings = result.findings.map { finding -> JSON in
            [
                "kind": .string(finding.kind.rawValue), "path": .string(finding.path),
                "reason": .string(finding.reason), "layer": finding.layer.map { .string($0.description) } ?? .null,
                "images": .array(finding.images.map(JSON.string)), "removed": .bool(finding.isRepaired),
            ]
        }
        let lost = result.lostImages.map { image -> JSON in
            ["reference": .string(image.reference), "source": .string(image.source)]
        }
        return [
            "damaged": .bool(result.isDamaged), "findings": .array(findings), "lostImages": .array(lost),
            "images": .integer(Int64(result.images)), "layers": .integer(Int64(result.layers)),
            "unverifiedLayers": .integer(Int64(result.unverifiedLayers)), "bytes": .integer(result.bytes),
        ]
    }
}
