import CLinux
import Glibc
import ImageStore
import LinuxSystem
import OCISpec
import Testing

@testable import Serving

@Suite(
    "traffic through the gateway that the supervisor keeps", .serialized,
    .enabled(if: geteuid() == 0 && BusyboxImage.isPossible, "needs root and busybox"),
    .enabled(if: access(TestSupervisor.gateway, X_OK) == 0, "mlrun-gateway is not built"))
struct GatewayTrafficTests {
    private func startServer(_ supervisor: TestSupervisor) throws -> UInt16 {
        let image = try BusyboxImage.install(in: supervisor.directories, scratch: supervisor.place.path)
        var settings = ServiceSettings(name: "web", image: .init(reference: image.reference))
        settings.entrypoint = ["/bin/sh", "-c", "busybox httpd -f -p 8000 -h /www"]
        settings.ready = .http(path: "/index.html", port: 8000)
        settings.live = .none
        settings.stopTimeout = .seconds(1)
        settings.ports = [PublishedPort(hostIP: "127.0.0.1", hostPort: 0, containerPort: 8000)]
        let result = try supervisor.call(.start(settings, phases: [], waits: true))
        let port = try #require(result["ports"]?.array?.first?["hostPort"]?.int)
        return UInt16(port)
    }

    /// The status of one request, or a negative error number.
    private func get(_ port: UInt16) -> Int32 {
        let made = mlr_socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        if made < 0 { return made }
        let socket = OwnedDescriptor(taking: made)
        let connected = mlr_connect_ipv4(socket.rawValue, 0x7F00_0001, port)
        if connected < 0 { return connected }
        let request = "GET /index.html HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        if send(socket.rawValue, request, request.utf8.count, Int32(MSG_NOSIGNAL)) < 0 { return -errno }
        let answer = (try? File.readAll(socket.rawValue)) ?? []
        guard case .http(let status, _) = HTTPAnswer(answer, atEnd: true).answer else { return 0 }
        return Int32(status)
    }

    @Test("requests are answered while the supervisor is dead, after it came back, and after its gateway was killed")
    func deaths() throws {
        let supervisor = try TestSupervisor()
        try supervisor.start()
        let port = try startServer(supervisor)
        #expect(get(port) == 200)
        let gateway = try #require(ProcessIdentity(file: "\(supervisor.directories.state)/gateway.pid"))

        supervisor.kill()
        for _ in 0..<20 { #expect(get(port) == 200) }
        try supervisor.start()
        #expect(ProcessIdentity(file: "\(supervisor.directories.state)/gateway.pid") == gateway)
        for _ in 0..<20 { #expect(get(port) == 200) }

        #expect(kill(gateway.pid, SIGKILL) == 0)
        for _ in 0..<20 { #expect(get(port) == 200) }
        let next = try #require(ProcessIdentity(file: "\(supervisor.directories.state)/gateway.pid"))
        #expect(next != gateway)

        let replica = try #require(try supervisor.processID(of: "web"))
        #expect(kill(replica, SIGKILL) == 0)
        usleep(100_000)
        // Held until the replica is back.
        #expect(get(port) == 200)
        _ = try supervisor.call(.stop(name: "web", timeout: nil, force: false))
        #expect(get(port) == -ECONNREFUSED)
    }

    @Test("gateway and supervisor both killed: the next supervisor brings the service back on its port")
    func bothDead() throws {
        let supervisor = try TestSupervisor()
        try supervisor.start()
        let port = try startServer(supervisor)
        let replica = try supervisor.processID(of: "web")
        let gateway = try #require(ProcessIdentity(file: "\(supervisor.directories.state)/gateway.pid"))
        supervisor.kill()
        #expect(kill(gateway.pid, SIGKILL) == 0)
        try supervisor.start()
        for _ in 0..<5 { #expect(get(port) == 200) }
        #expect(try supervisor.processID(of: "web") == replica)
    }
}
