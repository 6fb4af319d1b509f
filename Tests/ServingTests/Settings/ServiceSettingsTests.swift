import OCISpec
import Testing

@testable import Serving

@Suite("Settings of a service")
struct ServiceSettingsTests {
    static func full() throws -> ServiceSettings {
        let digest = Digest("sha256:" + String(repeating: "ab", count: 32))
        var settings = ServiceSettings(
            name: "demo", image: .init(reference: "docker.io/a/b:c", manifestDigest: digest, configDigest: digest))
        settings.arguments = ["--port", "80"]
        settings.entrypoint = ["/serve"]
        settings.environment = ["A=b"]
        settings.workingDirectory = "/srv"
        settings.user = "model:42"
        settings.hostname = "box"
        settings.labels = ["x": "y"]
        settings.ports = [try PublishedPort(parsing: "127.0.0.1:80:8000/tcp")]
        settings.network = .bridge
        settings.networkName = "lan"
        settings.volumes = [try VolumeMount(parsing: "/a:/b:ro,noexec,rslave")]
        settings.temporaryFileSystems = [try TemporaryFileSystem(parsing: "/t:size=1g")]
        settings.devices = [try DeviceMapping(parsing: "/dev/kfd")]
        settings.readOnlyRoot = true
        settings.limits.memory = 1 << 30
        settings.limits.memorySwap = -1
        settings.limits.cpus = 1.5
        settings.limits.cpusetCpus = "0-1"
        settings.limits.cpusetMems = "0"
        settings.limits.pids = -1
        settings.limits.sharedMemory = 1 << 20
        settings.limits.ioWeight = 10
        settings.limits.ioDevices = [IODeviceLimit(device: "/dev/sda", measure: .writeOperations, limit: .max)]
        settings.limitPolicy = .bestEffort
        settings.ulimits = [try ResourceUlimit(parsing: "memlock=-1")]
        settings.usesHostUserNamespace = true
        settings.addedCapabilities = ["SYS_NICE"]
        settings.droppedCapabilities = ["ALL"]
        settings.security.seccomp = .profile(["defaultAction": "SCMP_ACT_ALLOW"])
        settings.security.noNewPrivileges = false
        settings.security.apparmorProfile = "p"
        settings.security.selinuxLabel = "l"
        settings.usesInit = true
        settings.ready = try Probe(parsing: "json:/h:80#a=b")
        settings.live = try Probe(parsing: "exec:true 'x y'")
        settings.startupTimeout = .milliseconds(1500)
        settings.restart = .onFailure(maximum: 3)
        settings.stopSignal = "SIGQUIT"
        settings.stopTimeout = .seconds(3)
        settings.drainTimeout = .seconds(4)
        settings.replicas = 2
        return settings
    }

    @Test("a zero byte anywhere is found with its place, also in the name of a label")
    func zeroBytes() throws {
        var settings = try Self.full()
        #expect(settings.problems().isEmpty, "\(settings.problems())")
        settings.environment = ["A=b", "C=\0"]
        settings.arguments = ["a\0b"]
        settings.labels = ["a\0b": "c"]
        settings.volumes[0].source = "/a\0"
        let places = Set(settings.problems().map(\.path))
        #expect(places == ["environment[1]", "arguments[0]", "labels.ab", "volumes[0]"], "\(places)")
    }

    @Test("every member survives JSON, and so do the defaults")
    func roundTrip() throws {
        for settings in [
            try Self.full(), ServiceSettings(name: "x", image: .init(reference: "docker.io/library/x:latest")),
        ] {
            let text = settings.json.text(pretty: true)
            #expect(try ServiceSettings(JSONCursor(JSON(parsing: Array(text.utf8)))) == settings)
        }
    }

    @Test(
        "what is wrong in JSON is said with its place",
        arguments: [
            ("ports", JSON.array(["80:x"]), "ports[0]"), ("network", "tunnel", "network"),
            ("limits", ["memory": "1g"], "limits.memory"), ("limits", ["ram": 1], "limits.ram"),
            ("ready", "http", "ready"), ("stopTimeout", -1, "stopTimeout"), ("colour", "red", "colour"),
            ("security", ["seccomp": "loose"], "security.seccomp"), ("image", ["reference": 5], "image.reference"),
            ("volumes", ["/a"], "volumes[0]"), ("restart", "never", "restart"),
        ] as [(String, JSON, String)])
    func badJSON(member: String, value: JSON, path: String) throws {
        var object = try #require(try Self.full().json.object)
        object[member] = value
        let error = #expect(throws: JSONError.self) { try ServiceSettings(JSONCursor(.object(object))) }
        #expect(error?.path == path)
    }

    @Test("valid settings have no problems")
    func valid() throws { #expect(try Self.full().problems() == []) }

    @Test("ports collide where the kernel would say so: not across IPv4 and IPv6, nor on addresses of their own")
    func collisions() throws {
        func collide(_ one: String, _ two: String) throws -> Bool {
            let ports = [try PublishedPort(parsing: one), try PublishedPort(parsing: two)]
            #expect(ports[0].collides(with: ports[1]) == ports[1].collides(with: ports[0]))
            return ports[0].collides(with: ports[1])
        }
        #expect(try collide("80:1", "127.0.0.1:80:2"))
        #expect(try collide("[::]:80:1", "[::1]:80:2"))
        #expect(try collide("127.0.0.1:80:1", "127.0.0.1:80:2"))
        #expect(try !collide("127.0.0.1:80:1", "127.0.0.2:80:1"))
        #expect(try !collide("80:1", "[::]:80:1"))
        #expect(try !collide("127.0.0.1:80:1", "[::1]:80:1"))
        #expect(try !collide("80:1", "81:1"))
    }

    @Test("all problems are found at once, each with its place")
    func problems() throws {
        var settings = try Self.full()
        settings.name = "-x"
        settings.hostname = "a b"
        settings.workingDirectory = "srv"
        settings.environment = ["A=1", "B"]
        settings.ports = [
            PublishedPort(hostPort: 80, containerPort: 1),
            PublishedPort(hostIP: "127.0.0.1", hostPort: 80, containerPort: 2),
        ]
        settings.volumes.append(VolumeMount(source: "/x", target: "/b"))
        settings.volumes.append(VolumeMount(source: "/x", target: "/proc/sys"))
        settings.limits.memory = 512
        settings.limits.memorySwap = 100
        settings.limits.cpus = 0
        settings.limits.cpusetCpus = "3-1"
        settings.limits.pids = 0
        settings.limits.ioWeight = 0
        settings.stopSignal = "SIGNOPE"
        settings.startupTimeout = .zero
        settings.replicas = 0
        let paths = settings.problems().map(\.path)
        #expect(
            paths.sorted() == [
                "environment[1]", "hostname", "limits.cpus", "limits.cpusetCpus", "limits.ioWeight", "limits.memory",
                "limits.memorySwap", "limits.pids", "name", "ports[1]", "replicas", "startupTimeout", "stopSignal",
                "volumes[1]", "volumes[2]", "workingDirectory",
            ])
    }
}
