import CLinux
import Glibc
import LinuxSystem
import OCISpec

/// An mlrun of its own: its directories, and all that it started, which ``close()`` ends.
final class TestHost {
    let directory: TestDirectory
    var root: String { "\(directory.path)/root" }
    var state: String { "\(directory.path)/state" }
    var environment: [String: String] { ["MLRUN_ROOT": root, "MLRUN_STATE": state] }

    private init() throws {
        directory = try TestDirectory()
    }

    /// Gives a test an mlrun of its own and takes it down whatever happens.
    static func with<Result>(_ body: (TestHost) throws -> Result) throws -> Result {
        let host = try TestHost()
        defer { host.close() }
        do { return try body(host) } catch {
            throw TestFailure("\(error)\(host.diagnostics)")
        }
    }

    // MARK: Running mlrun

    /// Starts a program of mlrun in these directories.
    func start(
        _ program: String, _ arguments: [String], input: String = "/dev/null", terminal: String? = nil,
        environment extra: [String: String] = [:]
    ) throws -> Program {
        guard let programs = TestMachine.programs else { throw TestFailure("MLRUN_TEST_PROGRAMS is not set") }
        return try Program(
            ["\(programs)/\(program)"] + arguments, environment: environment.merging(extra) { $1 }, input: input,
            terminal: terminal)
    }

    /// Runs `mlrun` to its end, whatever that is.
    func mlrun(
        _ arguments: [String], input: String = "/dev/null", environment: [String: String] = [:], seconds: Int = 90
    ) throws -> Program.Outcome {
        try start("mlrun", arguments, input: input, environment: environment).wait(seconds: seconds)
    }

    /// Runs `mlrun`; a failure is an error.
    @discardableResult
    func succeed(_ arguments: String..., input: String = "/dev/null", seconds: Int = 90) throws -> Program.Outcome {
        try succeed(arguments, input: input, seconds: seconds)
    }

    @discardableResult
    func succeed(_ arguments: [String], input: String = "/dev/null", seconds: Int = 90) throws -> Program.Outcome {
        let outcome = try mlrun(arguments, input: input, seconds: seconds)
        guard outcome.status == 0 else { throw TestFailure("mlrun \(arguments.joined(separator: " ")): \(outcome)") }
        return outcome
    }

    /// Runs `mlrun` and parses what it prints.
    func json(_ arguments: String...) throws -> JSON {
        try JSON(parsing: Array(try succeed(arguments).output.utf8))
    }

    /// Runs a shell command line in a new container of the image and returns what it printed.
    func shell(_ image: String, _ options: [String] = [], _ script: String) throws -> Program.Outcome {
        try mlrun(["run", "--rm", "--quiet"] + options + [image, "sh", "-c", script])
    }

    // MARK: What runs

    /// What `inspect` says of a service.
    func inspect(_ service: String) throws -> JSON {
        let answer = try json("inspect", "--type", "service", service)
        guard let first = answer.array?.first else { throw TestFailure("inspect printed \(answer.text())") }
        return first
    }

    /// The host port of a service's first published port.
    func port(of service: String) throws -> Int {
        let details = try inspect(service)
        guard let port = details["ports"]?.array?.first?["hostPort"]?.int else {
            throw TestFailure("no published port in \(details.text())")
        }
        return port
    }

    /// The first process of a service's first replica, as the host numbers it.
    func replicaPID(of service: String) throws -> Int32 {
        let details = try inspect(service)
        guard let pid = details["instances"]?.array?.first?["process"]?["pid"]?.int else {
            throw TestFailure("no process in \(details.text())")
        }
        return Int32(pid)
    }

    var supervisorPID: Int32? {
        (try? File.readText("\(state)/mlrund.pid"))
            .flatMap { Int32($0.trimmingSuffix { $0.isWhitespace }) }.flatMap { Self.isAlive($0) ? $0 : nil }
    }

    var gatewayPID: Int32? {
        (try? File.read("\(state)/gateway.pid")).flatMap { try? JSON(parsing: $0) }?["pid"]?.int.map(Int32.init)
            .flatMap { Self.isAlive($0) ? $0 : nil }
    }

    static func isAlive(_ pid: Int32) -> Bool {
        guard let stat = try? File.readText("/proc/\(pid)/stat"), let close = stat.lastIndex(of: ")") else {
            return false
        }
        return !stat[close...].dropFirst(2).hasPrefix("Z")
    }

    /// The processes of its containers.
    var processes: [Int32] {
        cgroups.flatMap { group in
            ((try? File.readText("\(group)/cgroup.procs")) ?? "").split(separator: "\n").compactMap { Int32($0) }
        }
    }

    /// Mount points below the state directory.
    var mounts: [String] {
        ((try? File.readText("/proc/self/mountinfo")) ?? "").split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            return fields.count > 4 && fields[4].hasPrefix(directory.path) ? String(fields[4]) : nil
        }
    }

    // MARK: The end

    private func close() {
        _ = try? mlrun(["shutdown", "--stop-services"], seconds: 60)
        for pid in processes { kill(pid, SIGKILL) }
        for pid in [supervisorPID, gatewayPID].compactMap({ $0 }) { kill(pid, SIGKILL) }
        _ = TestMachine.eventually(within: 10) { supervisorPID == nil && gatewayPID == nil && processes.isEmpty }
        for point in mounts.reversed() { _ = mlr_umount(point, Int32(MLR_MNT_DETACH)) }
        for group in cgroups.reversed() { rmdir(group) }
    }

    /// Its cgroups, outermost first: mlrun names the one that holds the others by the FNV-1a hash of its state directory.
    private var cgroups: [String] {
        guard let mount = TestMachine.unifiedCgroups else { return [] }
        var hash: UInt32 = 2_166_136_261
        for byte in state.utf8 { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
        func below(_ group: String) -> [String] {
            [group]
                + ((try? File.list(group)) ?? []).map { "\(group)/\($0)" }
                .filter { File.exists("\($0)/cgroup.procs") }.flatMap(below)
        }
        let top = "\(mount)/mlrun-\(String(hash, radix: 16))"
        return File.exists(top) ? below(top) : []
    }

    /// What mlrund and the gateway wrote, for the report of a failure.
    private var diagnostics: String {
        ["mlrund.log", "gateway.log"].map { name in
            let text = (try? File.readText("\(root)/\(name)")) ?? ""
            return text.isEmpty ? "" : "\n--- \(name)\n\(text)"
        }.joined()
    }
}

extension String {
    func trimmingSuffix(while predicate: (Character) -> Bool) -> String {
        var text = self
        while let last = text.last, predicate(last) { text.removeLast() }
        return text
    }
}
