import ArgumentParser
internal import MLRun
internal import OCISpec
internal import Serving

struct StopCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop",
        abstract: "Stop services: no new requests, those in flight finish, then the stop signal, then the kill.")

    @Option(
        name: [.short, .long],
        help: ArgumentHelp(
            "How long it may take to end before it is killed; by default its own --stop-timeout.", valueName: "duration"
        ))
    var time: String?

    @Argument(help: "Names of services.")
    var services: [String]

    func run() async throws {
        let host = try ModelHost()
        let timeout = try time.map { try Duration(parsing: $0) }
        try await forEach(services) { name in
            try await host.stop(name, timeout: timeout)
            Output.line(name)
        }
    }
}

struct KillCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kill", abstract: "Send a signal to services; KILL stops them without draining.")

    @Option(name: [.short, .long], help: "The signal, by name or number.")
    var signal = "KILL"

    @Argument(help: "Names of services.")
    var services: [String]

    func run() async throws {
        guard let signal = SignalName(signal) else {
            throw CommandFailure(
                "--signal: \"\(signal)\" is no signal", remedy: "write a name such as TERM or a number")
        }
        let host = try ModelHost()
        try await forEach(services) { name in
            _ = try await host.ask(.kill(name: name, signal: signal.description), startsSupervisor: true)
            Output.line(name)
        }
    }
}

struct RestartCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restart", abstract: "Stop services as `stop` does and start them again.")

    @Flag(inversion: .prefixedNo, help: "Wait until they are ready again.")
    var wait = true

    @Argument(help: "Names of services.")
    var services: [String]

    func run() async throws {
        let host = try ModelHost()
        try await forEach(services) { name in
            _ = try await host.ask(.restart(name: name, timeout: nil, waits: wait), startsSupervisor: true)
            Output.line(name)
        }
    }
}

struct RmCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm", abstract: "Forget stopped services, with their logs and what they wrote.")

    @Flag(name: [.short, .long], help: "Also services that run: they are killed first.")
    var force = false

    @Argument(help: "Names of services.")
    var services: [String]

    func run() async throws {
        let host = try ModelHost()
        try await forEach(services) { name in
            try await host.remove(name, force: force)
            Output.line(name)
        }
    }
}

struct ShutdownCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shutdown", abstract: "End mlrund; its services go on, and the next mlrund takes them over.")

    @Flag(help: "Stop all services first.")
    var stopServices = false

    func run() async throws {
        _ = try await ModelHost().ask(.shutdown(stopsServices: stopServices))
    }
}
