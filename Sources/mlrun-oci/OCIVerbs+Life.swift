import Container
import Glibc
import LinuxSystem
import OCISpec

extension OCIVerbs {
    @Sendable static func state(_ invocation: Invocation) throws -> Int32 {
        print(try containers(invocation).summary(invocation.arguments[0]).json.text(pretty: true))
        return 0
    }

    @Sendable static func kill(_ invocation: Invocation) throws -> Int32 {
        let text = invocation.arguments.count > 1 ? invocation.arguments[1] : "SIGTERM"
        guard let signal = SignalName(text) else {
            throw UsageError("\"\(text)\" is no signal: give a name such as TERM or a number from 1 to 64")
        }
        try containers(invocation).kill(invocation.arguments[0], signal, all: invocation.has("all"))
        return 0
    }

    @Sendable static func delete(_ invocation: Invocation) throws -> Int32 {
        warn(try containers(invocation).delete(invocation.arguments[0], force: invocation.has("force")))
        return 0
    }

    @Sendable static func list(_ invocation: Invocation) throws -> Int32 {
        let containers = containers(invocation)
        let format = try format(invocation, ["table", "json"])
        // One that is deleted meanwhile, or whose creation has not got to a record yet, has no state to list.
        let found = try containers.list().compactMap { try? containers.summary($0) }
        if invocation.has("quiet") {
            for container in found { print(container.state.id) }
        } else if format == "json" {
            print(found.isEmpty ? "null" : JSON.array(found.map(\.json)).text())
        } else {
            let row = OCIProgram.padded
            print(row("ID", 24) + row("PID", 10) + row("STATUS", 10) + row("BUNDLE", 32) + row("CREATED", 32) + "OWNER")
            for container in found {
                let state = container.state
                let created = Timestamp.rfc3339(nanoseconds: container.created)
                print(
                    row(state.id, 24) + row("\(state.pid ?? 0)", 10) + row(state.status.rawValue, 10)
                        + row(state.bundle, 32) + row(created, 32) + container.owner)
            }
        }
        return 0
    }

    @Sendable static func pause(_ invocation: Invocation) throws -> Int32 {
        try containers(invocation).pause(invocation.arguments[0])
        return 0
    }

    @Sendable static func resume(_ invocation: Invocation) throws -> Int32 {
        try containers(invocation).resume(invocation.arguments[0])
        return 0
    }

    // MARK: ps

    @Sendable static func ps(_ invocation: Invocation) throws -> Int32 {
        let processes = try containers(invocation).processes(invocation.arguments[0])
        if try format(invocation, ["table", "json"]) == "json" {
            print(JSON.array(processes.map { .integer(Int64($0)) }).text())
            return 0
        }
        let arguments = invocation.program.isEmpty ? ["-ef"] : invocation.program
        let outcome = try HostProgram.run("ps", arguments, environment: HostProgram.environment)
        guard outcome.exitCode == 0 else {
            throw ContainerError.option(
                "ps \(arguments.joined(separator: " ")): \(HostProgram.lastLine(outcome.errors))")
        }
        for line in try Self.rows(outcome.output, of: Set(processes)) { print(line) }
        return 0
    }

    /// The table of ps(1) with only those rows whose PID column names one of these processes.
    static func rows(_ table: String, of processes: Set<Int32>) throws(ContainerError) -> [String] {
        let lines = table.split(separator: "\n").map(String.init)
        let column = lines.first?.split(whereSeparator: \.isWhitespace).firstIndex(of: "PID")
        guard let header = lines.first, let column else {
            throw .option(
                "ps: its table has no column PID to tell the container's processes by; add it, as in -o pid,cmd")
        }
        return [header]
            + lines.dropFirst().filter { line in
                let fields = line.split(whereSeparator: \.isWhitespace)
                return fields.count > column && Int32(fields[column]).map(processes.contains) == true
            }
    }
}
