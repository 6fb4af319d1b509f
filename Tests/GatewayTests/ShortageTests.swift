import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import mlrun_gateway

/// The program when it may open no more descriptors.
@Suite struct ShortageTests {
    private struct Running {
        let pid: pid_t
        let pidfd: SharedDescriptor
        let path: String

        /// Processor time so far, in clock ticks.
        var ticks: Int {
            get throws {
                let stat = try File.readText("/proc/\(pid)/stat")
                let fields = stat[stat.lastIndex(of: ")")!...].split(separator: " ")
                return (Int(fields[12]) ?? 0) + (Int(fields[13]) ?? 0)
            }
        }

        /// Whether it keeps a processor busy, at a time when it has nothing to do but to wait.
        func spins() throws -> Bool {
            let before = try ticks
            usleep(1_000_000)
            return try ticks - before > sysconf(Int32(_SC_CLK_TCK)) / 2
        }
    }

    private func start(files: Int) throws -> Running {
        let path = "/tmp/mlrun-gateway-test.\(File.randomName()).sock"
        let socket = SharedDescriptor(
            taking: try check(mlr_socket(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue), 0), "create a socket"))
        try check(mlr_bind_unix(socket.rawValue, path), "bind")
        try check(mlr_listen(socket.rawValue, 128), "listen")
        let program = File.parent(of: try File.readLink("/proc/self/exe")) + "/mlrun-gateway"
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, socket.rawValue, 20)
        let script = "ulimit -n \(files); exec \"$0\" --control-fd 20 --max-connections 1000"
        let command: [String] = ["/bin/sh", "-c", script, program]
        var words: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) }
        defer { for word in words { free(word) } }
        words.append(nil)
        var pid: pid_t = 0
        let result = posix_spawn(&pid, "/bin/sh", &actions, nil, words, nil)
        guard result == 0 else { throw SystemError("start", path: program, Errno(rawValue: result)) }
        return Running(
            pid: pid, pidfd: SharedDescriptor(taking: try check(mlr_pidfd_open(pid), "open the process")), path: path)
    }

    private func end(_ running: Running) {
        mlr_pidfd_send_signal(running.pidfd.rawValue, SIGKILL)
        var (code, value): (Int32, Int32) = (0, 0)
        mlr_wait_pidfd(running.pidfd.rawValue, 0, &code, &value)
        unlink(running.path)
    }

    @Test("with no descriptor left for clients it waits instead of spinning, and goes on when some end")
    func clients() throws {
        let running = try start(files: 60)
        defer { end(running) }
        let control = try ControlClient(running.path)
        let server = try FakeServer.answering { _ in "served" }
        let (listening, port) = try GatewayTests.listen()
        try control.done(
            [
                "op": "listen", "id": "a", "service": "s", "protocol": "http",
                "containerPort": .integer(Int64(server.port)),
            ], listening)
        try control.done(["op": "replica-add", "service": "s", "replica": "r", "state": "ready"])
        var idle: [TestSocket] = []
        for _ in 0..<100 { idle.append(try .connect(port)) }
        #expect(
            try eventually { (try control.done(["op": "stats"]).first?.json["connections"]?.int ?? 0) >= 20 })
        #expect(try !running.spins())
        idle = []
        let client = TestReader(try .connect(port))
        try client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(try client.message().text == "served")
    }

    @Test("with no descriptor left for supervisors it waits instead of spinning, and goes on when some end")
    func supervisors() throws {
        let running = try start(files: 60)
        defer { end(running) }
        let control = try ControlClient(running.path)
        try control.done(["op": "list"])
        var others: [ControlClient] = []
        for _ in 0..<100 { others.append(try ControlClient(running.path)) }
        #expect(try !running.spins())
        try control.done(["op": "list"])
        others = []
        let late = try ControlClient(running.path)
        try late.done(["op": "list"])
    }
}
