import CLinux
import Container
import Glibc
import LinuxSystem
import OCISpec
import Synchronization

/// The program: global options, verbs, and how failures are told.
enum OCIProgram {
    static let version = "0.2.0"

    private static let globals = [
        OptionRule("root", value: "DIR", "where the state of containers is kept"),
        OptionRule("log", value: "FILE", "append errors and warnings to a file"),
        OptionRule("log-format", value: "FORMAT", "text or json"),
        OptionRule("debug", "log what is done and how long it took"),
        OptionRule("cgroup-manager", value: "NAME", "cgroupfs or disabled"),
        OptionRule("systemd-cgroup", "let systemd make the cgroups"),
        OptionRule("rootless", value: "BOOL", "true, false or auto"),
        OptionRule("version", short: "v", "print the version"),
        OptionRule("help", short: "h", "print this help"),
    ]

    static func run(_ words: [String]) -> Int32 {
        var log = OCILog(file: nil, isJSON: false)
        var isExec = false
        do {
            var parser = CommandLineParser(globals, words[...])
            var invocation = Invocation()
            invocation.globals = try parser.options().mapValues { $0.last ?? "" }
            log = try OCILog(invocation.globals)
            if invocation.globals["version"] != nil { return printVersion() }
            guard invocation.globals["help"] == nil, let name = parser.rest.first else { return printHelp() }
            guard let verb = OCIVerbs.all.first(where: { $0.name == name }) else {
                throw UsageError(description: "unknown command \"\(name)\"; see --help")
            }
            isExec = name == "exec"
            try checkGlobals(invocation.globals)
            guard let parsed = try parse(verb, parser.rest.dropFirst(), invocation) else { return 0 }
            OCILog.shared.withLock { $0 = log }
            let began = mlr_monotonic_nanoseconds()
            defer {
                if parsed.globals["debug"] != nil {
                    let microseconds = (mlr_monotonic_nanoseconds() - began) / 1000
                    log.debug("\(words.joined(separator: " ")): \(microseconds) us")
                }
            }
            return try verb.run(parsed)
        } catch let error as ContainerError {
            log.error("\(error)")
            return isExec && error.exitCode == 1 ? 255 : error.exitCode
        } catch {
            log.error("\(error)")
            return isExec ? 255 : 1
        }
    }

    private static func parse(
        _ verb: VerbRule, _ words: ArraySlice<String>, _ start: Invocation
    ) throws -> Invocation? {
        var invocation = start
        var parser = CommandLineParser(verb.options + [OptionRule("help", short: "h", "print this help")], words)
        // Options may stand before and after the arguments, but behind a program's name all is the program's.
        while true {
            for (name, values) in try parser.options() { invocation.options[name, default: []] += values }
            guard let word = parser.rest.first else { break }
            if verb.takesProgram, invocation.arguments.count == verb.arguments.count {
                invocation.program = Array(parser.rest)
                break
            }
            invocation.arguments.append(word)
            parser = CommandLineParser(verb.options, parser.rest.dropFirst())
        }
        if invocation.has("help") {
            print(usage(verb))
            return nil
        }
        let count = invocation.arguments.count
        guard (verb.arguments.count - verb.optionalArguments...verb.arguments.count).contains(count) else {
            throw UsageError(
                description: "\(verb.name) takes \(verb.arguments.joined(separator: " ")), not \(count) arguments")
        }
        return invocation
    }

    private static func checkGlobals(_ globals: [String: String]) throws(UsageError) {
        if globals["systemd-cgroup"] != nil {
            throw UsageError(description: "--systemd-cgroup is not supported; use --cgroup-manager=cgroupfs")
        }
        if let manager = globals["cgroup-manager"], ContainerDirectory.CgroupManager(rawValue: manager) == nil {
            throw UsageError(description: "--cgroup-manager is \"\(manager)\", not cgroupfs or disabled")
        }
        if let rootless = globals["rootless"], rootless == "true" || (rootless != "false" && rootless != "auto") {
            throw UsageError(description: "--rootless=\(rootless) is not supported; run as root")
        }
    }

    private static func printVersion() -> Int32 {
        print("mlrun-oci version \(version)\nspec: 1.3.0")
        return 0
    }

    private static func printHelp() -> Int32 {
        print("usage: mlrun-oci [global options] command [options] [arguments]\n\nCommands:")
        for verb in OCIVerbs.all { print("  \(padded(verb.name, 10))\(verb.help)") }
        print("\nGlobal options:")
        for rule in globals { print("  \(padded(spelling(rule), 28))\(rule.help)") }
        return 0
    }

    private static func usage(_ verb: VerbRule) -> String {
        let words =
            [verb.name, verb.options.isEmpty ? "" : "[options]"] + verb.arguments + [
                verb.takesProgram ? "[PROGRAM [ARGUMENT…]]" : ""
            ]
        var lines = ["usage: mlrun-oci \(words.filter { !$0.isEmpty }.joined(separator: " "))", "", verb.help]
        for rule in verb.options { lines.append("  \(padded(spelling(rule), 28))\(rule.help)") }
        return lines.joined(separator: "\n")
    }

    private static func spelling(_ rule: OptionRule) -> String {
        let short = rule.short.map { "-\($0), " } ?? ""
        return "\(short)--\(rule.name)\(rule.value.map { " \($0)" } ?? "")"
    }

    static func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(1, width - text.count))
    }
}
