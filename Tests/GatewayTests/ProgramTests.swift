import CLinux
import Gateway
import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import mlrun_gateway

@Suite struct ProgramTests {
    @Test("the command line is read as it says, in both spellings")
    func options() throws {
        var expected = GatewayOptions(controlDescriptor: 3)
        #expect(try GatewayOptions.parse(["--control-fd", "3"]) == .serve(expected))
        expected.user = .init(uid: 1000, gid: 2000)
        expected.threads = 4
        expected.drainTimeout = 1.5
        expected.maxConnections = 100
        expected.maxConnectionsPerClient = 10
        #expect(expected.connections(descriptors: 1024).total == 100)
        #expect(expected.connections(descriptors: 1024).perClient == 10)
        let arguments = [
            "--control-fd=3", "--user=1000:2000", "--threads", "4", "--drain-timeout", "1.5", "--max-connections=100",
            "--max-connections-per-client=10",
        ]
        #expect(try GatewayOptions.parse(arguments) == .serve(expected))
        #expect(try GatewayOptions.parse(["-h"]) == .help)
    }

    @Test(
        "a wrong command line is refused with the option that is wrong",
        arguments: [
            ([], "--control-fd is missing"), (["--control-fd"], "--control-fd needs a value"),
            (["--control-fd", "-1"], "--control-fd -1"), (["--control-fd", "3", "--user", "nobody"], "--user nobody"),
            (["--control-fd", "3", "--user", "1:4294967295"], "--user 1:4294967295"),
            (["--control-fd", "3", "--threads", "0"], "--threads 0"), (["--fast"], "unknown option --fast"),
            (["--control-fd", "3", "--control-fd", "4"], "--control-fd is given twice"),
            (["--control-fd", "3", "--drain-timeout", "nan"], "--drain-timeout nan"),
            (["--control-fd", "3", "--max-connections", "0"], "--max-connections 0"),
            (["--control-fd", "3", "--max-connections-per-client", "x"], "--max-connections-per-client x"),
        ])
    func wrongOptions(arguments: [String], message: String) {
        let error = #expect(throws: OptionError.self) { try GatewayOptions.parse(arguments) }
        #expect(error?.message.hasPrefix(message) == true, "\(error?.message ?? "")")
    }

    /// Starts the program with `socket` as its descriptor 20.
    private func start(_ socket: SharedDescriptor, _ arguments: [String]) throws -> pid_t {
        let program = File.parent(of: try File.readLink("/proc/self/exe")) + "/mlrun-gateway"
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, socket.rawValue, 20)
        var vector: [UnsafeMutablePointer<CChar>?] = ([program, "--control-fd", "20"] + arguments).map { strdup($0) }
        defer { for argument in vector { free(argument) } }
        vector.append(nil)
        var pid: pid_t = 0
        let result = posix_spawn(&pid, program, &actions, nil, vector, nil)
        guard result == 0 else { throw SystemError("start", path: program, Errno(rawValue: result)) }
        return pid
    }

    @Test(
        "the program gives up its privileges, serves, sleeps while it has nothing to do, and ends on SIGTERM",
        .enabled(if: geteuid() == 0, "needs root: it becomes another user"))
    func program() throws {
        let path = "/tmp/mlrun-gateway-test.\(File.randomName()).sock"
        defer { unlink(path) }
        let socket = SharedDescriptor(
            taking: try check(mlr_socket(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue), 0), "create a socket"))
        try check(mlr_bind_unix(socket.rawValue, path), "bind")
        try check(mlr_listen(socket.rawValue, 8), "listen")
        let pid = try start(socket, ["--user", "65534:65533"])
        let pidfd = SharedDescriptor(taking: try check(mlr_pidfd_open(pid), "open the process"))
        defer { mlr_pidfd_send_signal(pidfd.rawValue, SIGKILL) }

        let control = try ControlClient(path)
        let server = try FakeServer.answering { _ in "served" }
        let (listening, port) = try GatewayTests.listen()
        let listen: JSON = [
            "op": "listen", "id": "a", "service": "s", "protocol": "http",
            "containerPort": .integer(Int64(server.port)),
        ]
        try control.done(listen, listening)
        try control.done(
            ["op": "replica-add", "service": "s", "replica": "r", "state": "ready"], try FakeAgent().client)
        do {
            let client = TestReader(try .connect(port))
            try client.socket.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try client.message().text == "served")
        }
        let status = try File.readText("/proc/\(pid)/status")
        for line in [
            "Uid:\t65534\t65534\t65534\t65534", "Gid:\t65533\t65533\t65533\t65533", "Groups:\t \n", "NoNewPrivs:\t1",
            "CapEff:\t0000000000000000", "CapPrm:\t0000000000000000",
        ] { #expect(status.contains(line), "\(line)") }

        // What the last connection has left behind may wake it once more.
        usleep(500_000)
        let before = try switches(pid)
        usleep(2_000_000)
        #expect(try switches(pid) - before <= 2)

        mlr_pidfd_send_signal(pidfd.rawValue, SIGTERM)
        var (code, value): (Int32, Int32) = (0, 0)
        #expect(eventually { mlr_wait_pidfd(pidfd.rawValue, Int32(MLR_WNOHANG), &code, &value) == 1 })
        #expect(code == Int32(MLR_CLD_EXITED) && value == 0)
    }

    @Test("with a connected control socket the program belongs to the other end, and ends with it")
    func owned() throws {
        var ends: [Int32] = [-1, -1]
        try check(mlr_socketpair(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue), &ends), "create a socket pair")
        let control = ControlClient(SharedDescriptor(taking: ends[0]))
        let pid: pid_t
        do {
            // Only the program may hold it.
            let theirs = SharedDescriptor(taking: ends[1])
            pid = try start(theirs, [])
        }
        let pidfd = SharedDescriptor(taking: try check(mlr_pidfd_open(pid), "open the process"))
        defer { mlr_pidfd_send_signal(pidfd.rawValue, SIGKILL) }
        let (listening, port) = try GatewayTests.listen()
        try control.done(
            ["op": "listen", "id": "a", "service": "s", "protocol": "http", "containerPort": 9], listening)
        // A request under way does not keep it.
        let client = try TestSocket.connect(port)
        try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(try eventually { try control.done(["op": "stats"]).first?.json["queued"]?.int == 1 })
        control.disconnect()
        var (code, value): (Int32, Int32) = (0, 0)
        #expect(eventually { mlr_wait_pidfd(pidfd.rawValue, Int32(MLR_WNOHANG), &code, &value) == 1 })
        #expect(code == Int32(MLR_CLD_EXITED) && value == 0)
    }

    /// How often the threads of a process have gone to sleep or been put there.
    private func switches(_ pid: pid_t) throws -> Int {
        try File.list("/proc/\(pid)/task").reduce(0) { sum, thread in
            let lines = try File.readText("/proc/\(pid)/task/\(thread)/status").split(separator: "\n")
            return sum
                + lines.filter { $0.contains("ctxt_switches:") }.reduce(0) {
                    $0 + (Int($1.split(separator: "\t").last ?? "") ?? 0)
                }
        }
    }
}
