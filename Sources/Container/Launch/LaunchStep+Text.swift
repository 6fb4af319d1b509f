public import OCISpec

extension LaunchStep {
    /// The step in words that read after "cannot", with the path or value it is about.
    public var purpose: String {
        switch self {
        case .becomeRoot: "take the ids of the container's root"
        case .join(let namespace): "join the \(namespace.kind.rawValue) namespace \(namespace.path ?? "")"
        case .unshareCgroup: "create a cgroup namespace"
        case .timeNamespace: "create a time namespace"
        case .isolateMounts: "cut the container's mounts off from the host's"
        case .attachRoot: "mount the root file system"
        case .ownRoot: "open the root of the mount namespace"
        case .rootOf(let process): "take the root of process \(process)"
        case .mount(let mount): "mount \(mount.type) on \(mount.target)"
        case .remount(let remount): "change the mount on \(remount.target)"
        case .mountReadOnly(let path): "make the mount on \(path) read-only"
        case .bind(let bind): "mount \(bind.source) on \(bind.target)"
        case .node(let node): "create the device \(node.path)"
        case .link(let path, let target): "create the link \(path) to \(target)"
        case .mask(let path): "mask \(path)"
        case .readOnly(let path): "make \(path) read-only"
        case .directory(let path): "create the directory \(path)"
        case .console: "open a terminal in the container's /dev/pts"
        case .hooks(let stage, _, _): "run the \(stage) hooks"
        case .enterRoot: "enter the root file system"
        case .rootPropagation(let propagation): "make the root mount \(propagation.rawValue)"
        case .rootReadOnly: "make the root file system read-only"
        case .hostName(let name): "set the host name \(name)"
        case .domainName(let name): "set the domain name \(name)"
        case .sysctl(let name, let value): "set the sysctl \(name) to \(value)"
        case .ownAttribute(let name, let value): "set the process attribute \(name) to \(value)"
        case .loopback: "bring the loopback interface up"
        case .session: "create a session"
        case .keyring: "create a session keyring"
        case .resourceLimit(let limit):
            "set \(limit.type) to \(Self.amount(limit.soft)) (hard \(Self.amount(limit.hard)))"
        case .scheduler(let scheduler): "set the scheduler \(scheduler.policy)"
        case .ioPriority(let priority): "set the I/O priority \(priority.ioClass) \(priority.priority)"
        case .personality(let personality): "set the personality \(personality.domain)"
        case .memoryPolicy(let policy): "set the memory policy \(policy.mode)"
        case .affinity(let list): "run on the processors \(list)"
        case .fileMask(let mask): "set the file mode mask \(String(mask, radix: 8))"
        case .streams: "set up standard input, output and error"
        case .workingDirectory(let path, _): "change the working directory to \(path)"
        case .boundingSet: "drop capabilities from the bounding set"
        case .user(let user, _): "become user \(user.uid) and group \(user.gid)"
        case .capabilities: "set the capabilities"
        case .noNewPrivileges: "set no_new_privs"
        case .endWithLauncher: "end with the program that launched it"
        case .seccomp: "load the seccomp filter"
        case .findProgram(let name, _): "find the program \(name)"
        case .gate: "wait at the start gate"
        case .execute(let arguments, _): "execute \(arguments.first ?? "")"
        }
    }

    /// The place in the configuration that it comes from, for the steps that come from one.
    var field: String? {
        switch self {
        case .resourceLimit: "process.rlimits"
        case .scheduler: "process.scheduler"
        case .ioPriority: "process.ioPriority"
        case .affinity: "process.execCPUAffinity.final"
        case .personality: "linux.personality"
        case .memoryPolicy: "linux.memoryPolicy"
        case .workingDirectory, .directory: "process.cwd"
        case .user: "process.user"
        case .seccomp: "linux.seccomp"
        case .hostName: "hostname"
        case .domainName: "domainname"
        case .sysctl(let name, _): "linux.sysctl.\(name)"
        case .rootPropagation: "linux.rootfsPropagation"
        case .mask: "linux.maskedPaths"
        case .readOnly: "linux.readonlyPaths"
        case .timeNamespace: "linux.timeOffsets"
        default: nil
        }
    }

    private static func amount(_ value: UInt64) -> String { value == .max ? "unlimited" : "\(value)" }

    /// One object with the step's name and its values.
    public var json: JSON {
        let (name, value) = described
        return .object(JSONObject([(name: name, value: value)]))
    }

    private var described: (String, JSON) {
        switch self {
        case .becomeRoot(let tolerant): ("becomeRoot", tolerant ? ["tolerant": true] : true)
        case .join(let namespace): ("join", namespace.json)
        case .unshareCgroup: ("unshareCgroup", true)
        case .timeNamespace(let offsets): ("timeNamespace", .strings(offsets.mapValues { $0.json.text() }))
        case .isolateMounts: ("isolateMounts", true)
        case .attachRoot(let inPlace): ("attachRoot", inPlace ? ["inPlace": true] : true)
        case .ownRoot: ("ownRoot", true)
        case .rootOf(let process): ("rootOf", ["process": .integer(Int64(process))])
        case .mount(let mount): ("mount", mount.json)
        case .remount(let remount): ("remount", remount.json)
        case .mountReadOnly(let path): ("mountReadOnly", .string(path))
        case .bind(let bind): ("bind", bind.json)
        case .node(let node): ("node", node.json)
        case .link(let path, let target): ("link", ["path": .string(path), "target": .string(target)])
        case .mask(let path): ("mask", .string(path))
        case .readOnly(let path): ("readOnly", .string(path))
        case .directory(let path): ("directory", .string(path))
        case .console(let path, let owner):
            ("console", ["path": path.map { .string($0) } ?? .null, "owner": .integer(Int64(owner))])
        case .hooks(let stage, let directory, let hooks):
            (
                "hooks",
                [
                    "stage": .string(stage), "directory": .string(directory), "list": .array(hooks.map(\.json)),
                ]
            )
        case .enterRoot(let pivots): ("enterRoot", pivots ? true : ["pivots": false])
        case .rootPropagation(let propagation): ("rootPropagation", .string(propagation.rawValue))
        case .rootReadOnly: ("rootReadOnly", true)
        case .hostName(let name): ("hostName", .string(name))
        case .domainName(let name): ("domainName", .string(name))
        case .sysctl(let name, let value): ("sysctl", ["name": .string(name), "value": .string(value)])
        case .ownAttribute(let name, let value): ("ownAttribute", ["name": .string(name), "value": .string(value)])
        default: describedProcess
        }
    }

    private var describedProcess: (String, JSON) {
        switch self {
        case .loopback: ("loopback", true)
        case .session: ("session", true)
        case .keyring(let name): ("keyring", .string(name))
        case .resourceLimit(let limit): ("resourceLimit", limit.json)
        case .scheduler(let scheduler): ("scheduler", scheduler.json)
        case .ioPriority(let priority): ("ioPriority", priority.json)
        case .personality(let personality): ("personality", personality.json)
        case .memoryPolicy(let policy): ("memoryPolicy", policy.json)
        case .affinity(let list): ("affinity", .string(list))
        case .fileMask(let mask): ("fileMask", .string(.octal(mask)))
        case .streams(let owner): ("streams", ["owner": .integer(Int64(owner))])
        case .workingDirectory(let path, let early):
            ("workingDirectory", ["path": .string(path), "early": .bool(early)])
        case .boundingSet(let mask): ("boundingSet", .string(.hexadecimal(mask)))
        case .user(let user, let tolerant): ("user", tolerant ? ["ids": user.json, "tolerant": true] : user.json)
        case .capabilities(let masks): ("capabilities", masks.json)
        case .noNewPrivileges: ("noNewPrivileges", true)
        case .endWithLauncher: ("endWithLauncher", true)
        case .seccomp(let flags, let raises, let last):
            ("seccomp", ["flags": .integer(Int64(flags)), "raises": .bool(raises), "last": .bool(last)])
        case .findProgram(_, let candidates): ("findProgram", .array(candidates.map { .string($0) }))
        case .gate: ("gate", true)
        case .execute(let arguments, let environment):
            (
                "execute",
                [
                    "arguments": .array(arguments.map { .string($0) }),
                    "environment": .array(environment.map { .string($0) }),
                ]
            )
        default: ("", .null)
        }
    }
}

extension CapabilityMasks {
    var json: JSON {
        [
            "effective": .string(.hexadecimal(effective)), "permitted": .string(.hexadecimal(permitted)),
            "inheritable": .string(.hexadecimal(inheritable)), "ambient": .string(.hexadecimal(ambient)),
        ]
    }
}

extension String {
    static func octal(_ number: UInt32) -> String { "0\(String(number, radix: 8))" }
    fileprivate static func hexadecimal(_ number: UInt64) -> String { "0x\(String(number, radix: 16))" }
}

extension JSON {
    fileprivate static func strings(_ map: [String: String]) -> JSON {
        .object(JSONObject(map.sorted { $0.key < $1.key }.map { (name: $0.key, value: .string($0.value)) }))
    }
}
