import CLinux
import Glibc
import ImageStore
import LinuxSystem
import OCISpec
import Testing

@testable import Serving

/// A supervisor as a process of its own, with directories of its own, ended with all it started.
final class TestSupervisor {
    let place: TemporaryDirectory
    let directories: MLRunDirectories
    private var process: Victim?
    /// The namespaces it runs in; nil for the host's, with mounts of its own.
    private let machine: PrivateMachine?
    private let environment: [String]

    init(on machine: PrivateMachine? = nil, environment: [String] = []) throws {
        self.machine = machine
        self.environment = environment
        place = try TemporaryDirectory()
        directories = MLRunDirectories(root: "\(place.path)/root", state: "\(place.path)/state")
        chmod(place.path, 0o711)
        for path in [directories.root, directories.state] { try File.makeDirectories(path, mode: 0o711) }
    }

    var log: String { "\(place.path)/mlrund.log" }

    func start() throws {
        process = try Victim.start(
            "supervise", [directories.root, directories.state, Self.gateway], log: log, inOwnMounts: machine == nil,
            wrapper: machine.map { $0.prefix + ["env"] + environment } ?? [])
        for _ in 0..<2000 {
            if (try? ControlClient(directories).call(.ping)) != nil { return }
            usleep(10_000)
        }
        throw SystemError("reach the supervisor: \((try? File.readText(log)) ?? "")", .timedOut)
    }

    func kill() {
        process?.kill()
        process = nil
    }

    static var gateway: String {
        "\(File.parent(of: (try? File.readLink("/proc/self/exe")) ?? ""))/mlrun-gateway"
    }

    func call(_ request: ControlRequest, onEvent: (JSON) -> Bool = { _ in true }) throws -> JSON {
        try ControlClient(directories).call(request, onEvent: onEvent)
    }

    func lines(of service: String) throws -> [String] {
        var lines: [String] = []
        try LogReader(ServiceFiles(directories, name: service).log, LogQuery()).read { record in
            lines.append(record.message)
            return true
        }
        return lines
    }

    func processID(of service: String) throws -> Int32? {
        let details = try call(.inspect(name: service))
        return details["instances"]?.array?.last?["process"]?["pid"]?.int.map { Int32($0) }
    }

    deinit {
        if process == nil { try? start() }
        _ = try? call(.shutdown(stopsServices: true))
        if process != nil { kill() }
    }
}

@Suite("the supervisor", .serialized, .enabled(if: geteuid() == 0 && BusyboxImage.isPossible, "needs root and busybox"))
struct SupervisorTests {
    /// Counts, so that what is missing or doubled in its log is seen.
    private static let counting = "i=0; while true; do echo line $i; i=$((i+1)); sleep 0.02; done"

    private func settings(_ supervisor: TestSupervisor, _ name: String, _ script: String) throws -> ServiceSettings {
        let image = try BusyboxImage.install(in: supervisor.directories, scratch: supervisor.place.path)
        var settings = ServiceSettings(
            name: name,
            image: .init(
                reference: image.reference, manifestDigest: image.manifestDigest, configDigest: image.config))
        settings.entrypoint = ["/bin/sh", "-c", script]
        settings.ready = .none
        settings.live = .none
        settings.stopTimeout = .seconds(1)
        return settings
    }

    @Test("a service starts, becomes ready, is listed, logs, and stops without leaving anything")
    func life() throws {
        let supervisor = try TestSupervisor()
        try supervisor.start()
        var settings = try settings(
            supervisor, "life", "echo I am $(id -u); busybox httpd -p 8000 -h /www; exec sleep 1000")
        settings.ready = .http(path: "/index.html", port: 8000)
        settings.user = "server"
        var kinds: [String] = []
        let result = try supervisor.call(.start(settings, phases: [.init(.pull, seconds: 1.5)], waits: true)) { event in
            kinds.append(event["kind"]?.string ?? "")
            return true
        }
        #expect(result["status"]?.string == "ready")
        #expect(kinds.contains("launched") && kinds.last == "ready")
        let report = result["startReport"]?.array?.compactMap { $0["phase"]?.string } ?? []
        #expect(report == ["pull", "mount", "isolate", "exec", "port open", "ready"])
        let list = try supervisor.call(.list).array ?? []
        #expect(list.map { $0["name"]?.string } == ["life"] && list[0]["status"]?.string == "ready")
        let pid = try #require(try supervisor.processID(of: "life"))
        #expect(try File.readText("/proc/\(pid)/uid_map").split(separator: " ").last != nil)
        #expect(throws: ControlError.self) { try supervisor.call(.start(settings, phases: [], waits: true)) }

        _ = try supervisor.call(.stop(name: "life", timeout: nil, force: false))
        #expect(ProcessTable.startTime(of: pid) == nil)
        #expect(try supervisor.lines(of: "life").contains("I am 1000"))
        #expect(try File.list(supervisor.directories.replicas).isEmpty)
        let details = try supervisor.call(.inspect(name: "life"))
        let cgroup = try #require(details["instances"]?.array?.last?["cgroup"]?.string)
        #expect(!File.exists(cgroup))
        _ = try supervisor.call(.remove(name: "life", force: false))
        #expect(try supervisor.call(.list).array?.isEmpty == true)
        #expect(throws: ControlError.self) { try supervisor.call(.inspect(name: "life")) }
    }

    @Test("a supervisor that is killed leaves the replica running, and the next one takes it over with no line lost")
    func adoption() throws {
        let supervisor = try TestSupervisor()
        try supervisor.start()
        let settings = try settings(supervisor, "counter", Self.counting)
        _ = try supervisor.call(.start(settings, phases: [], waits: true))
        let pid = try #require(try supervisor.processID(of: "counter"))
        for _ in 0..<3 {
            usleep(300_000)
            supervisor.kill()
            usleep(300_000)
            try supervisor.start()
        }
        #expect(try supervisor.processID(of: "counter") == pid)
        let list = try supervisor.call(.list).array ?? []
        #expect(list[0]["restarts"]?.int == 0 && list[0]["status"]?.string == "ready")
        usleep(200_000)
        _ = try supervisor.call(.stop(name: "counter", timeout: nil, force: true))
        let numbers = try supervisor.lines(of: "counter").compactMap { Int($0.dropFirst(5)) }
        #expect(numbers.count > 30)
        #expect(numbers == Array(0..<numbers.count))
    }

    @Test("a replica that dies while no supervisor runs is found with its exit code, and started again")
    func deathUnobserved() throws {
        let supervisor = try TestSupervisor()
        try supervisor.start()
        let script = "trap 'exit 7' TERM; while true; do sleep 0.05; done"
        let settings = try settings(supervisor, "mortal", script)
        _ = try supervisor.call(.start(settings, phases: [], waits: true))
        let pid = try #require(try supervisor.processID(of: "mortal"))
        supervisor.kill()
        #expect(kill(pid, SIGTERM) == 0)
        usleep(500_000)
        try supervisor.start()
        var details = JSON.null
        for _ in 0..<400 {
            details = try supervisor.call(.inspect(name: "mortal"))
            if details["restarts"]?.int == 1, details["status"]?.string == "ready" { break }
            usleep(20_000)
        }
        #expect(details["status"]?.string == "ready")
        #expect(details["restarts"]?.int == 1)
        let death = details["lastDeath"]?.string ?? ""
        if KernelVersion.current >= KernelVersion(6, 15) { #expect(death.contains("7"), "\(death)") }
        #expect(try supervisor.processID(of: "mortal") != pid)
    }

    @Test("a start that fails says why, with the last lines of the log and the program's exit code")
    func failure() throws {
        let supervisor = try TestSupervisor()
        try supervisor.start()
        var settings = try settings(supervisor, "broken", "echo cannot find the model; exit 3")
        settings.ready = .tcp(port: 8000)
        let error = try #require(throws: ControlError.self) {
            try supervisor.call(.start(settings, phases: [], waits: true))
        }
        #expect(error.exitCode == 3)
        #expect(error.message.contains("cannot find the model"))
        settings.entrypoint = ["/bin/nothing"]
        let missing = try #require(throws: ControlError.self) {
            try supervisor.call(.start(settings, phases: [], waits: true))
        }
        #expect(missing.exitCode == 127)
        #expect(missing.message.contains("/bin/nothing"))
    }

    @Test("an occupied port is named with its owner, and nothing is left of the start")
    func occupiedPort() throws {
        let supervisor = try TestSupervisor()
        try supervisor.start()
        let socket = SharedDescriptor(
            taking: try check(mlr_socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0), "create a socket"))
        try check(mlr_bind_ipv4(socket.rawValue, 0x7F00_0001, 0), "bind")
        try check(mlr_listen(socket.rawValue, 1), "listen")
        let port = UInt16(try check(mlr_local_port(socket.rawValue), "find the port"))
        var settings = try settings(supervisor, "blocked", "exec sleep 1000")
        settings.ports = [PublishedPort(hostIP: "127.0.0.1", hostPort: port, containerPort: 8000)]
        let error = try #require(throws: ControlError.self) {
            try supervisor.call(.start(settings, phases: [], waits: true))
        }
        #expect(error.message.contains("port \(port) is in use"))
        #expect(error.message.contains("process \(getpid())"))
        #expect(try supervisor.call(.list).array?.isEmpty == true)
    }

    @Test("a zero byte in a setting is refused when it is asked for, with its place")
    func zeroByte() throws {
        let supervisor = try TestSupervisor()
        try supervisor.start()
        var settings = try settings(supervisor, "zero", "exec sleep 1000")
        settings.environment = ["A=b", "C=d\0e"]
        let error = try #require(throws: ControlError.self) {
            try supervisor.call(.start(settings, phases: [], waits: false))
        }
        #expect(error.message.contains("environment[1]") && error.message.contains("zero byte"), "\(error)")
        #expect(try supervisor.call(.list).array?.isEmpty == true)
    }

    @Test("removing much does not keep the supervisor from answering, and one that is killed meanwhile is succeeded")
    func slowRemoval() throws {
        let supervisor = try TestSupervisor()
        try supervisor.start()
        let settings = try settings(supervisor, "large", "exec sleep 1000")
        _ = try supervisor.call(.start(settings, phases: [], waits: true))
        _ = try supervisor.call(.stop(name: "large", timeout: nil, force: true))
        let files = ServiceFiles(supervisor.directories, name: "large")
        for number in 0..<60_000 {
            let directory = "\(files.directory)/replicas/large-1/scratch/\(number % 100)"
            if number < 100 { try File.makeDirectories(directory) }
            close(open("\(directory)/\(number)", O_CREAT | O_WRONLY, 0o600))
        }
        let directories = supervisor.directories
        Task.detached { _ = try? ControlClient(directories).call(.remove(name: "large", force: false)) }
        // Taken away at once, and deleted while others are answered.
        var answers = 0
        while File.exists(files.directory) { usleep(1000) }
        let removed = RemovedFiles(directories)
        while try !removed.remains.isEmpty, answers < 3 {
            _ = try supervisor.call(.ping)
            answers += 1
        }
        #expect(answers == 3, "it answers while it deletes")
        let taken = try #require(throws: ControlError.self) {
            try supervisor.call(.start(settings, phases: [], waits: false))
        }
        #expect(taken.message.contains("is being removed"), "\(taken)")
        supervisor.kill()
        #expect(try !removed.remains.isEmpty, "it was killed in the middle")
        try supervisor.start()
        #expect(try supervisor.call(.list).array?.isEmpty == true)
        for _ in 0..<1000 {
            if try removed.remains.isEmpty { break }
            usleep(10_000)
        }
        #expect(try removed.remains.isEmpty)
    }

    @Test("two supervisors of a host give their containers ids that have nothing in common")
    func separateIDs() throws {
        let supervisors = [try TestSupervisor(), try TestSupervisor()]
        var ranges: Set<String> = []
        for supervisor in supervisors {
            try supervisor.start()
            let settings = try settings(supervisor, "apart", "exec sleep 1000")
            _ = try supervisor.call(.start(settings, phases: [], waits: true))
            let pid = try #require(try supervisor.processID(of: "apart"))
            let map = try File.readText("/proc/\(pid)/uid_map").split(separator: " ").map(String.init)
            #expect(map[0] == "0" && map[2].hasPrefix("65536"))
            ranges.insert(map[1])
        }
        #expect(ranges.count == 2, "\(ranges)")
    }

    /// The process that the others talk to.
    @Test("as a process of its own: supervises", .enabled(if: Victim.role == "supervise", "only as a child"))
    func superviseForever() throws {
        let arguments = Victim.arguments
        try Supervisor.run(MLRunDirectories(root: arguments[0], state: arguments[1]), gateway: arguments[2])
    }

    @Test("a user outside of the container's ids is refused, and the supervisor goes on")
    func foreignUser() throws {
        let supervisor = try TestSupervisor()
        try supervisor.start()
        var settings = try settings(supervisor, "foreign", "exec sleep 1000")
        settings.user = "4294967294"
        settings.restart = .no
        #expect { try supervisor.call(.start(settings, phases: [], waits: true)) } throws: { error in
            "\(error)".contains("4294967294:0 is outside of the 65536 ids") && "\(error)".contains("--userns host")
        }
        #expect(try supervisor.call(.ping)["pid"]?.int != nil)
    }

    @Test("a service whose record is damaged can still be removed by force, with its processes")
    func damagedRecord() throws {
        let supervisor = try TestSupervisor()
        try supervisor.start()
        _ = try supervisor.call(
            .start(try settings(supervisor, "damaged", "exec sleep 1000"), phases: [], waits: true))
        let details = try supervisor.call(.inspect(name: "damaged"))
        let cgroup = try #require(details["instances"]?.array?.last?["cgroup"]?.string)
        #expect(File.exists(cgroup))
        let files = ServiceFiles(supervisor.directories, name: "damaged")
        supervisor.kill()
        try File.replace(files.record, with: Array("{\"settings\":".utf8), durable: false)
        try File.makeDirectories("\(supervisor.directories.services)/never-recorded/replicas")
        try supervisor.start()
        #expect(try supervisor.call(.list).array?.isEmpty == true)
        #expect(!File.exists("\(supervisor.directories.services)/never-recorded"))
        #expect(throws: ControlError.self) { try supervisor.call(.remove(name: "damaged", force: false)) }
        _ = try supervisor.call(.remove(name: "damaged", force: true))
        // The kernel removes no group that holds a process.
        #expect(!File.exists(cgroup))
        #expect(!File.exists(files.directory))
        #expect(try File.list(supervisor.directories.replicas).isEmpty)
        for name in ["../state", "", "damaged"] {
            #expect(throws: ControlError.self) { try supervisor.call(.remove(name: name, force: true)) }
        }
        #expect(File.exists(supervisor.directories.state))
    }

    @Test("what a container writes cannot keep it from being removed: names that are no text, trees without end")
    func hostileFiles() throws {
        let supervisor = try TestSupervisor()
        try supervisor.start()
        let script =
            "touch \"$(printf '/\\377x')\"; cd /; i=0; while [ $i -lt 3000 ]; do mkdir d && cd d; i=$((i+1)); done; echo done; exec sleep 1000"
        _ = try supervisor.call(.start(try settings(supervisor, "hostile", script), phases: [], waits: true))
        for _ in 0..<600 {
            if try supervisor.lines(of: "hostile").contains("done") { break }
            usleep(100_000)
        }
        #expect(try supervisor.lines(of: "hostile").contains("done"))
        #expect(try File.status(supervisor.directories.services).mode & 0o077 == 0)
        _ = try supervisor.call(.remove(name: "hostile", force: true))
        #expect(!File.exists(ServiceFiles(supervisor.directories, name: "hostile").directory))
    }
}
