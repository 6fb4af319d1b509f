import CLinux
import Glibc
import LinuxSystem
import OCISpec

@testable import Container

/// A throw-away root file system with busybox, and specs as Docker writes them.
final class LaunchFixture: Sendable {
    static let busybox = "/usr/bin/busybox"
    static var isPossible: Bool { geteuid() == 0 && File.exists(busybox) }

    /// Where containers of the test at hand begin; nil is the host's mount namespace.
    @TaskLocal static var preparedMounts: PreparedMounts?

    let directory: String
    var root: String { "\(directory)/rootfs" }

    init() throws {
        directory = "/var/tmp/mlrun-launch-\(File.randomName())"
        for path in ["bin", "etc", "proc", "sys", "dev", "tmp", "place"] {
            try File.makeDirectories("\(directory)/rootfs/\(path)")
        }
        // A copy would now and then be busy, held open for writing by a process that another test is about to execute.
        if link(Self.busybox, "\(root)/bin/busybox") == 0 {
            try finish()
            return
        }
        let source = try File.open(Self.busybox, O_RDONLY)
        let copy = try File.open("\(root)/bin/busybox", O_WRONLY | O_CREAT, mode: 0o755)
        while try check(
            mlr_copy_file_range(source.rawValue, nil, copy.rawValue, nil, 1 << 24), "copy", path: Self.busybox) > 0
        {}
        try finish()
    }

    private func finish() throws {
        for name in ["sh", "ls", "cat", "id", "sleep", "true", "stat", "mount", "readlink", "touch", "kill", "tty"] {
            symlink("busybox", "\(root)/bin/\(name)")
        }
        try File.replace("\(root)/etc/passwd", with: Array("root:x:0:0::/root:/bin/sh\n".utf8), mode: 0o644)
        chmod(directory, 0o755)
    }

    deinit { try? File.removeTree(directory) }

    static let mounts = [
        RuntimeSpec.Mount(destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"]),
        RuntimeSpec.Mount(
            destination: "/dev", type: "tmpfs", source: "tmpfs",
            options: ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        RuntimeSpec.Mount(
            destination: "/dev/pts", type: "devpts", source: "devpts",
            options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
        RuntimeSpec.Mount(
            destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"]),
        RuntimeSpec.Mount(
            destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup",
            options: ["ro", "nosuid", "noexec", "nodev"]),
        RuntimeSpec.Mount(
            destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"]),
        RuntimeSpec.Mount(
            destination: "/dev/shm", type: "tmpfs", source: "shm",
            options: ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
    ]

    static func spec(_ script: String, root: String = "rootfs") -> RuntimeSpec {
        let capabilities = CapabilitySet.dockerDefault.names
        return RuntimeSpec(
            root: .init(path: root), mounts: mounts,
            process: .init(
                args: ["sh", "-c", script], env: ["PATH=/usr/bin:/bin", "TERM=xterm"], cwd: "/",
                capabilities: .init(effective: capabilities, bounding: capabilities, permitted: capabilities),
                rlimits: [.init(type: "RLIMIT_NOFILE", soft: 512, hard: 1024)], noNewPrivileges: true),
            hostname: "sentiment",
            linux: .init(
                namespaces: [.pid, .network, .ipc, .uts, .mount, .cgroup].map { .init($0) },
                maskedPaths: [
                    "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware", "/absent",
                ],
                readonlyPaths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]))
    }

    static func inUserNamespace(_ spec: RuntimeSpec, first: UInt32 = 200_000) -> RuntimeSpec {
        var spec = spec
        spec.linux?.namespaces.append(.init(.user))
        spec.linux?.uidMappings = [.init(containerID: 0, hostID: first, size: 65536)]
        spec.linux?.gidMappings = [.init(containerID: 0, hostID: first, size: 65536)]
        return spec
    }

    struct Outcome {
        var output: String
        var error: String
        var status: ExitStatus
        var lines: [String] { output.split(separator: "\n").map(String.init) }
    }

    /// Runs to the end, with output through pipes.
    func run(
        _ spec: RuntimeSpec, root: LaunchRequest.Root? = nil, extra: [SharedDescriptor] = [],
        cgroup: SharedDescriptor? = nil, listening: ListeningSockets? = nil, pivots: Bool = true
    ) throws -> Outcome {
        var options = LaunchPlanner.Options(bundle: directory)
        options.pivots = pivots
        let plan = try LaunchPlanner.plan(spec, host: try HostFacts.discover(), options: options)
        return try Self.capture { streams in
            var request = LaunchRequest(
                plan: plan, root: root ?? .path(self.root), streams: streams, cgroup: cgroup, extraDescriptors: extra)
            request.listening = listening
            request.preparedMounts = Self.preparedMounts
            return try Launcher.launch(request)
        }
    }

    static func capture(_ start: (LaunchRequest.Streams) throws -> ContainerProcess) throws -> Outcome {
        let (output, outputEnd) = try pipe()
        let (error, errorEnd) = try pipe()
        var ends: [SharedDescriptor] = [outputEnd, errorEnd]
        let process = try start(.files(input: nil, output: ends[0], error: ends[1]))
        ends = []
        return try withExtendedLifetime(process) {
            try finish(process, output, error, outputEnd, errorEnd)
        }
    }

    private static func finish(
        _ process: ContainerProcess, _ output: SharedDescriptor, _ error: SharedDescriptor,
        _ outputEnd: SharedDescriptor, _ errorEnd: SharedDescriptor
    ) throws -> Outcome {
        let status = try process.wait()
        // Pipes hold 64 KiB, more than any test prints, so they can be read after the end.
        func text(_ descriptor: SharedDescriptor) throws -> String {
            try check(mlr_set_nonblocking(descriptor.rawValue, true), "set up a pipe")
            var bytes = [UInt8](repeating: 0, count: 1 << 16)
            let got = read(descriptor.rawValue, &bytes, bytes.count)
            return String(decoding: bytes.prefix(max(0, got)), as: UTF8.self)
        }
        return Outcome(output: try text(output), error: try text(error), status: status)
    }

    private static func pipe() throws -> (SharedDescriptor, SharedDescriptor) {
        var ends: [Int32] = [-1, -1]
        try check(mlr_pipe(&ends, 0), "create a pipe")
        return (SharedDescriptor(taking: ends[0]), SharedDescriptor(taking: ends[1]))
    }
}
