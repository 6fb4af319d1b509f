/// One option of the command line.
struct OptionRule: Sendable {
    let name: String
    var short: Character?
    /// Nil for a switch; else what the value is, for the help.
    var value: String?
    let help: String

    init(_ name: String, short: Character? = nil, value: String? = nil, _ help: String) {
        self.name = name
        self.short = short
        self.value = value
        self.help = help
    }
}

/// One verb: its options, the names of its arguments, and what it does.
struct VerbRule: Sendable {
    let name: String
    let help: String
    var options: [OptionRule] = []
    /// Required ones first.
    let arguments: [String]
    var optionalArguments = 0
    /// Whether everything after the named arguments belongs to a program.
    var takesProgram = false
    let run: @Sendable (Invocation) throws -> Int32
}

/// A parsed command line.
struct Invocation: Sendable {
    var globals: [String: String] = [:]
    var options: [String: [String]] = [:]
    var arguments: [String] = []
    var program: [String] = []

    func has(_ name: String) -> Bool { options[name] != nil }
    func value(_ name: String) -> String? { options[name]?.last }
}

/// A command line that cannot be understood.
struct UsageError: Error, CustomStringConvertible {
    let description: String
}

/// Reads command lines as Go's flag packages do, which the callers of OCI runtimes rely on: `--name value`,
/// `--name=value`, `-name value`, short letters alone or with their value behind, `--` to end the options.
struct CommandLineParser {
    private let rules: [OptionRule]
    private(set) var rest: ArraySlice<String>

    init(_ rules: [OptionRule], _ words: ArraySlice<String>) {
        self.rules = rules
        rest = words
    }

    /// Takes options up to the first word that is none.
    mutating func options() throws(UsageError) -> [String: [String]] {
        var found: [String: [String]] = [:]
        while let word = rest.first, word.hasPrefix("-"), word != "-" {
            rest.removeFirst()
            if word == "--" { break }
            let (rule, value) = try option(word)
            found[rule.name, default: []].append(value)
        }
        return found
    }

    private mutating func option(_ word: String) throws(UsageError) -> (OptionRule, String) {
        let body = word.drop { $0 == "-" }
        let name = body.prefix { $0 != "=" }
        let attached = name.count < body.count ? String(body.dropFirst(name.count + 1)) : nil
        if let rule = rules.first(where: { $0.name == name || (name.count == 1 && $0.short == name.first) }) {
            return (rule, try value(of: rule, attached))
        }
        if !word.hasPrefix("--"), let first = body.first,
            let rule = rules.first(where: { $0.short == first && $0.value != nil })
        {
            return (rule, String(body.dropFirst()))
        }
        throw UsageError(description: "unknown option \(word); see --help")
    }

    private mutating func value(of rule: OptionRule, _ attached: String?) throws(UsageError) -> String {
        if rule.value == nil {
            guard let attached, attached != "true" else { return "true" }
            throw UsageError(description: "--\(rule.name) takes no value, but it has \"\(attached)\"")
        }
        if let attached { return attached }
        guard let next = rest.popFirst() else { throw UsageError(description: "--\(rule.name) needs a value") }
        return next
    }
}
