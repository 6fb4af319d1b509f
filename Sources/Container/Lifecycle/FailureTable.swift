internal import LinuxSystem
internal import OCISpec

/// What is said of each failure, and what a program exits with. Callers of OCI runtimes decide by parts of these
/// sentences, so that they are kept in one place: containerd and CRI-O look for "does not exist" and "container not
/// running", and podman takes "no such file or directory", of whatever it is said, for a missing program.
public enum FailureTable {
    /// The kinds of failures that callers can tell apart.
    public enum Kind: String, CaseIterable, Sendable {
        case invalidID, exists, missing, notRunning, wrongState, damaged, noCgroup, configuration, option, criu
        case programNotFound, interpreterNotFound, programNotExecutable, launch, cgroup, system
    }

    /// One kind of failure.
    public struct Row: Sendable {
        /// Which one.
        public let kind: Kind
        /// What a program exits with.
        public let exitCode: Int32
        /// With the names of values in braces.
        public let text: String

        init(_ kind: Kind, _ exitCode: Int32, _ text: String) {
            self.kind = kind
            self.exitCode = exitCode
            self.text = text
        }
    }

    /// What `exec` exits with instead of 1, so that the codes of programs stay apart from the runtime's own.
    public static let execExitCode: Int32 = 255

    /// One row a kind.
    public static let rows: [Row] = [
        Row(
            .invalidID, 1,
            "container id \"{id}\" is not valid: letters, digits, '_', '+', '-' and '.', the last not first, at most 1024"
        ),
        Row(.exists, 1, "container with given ID already exists: \"{id}\"; delete it first, or take another id"),
        Row(.missing, 1, "container \"{id}\" does not exist"),
        Row(.notRunning, 1, "container not running: \"{id}\""),
        Row(.wrongState, 1, "cannot {verb} container \"{id}\": it is {status}{remedy}"),
        Row(.damaged, 1, "the state of container \"{id}\" is damaged ({reason}); delete it with --force"),
        Row(.noCgroup, 1, "cannot {verb} container \"{id}\": it was made without a control group"),
        Row(.configuration, 1, "config.json: {reason}"),
        Row(.option, 1, "{reason}"),
        Row(.criu, 1, "cannot {verb} the container: criu: {reason}"),
        Row(.programNotFound, 127, "exec \"{program}\": {reason}"),
        Row(
            .interpreterNotFound, 127,
            "exec \"{program}\": no such file or directory: its interpreter or dynamic loader is missing in the image"),
        Row(.programNotExecutable, 126, "exec \"{program}\": {reason}"),
        Row(.launch, 1, "{reason}"),
        Row(.cgroup, 1, "{reason}"),
        Row(.system, 1, "{reason}"),
    ]

    /// The row of a kind.
    public static func row(_ kind: Kind) -> Row {
        guard let row = rows.first(where: { $0.kind == kind }) else { return Row(.system, 1, "{reason}") }
        return row
    }

    static func row(_ error: ContainerError) -> Row { row(values(error).kind) }

    static func text(_ error: ContainerError) -> String {
        if case .remains(let cause, let reason) = error {
            return "\(text(cause)); \(ofNoProgram(reason)): delete it with --force"
        }
        let (kind, values) = values(error)
        let text = fill(row(kind).text, values)
        let isOfProgram = [.programNotFound, .interpreterNotFound, .programNotExecutable].contains(kind)
        return isOfProgram ? text : ofNoProgram(text)
    }

    private static func values(_ error: ContainerError) -> (kind: Kind, values: [String: String]) {
        switch error {
        case .invalidID(let id): (.invalidID, ["id": id])
        case .exists(let id): (.exists, ["id": id])
        case .missing(let id): (.missing, ["id": id])
        case .notRunning(let id): (.notRunning, ["id": id])
        case .wrongState(let id, let verb, let status, let remedy):
            (
                .wrongState,
                [
                    "id": id, "verb": verb, "status": status.rawValue,
                    "remedy": remedy.isEmpty ? "" : "; \(remedy)",
                ]
            )
        case .damaged(let id, let reason): (.damaged, ["id": id, "reason": reason])
        case .noCgroup(let id, let verb): (.noCgroup, ["id": id, "verb": verb])
        case .configuration(let reason): (.configuration, ["reason": reason])
        case .option(let reason): (.option, ["reason": reason])
        case .criu(let verb, let reason): (.criu, ["verb": verb, "reason": ofNoProgram(reason)])
        case .remains(let cause, _): values(cause)
        case .launch(let error): values(error)
        case .cgroup(let error): (.cgroup, ["reason": ofNoProgram(error.description)])
        case .system(let error): (.system, ["reason": LaunchError.system(error).description])
        }
    }

    private static func values(_ error: LaunchError) -> (kind: Kind, values: [String: String]) {
        switch error {
        case .programNotFound(let name):
            let isPath = name.utf8.contains(UInt8(ascii: "/"))
            let reason = isPath ? "no such file or directory" : "executable file not found in $PATH"
            return (.programNotFound, ["program": name, "reason": reason])
        case .programNotExecutable(let name, .noSuchFile): return (.interpreterNotFound, ["program": name])
        case .programNotExecutable(let name, let errno):
            return (.programNotExecutable, ["program": name, "reason": errno.description])
        default: return (.launch, ["reason": ofNoProgram(error.description)])
        }
    }

    /// Callers take the kernel's sentence for ENOENT as "the program is missing", so it is said of nothing else.
    public static func ofNoProgram(_ text: String) -> String {
        let sentence = Array(Errno.noSuchFile.description.utf8)
        let bytes = Array(text.utf8)
        let lower = bytes.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }
        var result: [UInt8] = []
        var index = 0
        while index < bytes.count {
            if lower[index...].starts(with: sentence) {
                result += "it is not there".utf8
                index += sentence.count
            } else {
                result.append(bytes[index])
                index += 1
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    private static func fill(_ template: String, _ values: [String: String]) -> String {
        var result = ""
        var rest = Substring(template)
        while let open = rest.firstIndex(of: "{"), let close = rest[open...].firstIndex(of: "}") {
            result += rest[..<open] + (values[String(rest[rest.index(after: open)..<close])] ?? "")
            rest = rest[rest.index(after: close)...]
        }
        return result + rest
    }
}

extension FailureTable {
    /// A failure as it is told: its text, and what the program exits with.
    public static func outcome(_ error: any Error, ofExec: Bool = false) -> (text: String, exitCode: Int32) {
        func code(_ code: Int32) -> Int32 { ofExec && code == 1 ? execExitCode : code }
        switch error {
        case let error as ContainerError: return (error.description, code(error.exitCode))
        case let error as LaunchError: return outcome(ContainerError.launch(error), ofExec: ofExec)
        case let error as CgroupError: return outcome(ContainerError.cgroup(error), ofExec: ofExec)
        case let error as SystemError: return outcome(ContainerError.system(error), ofExec: ofExec)
        default: return (ofNoProgram("\(error)"), code(1))
        }
    }
}
