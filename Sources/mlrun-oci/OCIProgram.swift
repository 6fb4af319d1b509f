import CLinux
import Container
import Glibc
import LinuxSystem
import Synchronization

/// The program: global options, verbs, and how failures are told.
enum OCIProgram {
    static let version = "0.2.0"

    /// What follows the program's name. CommandLine.arguments takes as long as some verbs do.
    static func words() -> [String] {
        (1..<max(1, Int(CommandLine.argc))).compactMap { number in
            CommandLine.unsafeArgv[number].map { String(cString: $0) }
        }
    }

    static func run(_ words: [String]) -> Int32 {
        var isExec = false
        do {
            // Swift reads it from there, and takes a failure for a program without a name and arguments.
            if CommandLine.argc < 1 { throw UsageError("cannot read the command line from /proc/self/cmdline") }
            var parser = CommandLineParser(OCIGlobals.rules, words[...])
            var invocation = Invocation()
            invocation.globals = try parser.options().mapValues { $0.last ?? "" }
            let log = try OCILog(invocation.globals)
            OCILog.shared.withLock { $0 = log }
            if invocation.isOn("version") { return printVersion() }
            guard !invocation.isOn("help"), let name = parser.rest.first else { return printHelp() }
            if name == "help", parser.rest.count == 1 { return printHelp() }
            guard let verb = OCIVerbs.all.first(where: { $0.name == name }) else {
                throw UsageError("unknown command \"\(name)\"; see --help")
            }
            isExec = name == "exec"
            try OCIGlobals.check(invocation.globals)
            guard let parsed = try parse(verb, parser.rest.dropFirst(), invocation) else { return 0 }
            if verb.entersContainers { try SealedProgram.enter() }
            let began = mlr_monotonic_nanoseconds()
            defer {
                if parsed.isOn("debug") {
                    let microseconds = (mlr_monotonic_nanoseconds() - began) / 1000
                    log.debug("\(words.joined(separator: " ")): \(microseconds) us")
                }
            }
            return try verb.run(parsed)
        } catch {
            let outcome = FailureTable.outcome(error, ofExec: isExec)
            OCILog.shared.withLock { $0 }.error(outcome.text)
            return outcome.exitCode
        }
    }

    private static func parse(
        _ verb: VerbRule, _ words: ArraySlice<String>, _ start: Invocation
    ) throws -> Invocation? {
        var invocation = start
        let rules = verb.options + [OptionRule("help", short: "h", "print this help")]
        var parser = CommandLineParser(rules, words)
        // Options may stand before and after the arguments, but behind a program's name all is the program's.
        while true {
            for (name, values) in try parser.options() { invocation.options[name, default: []] += values }
            guard let word = parser.rest.first else { break }
            if verb.passedOn != nil, invocation.arguments.count == verb.arguments.count {
                invocation.program = Array(parser.rest)
                break
            }
            invocation.arguments.append(word)
            parser = CommandLineParser(rules, parser.rest.dropFirst())
            // What follows `ps ID` begins with a dash and is none of this program's options.
            if verb.passedOn == Self.programOptions, invocation.arguments.count == verb.arguments.count {
                invocation.program = Array(parser.rest)
                break
            }
        }
        if invocation.has("help") {
            print(usage(verb))
            return nil
        }
        let count = invocation.arguments.count
        guard (verb.arguments.count - verb.optionalArguments...verb.arguments.count).contains(count) else {
            let wanted = verb.arguments.isEmpty ? "no arguments" : verb.arguments.joined(separator: " ")
            throw UsageError("\(verb.name) takes \(wanted), not \(count) arguments")
        }
        return invocation
    }

    /// For verbs whose program takes options of its own right behind the arguments.
    static let programOptions = "[OPTION OF ps…]"

    private static func printVersion() -> Int32 {
        // dockerd shows the commit as the runtime's version, and nothing else of this.
        print("mlrun-oci version \(version)\ncommit: v\(version)\nspec: \(RuntimeFeatures.latestVersion)")
        print("libseccomp: \(RuntimeFeatures.seccompVersion)")
        return 0
    }

    private static func printHelp() -> Int32 {
        print("usage: mlrun-oci [global options] command [options] [arguments]\n\nCommands:")
        for verb in OCIVerbs.all where !verb.isHidden { print("  \(padded(verb.name, 12))\(verb.help)") }
        print("\nGlobal options:")
        for rule in OCIGlobals.rules { print("  \(padded(spelling(rule), 28))\(rule.help)") }
        return 0
    }

    private static func usage(_ verb: VerbRule) -> String {
        let words = [verb.name, verb.options.isEmpty ? "" : "[options]"] + verb.arguments + [verb.passedOn ?? ""]
        var lines = ["usage: mlrun-oci \(words.filter { !$0.isEmpty }.joined(separator: " "))", "", verb.help]
        for rule in verb.options { lines.append("  \(padded(spelling(rule), 32))\(rule.help)") }
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
