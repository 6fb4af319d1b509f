import CLaunch
import CLinux
import Glibc
import LinuxSystem
import Testing

@testable import Serving

@Suite("the socket agent", .enabled(if: geteuid() == 0, "makes namespaces"))
struct SocketAgentTests {
    /// A process in a network namespace of its own that listens there, until standard input ends.
    private struct Server {
        let pid: Int32
        let pidfd: SharedDescriptor
        let input: SharedDescriptor
    }

    private func sleeper(_ script: String) throws -> Server {
        let pipe = try DescriptorPair.pipe()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, pipe.first.rawValue, 0)
        let command = ["unshare", "--net", "--user", "sh", "-c", "read go; \(script)"]
        let arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
        defer { for pointer in arguments { free(pointer) } }
        var pid: pid_t = 0
        #expect(posix_spawnp(&pid, "unshare", &actions, nil, arguments, environ) == 0)
        let pidfd = SharedDescriptor(taking: try check(mlr_pidfd_open(pid), "open a process"))
        // unshare(1) needs a moment until it is in its namespaces.
        let own = try File.readLink("/proc/self/ns/net")
        for _ in 0..<500 where try File.readLink("/proc/\(pid)/ns/net") == own { usleep(10_000) }
        try File.put("0 700000 65536\n", into: "/proc/\(pid)/uid_map")
        try File.put("0 700000 65536\n", into: "/proc/\(pid)/gid_map")
        #expect(Glibc.write(pipe.second.rawValue, "\n", 1) == 1)
        return Server(pid: pid, pidfd: pidfd, input: SharedDescriptor(try pipe.second.duplicate()))
    }

    @Test("it hands out sockets of the replica's namespace, and writes down how the replica ended")
    func socketsAndEnd() throws {
        let place = try TemporaryDirectory()
        let server = try sleeper("read line; exit 7")
        let network = SharedDescriptor(try File.open("/proc/\(server.pid)/ns/net", O_RDONLY))
        let user = SharedDescriptor(try File.open("/proc/\(server.pid)/ns/user", O_RDONLY))
        let agent = try SocketAgent.start(
            SocketAgent.Place(
                userNamespace: user, networkNamespace: network, process: server.pidfd.rawValue,
                exitFile: "\(place.path)/exit"))

        let socket = SharedDescriptor(taking: try check(mlr_agent_socket(agent.client.rawValue), "get a socket"))
        // Loopback is down in a new network namespace: unreachable there, refused here.
        #expect(mlr_connect_ipv4(socket.rawValue, 0x7F00_0001, 1) == -ENETUNREACH)

        let status = try File.readText("/proc/\(agent.identity.pid)/status")
        func field(_ name: String) -> String {
            status.split(separator: "\n").first { $0.hasPrefix("\(name):") }.map { line in
                String(line.dropFirst(name.utf8.count + 1)).split(separator: "\t").joined(separator: " ")
            } ?? ""
        }
        #expect(field("Name") == "mlrun-agent")
        #expect(field("Uid") == "765534 765534 765534 765534")
        #expect(field("CapEff") == "0000000000000000")
        #expect(field("CapPrm") == "0000000000000000")
        #expect(field("NoNewPrivs") == "1")
        #expect(field("Seccomp") == "2")
        // The agent may be about to close its own copy of the socket it has just sent.
        var descriptors = 0
        for _ in 0..<500 where descriptors != 3 {
            descriptors = try File.list("/proc/\(agent.identity.pid)/fd").count
            usleep(1000)
        }
        #expect(descriptors == 3)

        #expect(Glibc.write(server.input.rawValue, "\n", 1) == 1)
        var code: Int32 = 0
        var value: Int32 = 0
        #expect(mlr_wait_pidfd(server.pidfd.rawValue, 0, &code, &value) == 1)
        var text = ""
        for _ in 0..<200 where text.isEmpty {
            usleep(10_000)
            text = try File.readText("\(place.path)/exit")
        }
        if KernelVersion.current >= KernelVersion(6, 15) { #expect(text.hasPrefix("1792 ")) }
        agent.end()
        #expect(ProcessTable.startTime(of: agent.identity.pid) == nil)
    }

    @Test("it ends by itself when the replica has ended and no client is left")
    func endsAlone() throws {
        let place = try TemporaryDirectory()
        let server = try sleeper("read line")
        var agent: SocketAgent? = try SocketAgent.start(
            SocketAgent.Place(process: server.pidfd.rawValue, exitFile: "\(place.path)/exit"))
        let pid = agent!.identity.pid
        let watched = SharedDescriptor(taking: try check(mlr_pidfd_open(pid), "open the agent"))
        agent = nil
        usleep(50_000)
        var entry = pollfd(fd: watched.rawValue, events: Int16(POLLIN), revents: 0)
        #expect(poll(&entry, 1, 0) == 0, "it lives as long as the replica")
        kill(server.pid, SIGKILL)
        var code: Int32 = 0
        var value: Int32 = 0
        #expect(mlr_wait_pidfd(server.pidfd.rawValue, 0, &code, &value) == 1)
        #expect(poll(&entry, 1, 5000) == 1)
        #expect(mlr_wait_pidfd(watched.rawValue, 0, &code, &value) == 1)
        #expect(code == Int32(MLR_CLD_EXITED) && value == 0)
    }
}

/// What uname(2) says, as far as it decides whether a kernel has a feature.
struct KernelVersion: Comparable {
    let major: Int
    let minor: Int

    init(_ major: Int, _ minor: Int) {
        self.major = major
        self.minor = minor
    }

    static let current: KernelVersion = {
        let text = (try? File.readText("/proc/sys/kernel/osrelease")) ?? "0.0"
        let parts = text.split(separator: ".").map { Int($0.prefix { $0.isNumber }) ?? 0 }
        return KernelVersion(parts[0], parts[1])
    }()

    static func < (left: KernelVersion, right: KernelVersion) -> Bool {
        (left.major, left.minor) < (right.major, right.minor)
    }
}
