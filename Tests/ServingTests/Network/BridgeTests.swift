import CLinux
import Glibc
import ImageStore
import LinuxSystem
import OCISpec
import Testing

@testable import Serving

/// Where Debian has its plugins.
private let pluginDirectory = "/usr/lib/cni"
private let isPossible =
    geteuid() == 0 && BusyboxImage.isPossible && access("\(pluginDirectory)/bridge", X_OK) == 0
    && access("\(pluginDirectory)/host-local", X_OK) == 0

@Suite(
    "--network bridge with the host's plugins", .serialized,
    .enabled(if: isPossible, "needs root, busybox and containernetworking-plugins"))
struct BridgeTests {
    /// A supervisor on a machine of its own, with one network whose leases are in a directory of the test.
    private final class Site {
        let machine: PrivateMachine
        let place: TemporaryDirectory
        let supervisor: TestSupervisor
        var leases: String { "\(place.path)/leases/models" }

        init() throws {
            machine = try PrivateMachine()
            place = try TemporaryDirectory()
            let configurations = "\(place.path)/net.d"
            try File.makeDirectories(configurations)
            let list = """
                {"cniVersion":"1.0.0","name":"models","plugins":[
                  {"type":"bridge","bridge":"models0","isGateway":true,"ipam":{"type":"host-local",
                   "dataDir":"\(place.path)/leases","ranges":[[{"subnet":"10.123.0.0/24"}]],
                   "routes":[{"dst":"0.0.0.0/0"}]},"dns":{"nameservers":["10.123.0.1"]}},{"type":"tuning"}]}
                """
            try File.replace("\(configurations)/10-models.conflist", with: Array(list.utf8), durable: false)
            supervisor = try TestSupervisor(
                on: machine, environment: ["CNI_CONF_DIR=\(configurations)", "CNI_PATH=\(pluginDirectory)"])
            try supervisor.start()
        }

        func settings(_ name: String, _ script: String) throws -> ServiceSettings {
            let image = try BusyboxImage.install(in: supervisor.directories, scratch: supervisor.place.path)
            var settings = ServiceSettings(
                name: name,
                image: .init(
                    reference: image.reference, manifestDigest: image.manifestDigest, configDigest: image.config))
            settings.entrypoint = ["/bin/sh", "-c", script]
            settings.network = .bridge
            settings.ready = .http(path: "/index.html", port: 80)
            settings.live = .none
            settings.stopTimeout = .seconds(1)
            return settings
        }

        func leased() throws -> [String] {
            File.exists(leases) ? try File.list(leases).filter { $0.hasPrefix("10.") } : []
        }

        /// Links of containers, as the machine sees them.
        func links() throws -> [String] {
            try machine.run(["ip", "-o", "link"]).split(separator: "\n").map(String.init).filter {
                $0.contains("veth")
            }
        }

        func expectNothingLeft(_ service: String) throws {
            #expect(try leased().isEmpty)
            #expect(try links().isEmpty)
            let files = ServiceFiles(supervisor.directories, name: service).replica(ReplicaID("\(service)-1"))
            #expect(!File.exists(files.network))
            #expect(!File.exists(files.runtimeDirectory))
            let mounts = try machine.run(["cat", "/proc/self/mountinfo"]).split(separator: "\n")
            #expect(!mounts.contains { $0.contains("nsfs") && $0.contains(supervisor.directories.state) })
        }
    }

    private static let serving = "busybox httpd -p 80 -h /www; exec sleep 1000"

    @Test("a service has an address, reaches the bridge, is reached there and through its port, and gives all back")
    func life() throws {
        let site = try Site()
        let script = """
            busybox ip -o addr show eth0; busybox ping -c 1 -W 5 10.123.0.1 >/dev/null && echo reached
            cat /etc/resolv.conf /etc/hosts; busybox id -u; \(Self.serving)
            """
        var settings = try site.settings("bridged", script)
        settings.ports = [PublishedPort(hostIP: "127.0.0.1", hostPort: 0, containerPort: 80)]
        let result = try site.supervisor.call(.start(settings, phases: [], waits: true))
        let phases = result["startReport"]?.array?.compactMap { $0["phase"]?.string } ?? []
        #expect(phases == ["mount", "isolate", "network", "exec", "port open", "ready"])
        let network = try site.supervisor.call(.inspect(name: "bridged"))["instances"]?.array?.first?["network"]
        #expect(network?["name"]?.string == "models")
        #expect(network?["addresses"]?.array?.compactMap(\.string) == ["10.123.0.2/24"])
        #expect(network?["routes"]?.array?.compactMap(\.string) == ["0.0.0.0/0 via 10.123.0.1"])
        #expect(try site.leased() == ["10.123.0.2"])
        #expect(try site.links().count == 1)
        let lines = try site.supervisor.lines(of: "bridged")
        #expect(lines.contains { $0.contains("inet 10.123.0.2/24") })
        #expect(lines.contains("reached"))
        #expect(lines.contains("nameserver 10.123.0.1"))
        #expect(lines.contains("10.123.0.2\tbridged-1"))
        let port = try #require(result["ports"]?.array?.first?["hostPort"]?.int)
        for address in ["10.123.0.2", "127.0.0.1:\(port)"] {
            #expect(try site.machine.run(["busybox", "wget", "-qO-", "http://\(address)/index.html"]) == "hello\n")
        }
        _ = try site.supervisor.call(.stop(name: "bridged", timeout: nil, force: false))
        try site.expectNothingLeft("bridged")
    }

    @Test("its namespace belongs to its user namespace, and with the host's users it works all the same")
    func owners() throws {
        let site = try Site()
        var settings = try site.settings("owner", Self.serving)
        _ = try site.supervisor.call(.start(settings, phases: [], waits: true))
        let pid = try #require(try site.supervisor.processID(of: "owner"))
        // Who has entered the user namespace may enter only what belongs to it.
        #expect(
            try site.machine.run([
                "nsenter", "--user=/proc/\(pid)/ns/user", "--net=/proc/\(pid)/ns/net", "cat",
                "/proc/sys/net/ipv4/ip_unprivileged_port_start",
            ]) == "0\n")
        _ = try site.supervisor.call(.stop(name: "owner", timeout: nil, force: false))
        settings.usesHostUserNamespace = true
        _ = try site.supervisor.call(.start(settings, phases: [], waits: true))
        #expect(try site.leased().count == 1)
        _ = try site.supervisor.call(.stop(name: "owner", timeout: nil, force: false))
        try site.expectNothingLeft("owner")
    }

    @Test("a supervisor that is killed loses nothing: the next one takes down what a dead replica had")
    func killed() throws {
        let site = try Site()
        _ = try site.supervisor.call(.start(try site.settings("orphan", Self.serving), phases: [], waits: true))
        let pid = try #require(try site.supervisor.processID(of: "orphan"))
        site.supervisor.kill()
        #expect(kill(pid, SIGKILL) == 0)
        usleep(300_000)
        #expect(try site.leased() == ["10.123.0.2"])
        try site.supervisor.start()
        for _ in 0..<1000 {
            let list = try site.supervisor.call(.list).array ?? []
            if list[0]["status"]?.string == "ready", list[0]["restarts"]?.int == 1 { break }
            usleep(10_000)
        }
        #expect(try site.leased() == ["10.123.0.3"])
        #expect(try site.links().count == 1)
        _ = try site.supervisor.call(.stop(name: "orphan", timeout: nil, force: true))
        try site.expectNothingLeft("orphan")
    }

    @Test("a start that fails after the network was made, or while it is made, leaves nothing of it")
    func failures() throws {
        let site = try Site()
        var settings = try site.settings("failing", Self.serving)
        settings.entrypoint = ["/bin/nothing"]
        let missing = try #require(throws: ControlError.self) {
            try site.supervisor.call(.start(settings, phases: [], waits: true))
        }
        #expect(missing.exitCode == 127)
        try site.expectNothingLeft("failing")
        let list = """
            {"cniVersion":"1.0.0","name":"models","plugins":[
              {"type":"bridge","bridge":"models0","ipam":{"type":"host-local","dataDir":"\(site.place.path)/leases",
               "ranges":[[{"subnet":"10.123.0.0/24"}]]}},{"type":"tuning","sysctl":{"no.such.thing":"1"}}]}
            """
        try File.replace(
            "\(site.place.path)/net.d/10-models.conflist", with: Array(list.utf8), durable: false)
        settings.entrypoint = ["/bin/sleep", "100"]
        let refused = try #require(throws: ControlError.self) {
            try site.supervisor.call(.start(settings, phases: [], waits: true))
        }
        #expect(refused.message.hasPrefix("the CNI plugin tuning of the network models (ADD) failed: "))
        #expect(refused.exitCode == 125)
        try site.expectNothingLeft("failing")
    }

    @Test("a network that is not there is refused before anything is made")
    func unknown() throws {
        let site = try Site()
        var settings = try site.settings("nowhere", Self.serving)
        settings.networkName = "other"
        let error = try #require(throws: ControlError.self) {
            try site.supervisor.call(.start(settings, phases: [], waits: true))
        }
        #expect(error.message == "there is no CNI network other in \(site.place.path)/net.d, only models")
        #expect(try site.supervisor.call(.list).array?.isEmpty == true)
        try site.expectNothingLeft("nowhere")
    }

    @Test("a container in the foreground has an address too, and the next one gives back what a killed one had")
    func foreground() throws {
        let site = try Site()
        _ = try site.settings("image", "")
        let log = "\(site.place.path)/foreground.log"
        let end = "\(site.place.path)/end"
        func start() throws -> Victim {
            let directories = site.supervisor.directories
            return try Victim.start(
                "bridge", [directories.root, directories.state, end], log: log,
                wrapper: site.machine.prefix + [
                    "env", "CNI_CONF_DIR=\(site.place.path)/net.d", "CNI_PATH=\(pluginDirectory)",
                ])
        }
        func expectLease(_ address: String) throws {
            for _ in 0..<1000 where (try? File.readText(log).contains("launched \(address)")) != true { usleep(10_000) }
            #expect(try File.readText(log).contains("launched \(address)"))
            #expect(try site.leased() == [address])
        }
        let first = try start()
        try expectLease("10.123.0.2")
        first.kill()
        let second = try start()
        try expectLease("10.123.0.3")
        try File.replace(end, with: [], durable: false)
        var status: Int32 = 0
        waitpid(second.pid, &status, 0)
        #expect(try site.leased().isEmpty)
        #expect(try site.links().isEmpty)
    }

    /// A program with a container in the foreground, until a file is there.
    @Test(
        "as a process of its own: a container in the foreground",
        .enabled(if: Victim.role == "bridge", "only as a child"))
    func bridgeForever() throws {
        let directories = MLRunDirectories(root: Victim.arguments[0], state: Victim.arguments[1])
        let image = try ImageStore(directories).existingImage("localhost/busybox:test")
        var settings = ServiceSettings(name: "foreground", image: .init(reference: image.reference))
        settings.network = .bridge
        settings.entrypoint = [
            "/bin/sh", "-c",
            "busybox ip -o addr show eth0 | busybox sed -n 's/.*inet \\([0-9.]*\\).*/launched \\1/p' >&2; exec sleep 1000",
        ]
        let container = try ForegroundContainer.launch(settings, image, .inherited(input: false), directories)
        while !File.exists(Victim.arguments[2]) { usleep(10_000) }
        try container.remove()
    }
}
