import ArgumentParser
internal import Container
internal import Glibc
internal import ImageStore
internal import LinuxSystem
internal import MLRun
internal import OCISpec
internal import Registry
internal import Serving

/// Why a command did not do what was asked: one line of cause, one of remedy, and the status to exit with.
struct CommandFailure: Error {
    let message: String
    let remedy: String?
    let exitCode: Int32

    init(_ message: String, remedy: String? = nil, exitCode: Int32 = 1) {
        self.message = message
        self.remedy = remedy
        self.exitCode = exitCode
    }

    /// A program inside a container ended; nothing more is to be said.
    struct ProgramEnded: Error {
        let exitCode: Int32
    }

    /// Prints what an error says and exits.
    static func end(with error: any Error) -> Never {
        if let ended = error as? ProgramEnded { exit(ended.exitCode) }
        guard let failure = known(error) else {
            // Usage errors, --help and --version are the argument parser's to print; Docker ends with 125 after the first.
            guard MLRunCommand.exitCode(for: error) == .validationFailure else { MLRunCommand.exit(withError: error) }
            Output.error(MLRunCommand.fullMessage(for: error))
            exit(125)
        }
        failure.report()
        exit(failure.exitCode)
    }

    /// Prints what an error says and goes on.
    static func report(_ error: any Error) {
        (known(error) ?? CommandFailure("\(error)")).report()
    }

    private func report() {
        Output.error("mlrun: \(message)")
        if let remedy { Output.error("  \(remedy)") }
    }

    private static func known(_ error: any Error) -> CommandFailure? {
        switch error {
        case let failure as CommandFailure: failure
        case let error as MLRunError:
            CommandFailure(error.message, remedy: error.remedy, exitCode: error.exitCode)
        case let error as ControlError:
            CommandFailure(error.message, remedy: error.remedy, exitCode: error.exitCode)
        case let error as StoreError: CommandFailure(error.description, remedy: error.remedy)
        case let error as RegistryError: CommandFailure(error.message, remedy: error.remedy)
        case let error as SystemError:
            CommandFailure(
                error.description,
                remedy: [.accessDenied, .notPermitted].contains(error.errno) ? "run mlrun as root" : nil)
        case let error as SettingError: CommandFailure("\(error)", remedy: error.remedy, exitCode: 125)
        case let error as BuildError: CommandFailure(error.message, remedy: error.remedy, exitCode: 125)
        case let error as CgroupError: CommandFailure(error.cause, remedy: error.remedy, exitCode: 125)
        case let error as LaunchError: CommandFailure(error.description, exitCode: error.exitCode)
        case let error as JSONError: CommandFailure(error.description, exitCode: 125)
        default: nil
        }
    }
}
