internal import CLibseccomp
internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import OCISpec

/// A checked seccomp profile, ready for libseccomp.
struct SeccompCompiler {
    private let defaultAction: UInt32
    private let architectures: [UInt32]
    private let rules: [Rule]

    private struct Rule {
        let names: [String]
        let action: UInt32
        let arguments: [scmp_arg_cmp]
        let field: String
    }

    init(_ profile: RuntimeSpec.Seccomp) throws(SeccompError) {
        defaultAction = try SeccompNames.action(
            profile.defaultAction, data: profile.defaultErrnoRet, field: "defaultAction")
        _ = try SeccompNames.flags(profile.flags)

        var architectures: [UInt32] = []
        for (index, name) in profile.architectures.enumerated() {
            let field = "architectures[\(index)]"
            guard let short = SeccompNames.architectures[name] else {
                throw SeccompError(field: field, reason: "unknown architecture \"\(name)\"")
            }
            let token = seccomp_arch_resolve_name(short)
            // A profile may list architectures newer than this libseccomp; programs of theirs cannot run here anyway.
            if token != 0, !architectures.contains(token) { architectures.append(token) }
        }
        self.architectures = architectures

        var rules: [Rule] = []
        for (index, rule) in profile.syscalls.enumerated() {
            let field = "syscalls[\(index)]"
            let action = try SeccompNames.action(rule.action, data: rule.errnoRet, field: "\(field).action")
            if rule.names.isEmpty { throw SeccompError(field: "\(field).names", reason: "is empty") }
            var arguments: [scmp_arg_cmp] = []
            for (place, argument) in rule.args.enumerated() {
                arguments.append(try Self.comparison(argument, field: "\(field).args[\(place)]"))
            }
            rules.append(Rule(names: rule.names, action: action, arguments: arguments, field: field))
        }
        self.rules = rules
    }

    private static func comparison(
        _ argument: RuntimeSpec.Seccomp.Argument, field: String
    ) throws(SeccompError) -> scmp_arg_cmp {
        guard argument.index < 6 else {
            throw SeccompError(field: "\(field).index", reason: "\(argument.index) is above 5, the last argument")
        }
        guard let op = SeccompNames.operators[argument.op] else {
            let known = SeccompNames.operators.keys.sorted().joined(separator: ", ")
            throw SeccompError(
                field: "\(field).op", reason: "unknown operator \"\(argument.op)\"; use one of \(known)")
        }
        return scmp_arg_cmp(
            arg: argument.index, op: op, datum_a: argument.value, datum_b: argument.valueTwo ?? 0)
    }

    /// Compiles to an array of `struct sock_filter`.
    func compile() throws(SeccompError) -> [UInt8] {
        guard let context = seccomp_init(defaultAction) else {
            throw SeccompError(reason: "libseccomp refuses the default action")
        }
        defer { seccomp_release(context) }
        // A tree of numbers instead of a list: when a filter is loaded the kernel runs it for every call there is, twice for two
        // architectures, and afterwards for each call that is made. Libraries before 2.5 know lists only.
        _ = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2)
        for architecture in architectures {
            let result = seccomp_arch_add(context, architecture)
            if result < 0, result != -EEXIST {
                throw SeccompError(field: "architectures", reason: "libseccomp: \(Errno(rawValue: -result))")
            }
        }
        for rule in rules {
            // Saying again what happens anyway is an error to libseccomp, and needless.
            if rule.action == defaultAction { continue }
            for name in rule.names { try add(name, rule, to: context) }
        }
        let program = try export(context)
        return try NewSystemCalls(
            rules: rules.map {
                NewSystemCalls.Rule(names: $0.names, action: $0.action, conditional: !$0.arguments.isEmpty)
            },
            defaultAction: defaultAction, architectures: architectures
        ).prepended(to: program)
    }

    private func add(_ name: String, _ rule: Rule, to context: scmp_filter_ctx) throws(SeccompError) {
        let number = seccomp_syscall_resolve_name(name)
        // __NR_SCMP_ERROR: not known. Below that: not of this architecture, but perhaps of the others.
        if number == -1 { return }
        // libseccomp compares each argument once in a rule; several comparisons of one mean "any of them", as runc and
        // crun read them.
        let places = rule.arguments.map(\.arg)
        let alternatives =
            Set(places).count == places.count ? [rule.arguments] : rule.arguments.map { [$0] }
        for arguments in alternatives {
            let result = seccomp_rule_add_array(
                context, rule.action, number, UInt32(arguments.count), arguments)
            if result < 0, result != -EEXIST {
                throw SeccompError(
                    field: rule.field, reason: "libseccomp refuses the rule for \(name): \(Errno(rawValue: -result))")
            }
        }
    }

    private func export(_ context: scmp_filter_ctx) throws(SeccompError) -> [UInt8] {
        do throws(SystemError) {
            let file = OwnedDescriptor(
                taking: try check(mlr_memfd_create("seccomp", 0), "create a memory file for the seccomp filter"))
            try check(seccomp_export_bpf(context, file.rawValue), "export the seccomp filter")
            if lseek(file.rawValue, 0, SEEK_SET) < 0 {
                throw SystemError("read the seccomp filter", Errno(rawValue: errno))
            }
            return try File.readAll(file.rawValue)
        } catch {
            throw SeccompError(reason: "\(error)")
        }
    }
}
