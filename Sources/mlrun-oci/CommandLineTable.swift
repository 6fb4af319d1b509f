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
    /// What everything after the named arguments is, for a verb that passes it on to a program.
    var passedOn: String?
    /// Whether processes of this program get into containers, so that it has to be sealed.
    var entersContainers = false
    /// Whether it is for programs only, and not listed.
    var isHidden = false
    let run: @Sendable (Invocation) throws -> Int32
}

/// A parsed command line.
struct Invocation: Sendable {
    var globals: [String: String] = [:]
    var options: [String: [String]] = [:]
    var arguments: [String] = []
    var program: [String] = []

    /// Whether an option is given, and not as `--switch=false`.
    func has(_ name: String) -> Bool { options[name].map { $0.last != Self.off } ?? false }
    func value(_ name: String) -> String? { options[name]?.last }
    func values(_ name: String) -> [String] { options[name] ?? [] }
    func isOn(_ global: String) -> Bool { globals[global].map { $0 != Self.off } ?? false }

    static let on = "true"
    static let off = "false"
}

/// A command line that cannot be understood.
struct UsageError: Error, CustomStringConvertible {
    let description: String

    init(description: String) { self.description = description }
    init(_ description: String) { self.description = description }
}

/// Reads command lines as Go's flag packages do, which the callers of OCI runtimes rely on: `--name value`,
/// `--name=value`, `-name value`, `--switch=false`, short letters alone or with their value behind, `--` to end the options.
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
        let body = word.dropFirst(word.hasPrefix("--") ? 2 : 1)
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
        throw UsageError("unknown option \(word); see --help")
    }

    /// The words that Go's strconv.ParseBool takes.
    static let switchWords: [String: String] = [
        "1": Invocation.on, "t": Invocation.on, "T": Invocation.on, "true": Invocation.on, "TRUE": Invocation.on,
        "True": Invocation.on, "0": Invocation.off, "f": Invocation.off, "F": Invocation.off, "false": Invocation.off,
        "FALSE": Invocation.off, "False": Invocation.off,
    ]

    private mutating func value(of rule: OptionRule, _ attached: String?) throws(UsageError) -> String {
        if rule.value == nil {
            guard let attached else { return Invocation.on }
            if let value = Self.switchWords[attached] { return value }
            throw UsageError("--\(rule.name) is a switch, which \"\(attached)\" is no position of: use true or false")
        }
        if let attached { return attached }
        guard let next = rest.popFirst() else { throw UsageError("--\(rule.name) needs a value") }
        return next
    }
}
