import CLinux
import Glibc
import LinuxSystem
import OCISpec

/// A place where calls of `mlrun-oci` fail: mount and network namespaces, a control group and a bundle of its own, and what
/// there is to be seen of containers in them.
///
/// The bundle has what takes a part of its own to undo: hooks of every stage, a network device, device rules, a group with a
/// parent, and a seccomp profile.
final class FaultMachine {
    let directory: TestDirectory
    private let runtime: String
    private let injector: String
    private let holder: Program
    private let group = "mlrt-\(File.randomName().prefix(8))"
    private var devices = 0

    static let device = "data"
    static let id = "one"
    private static let address = "10.9.8.7/24"

    /// syscall-faults, which is built with the tests.
    static let injector: String? = {
        guard let own = try? File.readLink("/proc/self/exe") else { return nil }
        let path = "\(File.parent(of: own))/syscall-faults"
        return access(path, X_OK) == 0 ? path : nil
    }()

    init() throws {
        guard let programs = TestMachine.programs, let injector = Self.injector else {
            throw TestFailure(TestMachine.needs)
        }
        self.injector = injector
        runtime = "\(programs)/mlrun-oci"
        directory = try TestDirectory()
        // Its environment is not the marked one, so that it is not taken for something left over.
        holder = try Program([
            "unshare", "--mount", "--net", "--propagation", "private", "sh", "-c",
            "mount -t cgroup2 cgroup2 /sys/fs/cgroup && mkdir /sys/fs/cgroup/\(group) && echo ready && exec sleep 100000",
        ])
        guard TestMachine.eventually(within: 10, { holder.outputSoFar().hasPrefix("ready") || !holder.isRunning }),
            holder.isRunning
        else { throw TestFailure("cannot make a machine: \(holder.errorsSoFar())") }
        try makeRoot()
    }

    deinit {
        removeEverything()
        rmdir("/proc/\(holder.pid)/root/sys/fs/cgroup/\(group)")
        holder.end()
    }

    // MARK: The bundle

    private func makeRoot() throws {
        for name in ["bin", "etc", "proc", "sys", "dev", "tmp"] {
            try File.makeDirectories("\(directory.path)/bundle/rootfs/\(name)")
        }
        try Program.succeed(
            "cp", TestMachine.path(of: "busybox") ?? "busybox", "\(directory.path)/bundle/rootfs/bin/busybox")
        for name in ["sh", "sleep", "true", "echo"] {
            symlink("busybox", "\(directory.path)/bundle/rootfs/bin/\(name)")
        }
        try writeBundle()
    }

    /// Writes the bundle's configuration.
    func writeBundle(
        program: [String] = ["sleep", "1000"], withDevice: Bool = true, failingHook: Bool = false,
        withUserNamespace: Bool = false
    ) throws {
        let environment = ["PATH=/bin", "MLRUN_FAULT_MARK=\(directory.path)"]
        func hook(_ path: String) -> RuntimeSpec.Hook { .init(path: path, env: environment) }
        let capabilities = ["CAP_KILL", "CAP_NET_BIND_SERVICE"]
        var spec = RuntimeSpec(
            root: .init(path: "rootfs"),
            mounts: [
                .init(destination: "/proc", type: "proc", source: "proc"),
                .init(destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755"]),
                .init(destination: "/dev/pts", type: "devpts", source: "devpts", options: ["newinstance"]),
                .init(destination: "/sys", type: "sysfs", source: "sysfs", options: ["ro"]),
                .init(destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["ro"]),
                .init(destination: "/tmp", type: "bind", source: directory.path, options: ["rbind", "ro"]),
            ],
            process: .init(
                args: program, env: environment, cwd: "/tmp",
                capabilities: .init(effective: capabilities, bounding: capabilities, permitted: capabilities),
                rlimits: [.init(type: "RLIMIT_NOFILE", soft: 256, hard: 512)], noNewPrivileges: true),
            hostname: "faults",
            linux: .init(
                namespaces: [.pid, .network, .ipc, .uts, .mount, .cgroup].map { .init($0) },
                resources: .init(devices: [.init(allow: false, access: "rwm")]),
                maskedPaths: ["/proc/kcore", "/sys/firmware"], readonlyPaths: ["/proc/sys"]))
        spec.linux?.cgroupsPath = "/\(group)/parent/\(Self.id)"
        spec.linux?.sysctl = ["net.ipv4.ip_unprivileged_port_start": "81"]
        spec.linux?.devices = [.init(type: "c", path: "/dev/mine", major: 1, minor: 3)]
        spec.linux?.seccomp = .init(
            defaultAction: "SCMP_ACT_ALLOW", syscalls: [.init(names: ["swapon"], action: "SCMP_ACT_ERRNO")])
        if withDevice { spec.linux?.netDevices = [Self.device: .init(name: "eth0")] }
        if withUserNamespace {
            // Those that can only be bound in are of the host's.
            spec.linux?.devices = []
            spec.linux?.namespaces.append(.init(.user))
            spec.linux?.uidMappings = [.init(containerID: 0, hostID: 200_000, size: 65536)]
            spec.linux?.gidMappings = [.init(containerID: 0, hostID: 200_000, size: 65536)]
        }
        spec.hooks = .init()
        spec.hooks?.prestart = [hook("/bin/true")]
        spec.hooks?.createRuntime = [hook(failingHook ? "/bin/false" : "/bin/true")]
        spec.hooks?.createContainer = [hook("/bin/true")]
        spec.hooks?.startContainer = [hook("/bin/true")]
        spec.hooks?.poststart = [hook("/bin/true")]
        spec.hooks?.poststop = [hook("/bin/true")]
        try directory.write("bundle/config.json", spec.json.bytes())
    }

    // MARK: Programs

    private var inside: [String] { ["nsenter", "--target", "\(holder.pid)", "--mount", "--net", "--"] }
    private var marks: [String: String] { ["MLRUN_FAULT_MARK": directory.path] }

    /// What a shell script calls the runtime by.
    var oci: String { "\(runtime) --root \(directory.path)/state" }
    var bundle: String { "\(directory.path)/bundle" }

    @discardableResult
    func run(_ script: String, seconds: Int = 20) throws -> Program.Outcome {
        try execute([], script, seconds: seconds)
    }

    /// A container keeps what its maker wrote to open, and a pipe would be waited for.
    private func execute(_ words: [String], _ script: String, seconds: Int = 20) throws -> Program.Outcome {
        let (output, errors) = ("\(directory.path)/output", "\(directory.path)/errors")
        var outcome = try Program.run(
            inside + words + ["sh", "-c", "exec >\(output) 2>\(errors)\n\(script)"], environment: marks,
            seconds: seconds)
        outcome.output = try File.readText(output)
        outcome.errors = try File.readText(errors)
        return outcome
    }

    /// Runs a script in which a call of the runtime fails, or with nil lists its calls.
    func inject(_ fault: Fault?, _ script: String) throws -> (outcome: Program.Outcome, report: String) {
        let report = "\(directory.path)/report"
        let words = [injector, "--program", runtime, "--report", report] + (fault?.options ?? [])
        let outcome = try execute(words, script)
        return (outcome, try File.readText(report))
    }

    /// Makes the network device that the bundle asks for, unless it is there.
    func makeDevice() throws {
        if hasDevice { return }
        devices += 1
        let outcome = try run(
            "ip link add \(Self.device) type veth peer name peer\(devices) && ip addr add \(Self.address) dev \(Self.device) && ip link set \(Self.device) up && ip link set peer\(devices) up"
        )
        if outcome.status != 0 { throw TestFailure("cannot make a network device: \(outcome)") }
    }

    var hasDevice: Bool {
        ((try? File.readText("/proc/\(holder.pid)/net/dev")) ?? "").split(separator: "\n").contains {
            $0.drop { $0 == " " }.hasPrefix("\(Self.device):")
        }
    }

    /// Whether the device is there as it was made.
    func hasWholeDevice() throws -> Bool {
        let text = try run("ip addr show dev \(Self.device)").output
        return text.contains(Self.address) && text.contains(",UP")
    }

    /// Removes the compiled filters, without which the next container makes the same calls as the first one did.
    func forgetFilters() { try? File.removeTree("\(directory.path)/state/.seccomp") }

    // MARK: What is there

    /// What containers, and attempts to make them, can leave.
    struct Traces: Equatable {
        var processes: [Int32: String] = [:]
        var mounts: Set<String> = []
        var groups: Set<String> = []
        var files: Set<String> = []

        func beyond(_ other: Traces) -> [String] {
            processes.filter { other.processes[$0.key] == nil }.map { "the process \($0.key) (\($0.value))" }.sorted()
                + mounts.subtracting(other.mounts).map { "the mount \($0)" }.sorted()
                + groups.subtracting(other.groups).map { "the cgroup \($0)" }.sorted()
                + files.subtracting(other.files).map { "the file \($0)" }.sorted()
        }
    }

    func traces() -> Traces {
        var traces = Traces()
        let mark = Array("MLRUN_FAULT_MARK=\(directory.path)".utf8)
        for name in (try? File.list("/proc")) ?? [] {
            guard let pid = Int32(name), let environment = try? File.read("/proc/\(name)/environ"),
                environment.split(separator: 0).contains(where: { $0.elementsEqual(mark) })
            else { continue }
            let line = ((try? File.readText("/proc/\(name)/cmdline")) ?? "").map { $0 == "\0" ? " " : $0 }
            traces.processes[pid] = String(line)
        }
        let mounts = (try? File.readText("/proc/\(holder.pid)/mountinfo")) ?? ""
        traces.mounts = Set(mounts.split(separator: "\n").map(String.init))
        traces.groups = Set(Self.folders(below: "/proc/\(holder.pid)/root/sys/fs/cgroup/\(group)"))
        for name in (try? File.list("\(directory.path)/state")) ?? [] {
            // The cache of compiled filters is to stay, but nothing unfinished in it.
            if name != ".seccomp" { traces.files.insert("state/\(name)") }
        }
        for folder in ["state/.seccomp", "bundle", "."] {
            for name in (try? File.list("\(directory.path)/\(folder)")) ?? [] where name.hasSuffix(".tmp") {
                traces.files.insert("\(folder)/\(name)")
            }
        }
        return traces
    }

    private static func folders(below folder: String) -> [String] {
        ((try? File.list(folder)) ?? []).map { "\(folder)/\($0)" }.filter { File.exists("\($0)/cgroup.procs") }
            .flatMap { [$0] + folders(below: $0) }
    }

    /// What is there beyond these traces; what is ending gets a moment for it.
    func leftovers(beyond before: Traces, milliseconds: Int64 = 300) -> [String] {
        let deadline = TestMachine.milliseconds + milliseconds
        while true {
            let left = traces().beyond(before)
            if left.isEmpty || TestMachine.milliseconds > deadline { return left }
            TestMachine.pause(milliseconds: 3)
        }
    }

    /// So that what one fault left does not fail the next one.
    func removeEverything() {
        let left = traces()
        for pid in left.processes.keys { kill(pid, SIGKILL) }
        let groups = left.groups.sorted { $0.utf8.count > $1.utf8.count }
        for group in groups { try? File.put("1", into: "\(group)/cgroup.kill") }
        _ = TestMachine.eventually(within: 5) { groups.allSatisfy { rmdir($0) == 0 || errno == ENOENT } }
        try? File.removeTree("\(directory.path)/state/\(Self.id)")
    }
}

/// A system call of one process of the runtime, and what becomes of it.
struct Fault: CustomStringConvertible {
    /// As syscall-faults names it: "1.2" is the second child of the first process.
    var process: String
    var call: Int
    var name: String
    /// Nil: the process is killed before the call.
    var error: String?

    var options: [String] {
        if let error { return ["--fail", "\(process):\(call):\(error)"] }
        return ["--kill", "\(process):\(call)"]
    }
    var description: String {
        "\(name) (\(process):\(call)) \(error.map { "fails with \($0)" } ?? "is preceded by SIGKILL")"
    }

    /// The faults that a list of syscall-faults offers, in an order that is the same in every run.
    static func all(_ list: String, killing: Bool) -> [Fault] {
        let lines = list.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
        let faults = lines.flatMap { words -> [Fault] in
            guard words.count > 3, let call = Int(words[1]) else { return [] }
            let fault = Fault(process: words[0], call: call, name: words[2])
            if killing { return [fault] }
            if words[3] == "-" { return [] }
            return words[3...].map { error in
                var fault = fault
                fault.error = error
                return fault
            }
        }
        return faults.sorted { ($0.process, $0.call) < ($1.process, $1.call) }
    }
}
