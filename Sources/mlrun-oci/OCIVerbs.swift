import Container
import Glibc

/// The verbs, as a table.
enum OCIVerbs {
    static let all = [
        VerbRule(
            name: "create", help: "make a container from a bundle, up to its program", options: creation,
            arguments: ["ID"], entersContainers: true, run: create),
        VerbRule(name: "start", help: "run the program of a created container", arguments: ["ID"], run: start),
        VerbRule(
            name: "run", help: "create and start a container",
            options: creation + [
                OptionRule("detach", short: "d", "do not wait for its end"),
                OptionRule("keep", "keep its state when it has ended"),
                OptionRule("no-subreaper", "accepted: processes of a container never become this program's children"),
            ], arguments: ["ID"], entersContainers: true, run: run),
        VerbRule(
            name: "exec", help: "run a further process in a container", options: execution, arguments: ["ID"],
            passedOn: "[PROGRAM [ARGUMENT…]]", entersContainers: true, run: exec),
        VerbRule(name: "state", help: "print the state of a container", arguments: ["ID"], run: state),
        VerbRule(
            name: "kill", help: "send a signal to a container's process",
            options: [OptionRule("all", short: "a", "to all of its processes")], arguments: ["ID", "SIGNAL"],
            optionalArguments: 1, run: kill),
        VerbRule(
            name: "delete", help: "remove a stopped container",
            options: [OptionRule("force", short: "f", "kill it first if it runs")], arguments: ["ID"], run: delete),
        VerbRule(
            name: "list", help: "list the containers",
            options: [
                OptionRule("format", short: "f", value: "FORMAT", "table or json"),
                OptionRule("quiet", short: "q", "ids only"),
            ], arguments: [], run: list),
        VerbRule(
            name: "ps", help: "list the processes of a container",
            options: [OptionRule("format", short: "f", value: "FORMAT", "table or json")], arguments: ["ID"],
            passedOn: OCIProgram.programOptions, run: ps),
        VerbRule(name: "pause", help: "stop all processes of a container", arguments: ["ID"], run: pause),
        VerbRule(name: "resume", help: "let a paused container go on", arguments: ["ID"], run: resume),
        VerbRule(
            name: "update", help: "change the limits of a container", options: updating, arguments: ["ID"],
            run: update),
        VerbRule(
            name: "events", help: "print what a container uses, and when it is out of memory",
            options: [
                OptionRule("interval", value: "TIME", "between two figures, such as 5s, 500ms or 1m; 5s by default"),
                OptionRule("stats", "print the figures once"),
            ], arguments: ["ID"], run: events),
        VerbRule(
            name: "checkpoint", help: "write the state of a running container to files (CRIU)", options: checkpointing,
            arguments: ["ID"], run: checkpoint),
        VerbRule(
            name: "restore", help: "make a container from a checkpoint (CRIU)", options: restoring, arguments: ["ID"],
            entersContainers: true, run: restore),
        VerbRule(name: "features", help: "print what this runtime can do, as JSON", arguments: [], run: features),
        VerbRule(
            name: "spec", help: "write a config.json to start from",
            options: [
                OptionRule("bundle", short: "b", value: "DIR", "where to; the working directory by default"),
                OptionRule("rootless", "for a user without rights"),
            ], arguments: [], run: spec),
        VerbRule(
            name: "check", help: "tell what a bundle needs and this host lacks",
            options: [
                OptionRule("bundle", short: "b", value: "DIR", "a bundle; without one, the host alone is looked at"),
                OptionRule("format", short: "f", value: "FORMAT", "text or json"),
            ], arguments: [], run: preflight),
    ]

    static func containers(_ invocation: Invocation) -> ContainerDirectory {
        OCIGlobals.containers(invocation.globals)
    }

    static func absolute(_ path: String) -> String {
        if path.hasPrefix("/") { return path }
        guard let working = getcwd(nil, 0) else { return path }
        defer { free(working) }
        let base = String(cString: working)
        return path == "." ? base : "\(base)/\(path)"
    }

    static func format(_ invocation: Invocation, _ known: [String]) throws(UsageError) -> String {
        let format = invocation.value("format") ?? known[0]
        guard known.contains(format) else {
            throw UsageError("--format is \"\(format)\", not \(known.joined(separator: " or "))")
        }
        return format
    }
}
