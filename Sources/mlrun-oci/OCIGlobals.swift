import Container
import Glibc
import LinuxSystem

/// The options before the verb, and what follows from them.
enum OCIGlobals {
    static let rules = [
        OptionRule("root", value: "DIR", "where the state of containers is kept"),
        OptionRule("log", value: "FILE", "append errors and warnings to a file"),
        OptionRule("log-format", value: "FORMAT", "text or json"),
        OptionRule("debug", "log what is done and how long it took"),
        OptionRule("cgroup-manager", value: "NAME", managers),
        OptionRule("systemd-cgroup", "let systemd make the cgroups"),
        OptionRule(
            "rootless", value: "BOOL", "true: state below XDG_RUNTIME_DIR; false: no container without a cgroup; auto"),
        OptionRule(
            "cdi-annotations",
            "=false: annotations cdi.k8s.io/… give no devices, only --device does; as \(annotationVariable)=0"),
        OptionRule("criu", value: "PROGRAM", "the checkpoint program; criu of PATH by default"),
        OptionRule("version", short: "v", "print the version"),
        OptionRule("help", short: "h", "print this help"),
    ]

    private static let annotationVariable = "MLRUN_CDI_ANNOTATIONS"

    private static let managers = ContainerDirectory.CgroupManager.allCases.map(\.rawValue).joined(separator: ", ")

    static func check(_ globals: [String: String]) throws(UsageError) {
        _ = try cgroupManager(globals)
        _ = try isRootless(globals)
    }

    /// Whether the caller says to have no rights; nil leaves it to be found out, as without the option.
    static func isRootless(_ globals: [String: String]) throws(UsageError) -> Bool? {
        guard let text = globals["rootless"], !text.isEmpty, text.lowercased() != "auto" else { return nil }
        if let word = CommandLineParser.switchWords[text] { return word == Invocation.on }
        throw UsageError("--rootless is \"\(text)\", not true, false or auto")
    }

    /// Whether annotations may ask for devices. Either way of saying that they may not is enough: not every engine passes on both.
    static func heedsAnnotations(_ globals: [String: String]) throws(UsageError) -> Bool {
        if globals["cdi-annotations"] == Invocation.off { return false }
        guard let text = OCIVerbs.variable(annotationVariable) else { return true }
        if let word = CommandLineParser.switchWords[text] { return word == Invocation.on }
        throw UsageError("\(annotationVariable) is \"\(text)\" in the environment, not 1 or 0")
    }

    static func cgroupManager(_ invocation: Invocation) throws(UsageError) -> ContainerDirectory.CgroupManager {
        try cgroupManager(invocation.globals)
    }

    private static func cgroupManager(
        _ globals: [String: String]
    ) throws(UsageError) -> ContainerDirectory.CgroupManager {
        let named = globals["cgroup-manager"]
        let wantsSystemd = globals["systemd-cgroup"].map { $0 != Invocation.off } ?? false
        guard let manager = ContainerDirectory.CgroupManager(rawValue: named ?? "cgroupfs") else {
            throw UsageError("--cgroup-manager is \"\(named ?? "")\", not one of \(managers)")
        }
        guard wantsSystemd else { return manager }
        if let named, named != "systemd" {
            throw UsageError("--systemd-cgroup and --cgroup-manager=\(named) exclude each other")
        }
        return .systemd
    }

    /// Whether this process may not make what it likes: it is no root, or root of a user namespace only.
    private static let isUnprivileged: Bool = {
        if geteuid() != 0 { return true }
        guard let text = try? File.readText("/proc/self/uid_map") else { return false }
        return text.split(whereSeparator: \.isWhitespace).map(String.init) != ["0", "0", "4294967295"]
    }()

    static func containers(_ globals: [String: String]) -> ContainerDirectory {
        if let root = globals["root"] { return ContainerDirectory(root: OCIVerbs.absolute(root)) }
        let isRootless = (try? isRootless(globals)) ?? isUnprivileged
        if isRootless, let runtime = OCIVerbs.variable("XDG_RUNTIME_DIR") {
            return ContainerDirectory(root: "\(runtime)/mlrun-oci")
        }
        return ContainerDirectory(root: "/run/mlrun-oci")
    }
}
