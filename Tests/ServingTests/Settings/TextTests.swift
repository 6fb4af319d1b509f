import Testing

@testable import Serving

@Suite("What users write")
struct TextTests {
    @Test(
        "ports",
        arguments: [
            ("8000", PublishedPort(hostPort: 8000, containerPort: 8000)),
            ("8080:8000", PublishedPort(hostPort: 8080, containerPort: 8000)),
            ("8080:8000/tcp", PublishedPort(hostPort: 8080, containerPort: 8000, transport: .tcp)),
            ("8080:8000/http", PublishedPort(hostPort: 8080, containerPort: 8000)),
            ("127.0.0.1:80:8000", PublishedPort(hostIP: "127.0.0.1", hostPort: 80, containerPort: 8000)),
            ("127.0.0.1::8000", PublishedPort(hostIP: "127.0.0.1", hostPort: 0, containerPort: 8000)),
            ("0:8000", PublishedPort(hostPort: 0, containerPort: 8000)),
            ("[::1]:80:8000", PublishedPort(hostIP: "::1", hostPort: 80, containerPort: 8000)),
            (
                "[2001:DB8:0::1]::8000/tcp",
                PublishedPort(hostIP: "2001:db8::1", hostPort: 0, containerPort: 8000, transport: .tcp)
            ),
        ])
    func ports(text: String, port: PublishedPort) throws {
        #expect(try PublishedPort(parsing: text) == port)
        #expect(try PublishedPort(parsing: port.text) == port)
    }

    @Test(
        "ports that are none say why",
        arguments: [
            ("", "the container port is missing"), ("x", "the container port \"x\" is no number from 1 to 65535"),
            ("0", "the container port \"0\" is no number from 1 to 65535"),
            ("80:65536", "the container port \"65536\" is no number from 1 to 65535"),
            (":80", "the host port is missing"), ("80:", "the container port is missing"),
            ("8000-8010:80", "port ranges are not supported, publish each port by itself"),
            ("80:80/udp", "udp is not forwarded to a service, only http and tcp are"),
            ("80:80/x", "\"x\" is no protocol"), ("300.1.1.1:80:80", "\"300.1.1.1\" is no IPv4 address"),
            ("01.1.1.1:80:80", "\"01.1.1.1\" is no IPv4 address"), ("1:2:3:4", "it has more than three parts"),
            ("[::1:80:80", "the address has no closing bracket"), ("[::x]:80:80", "\"::x\" is no IPv6 address"),
            ("[fe80::1%eth0]:80:80", "\"fe80::1%eth0\" is no IPv6 address"),
            ("[::1]:80", "behind the address, host:container is missing"),
            ("[::1]80:80", "behind the address, host:container is missing"),
            ("[::1]:80:80:80", "it has more than three parts"),
            ("+80:80", "the host port \"+80\" is no number from 0 to 65535"),
        ])
    func badPorts(text: String, reason: String) {
        let error = #expect(throws: SettingError.self) { try PublishedPort(parsing: text) }
        #expect(error?.reason == reason)
        #expect(error?.remedy.contains("8080:8000") == true)
        #expect(error?.description == "invalid port \"\(text)\": \(reason)")
    }

    @Test(
        "sizes are powers of 1024",
        arguments: [
            ("0", 0), ("17", 17), ("17b", 17), ("1k", 1024), ("1K", 1024), ("1kb", 1024), ("1KiB", 1024),
            ("512m", 512 << 20), ("4G", 4 << 30), ("1.5GiB", 3 << 29), ("2t", 2 << 40),
        ] as [(String, Int64)])
    func sizes(text: String, bytes: Int64) throws { #expect(try ByteSize.bytes(text) == bytes) }

    @Test(
        "sizes that are none",
        arguments: ["", "m", "-1", "-1m", "1x", "1mm", "1bb", "1.5", ".5m", "1.m", "1e3", "nan", "9999999p", "1 m"])
    func badSizes(text: String) { #expect(throws: SettingError.self) { try ByteSize.bytes(text) } }

    @Test("sizes for people", arguments: [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (4 << 30, "4 GiB")])
    func sizeText(bytes: Int64, text: String) { #expect(ByteSize.text(bytes) == text) }

    @Test(
        "durations",
        arguments: [
            ("10", Duration.seconds(10)), ("1.5", .milliseconds(1500)), ("500ms", .milliseconds(500)),
            ("1m30s", .seconds(90)), ("2h", .seconds(7200)), ("1h0m5s", .seconds(3605)), ("1d", .seconds(86400)),
            ("250us", .microseconds(250)), ("0", .zero),
        ])
    func durations(text: String, duration: Duration) throws { #expect(try Duration(parsing: text) == duration) }

    @Test(
        "durations that are none",
        arguments: ["", "s", "-5", "-5s", "5x", "1m30", "30s1m", "1m1m", "1..5s", "5 s", "1e9d", "99999999999h"])
    func badDurations(text: String) { #expect(throws: SettingError.self) { try Duration(parsing: text) } }

    @Test(
        "durations for people",
        arguments: [
            (Duration.milliseconds(7), "7ms"), (.milliseconds(4240), "4.2s"), (.seconds(90), "1m30s"),
            (.seconds(120), "2m"), (.seconds(7500), "2h5m"), (.seconds(-3), "-3s"),
        ])
    func durationText(duration: Duration, text: String) { #expect(duration.shortText == text) }

    @Test("volumes")
    func volumes() throws {
        #expect(try VolumeMount(parsing: "/a/../b/:/c/") == VolumeMount(source: "/b", target: "/c"))
        #expect(
            try VolumeMount(parsing: "./m:/m:ro,noexec", workingDirectory: "/home/x")
                == VolumeMount(source: "/home/x/m", target: "/m", readOnly: true, noExec: true))
        let slave = try VolumeMount(parsing: "/a:/b:rslave")
        #expect(slave.propagation == .slave)
        #expect(try VolumeMount(parsing: slave.text) == slave)
    }

    @Test(
        "volumes that are none say why",
        arguments: [
            ("/a", "the target in the container is missing"), (":/b", "the source on the host is missing"),
            ("/a:b", "the target \"b\" is no absolute path in the container"),
            ("/a:/", "a volume cannot replace the whole file system"),
            ("data:/b", "named volumes do not exist, and \"data\" is no path; write ./data for a directory"),
            ("./a:/b", "the source \"./a\" is not absolute"), ("/a:/b:rx", "\"rx\" is no option of a volume"),
            ("/a:/b:Z", "volumes are not relabelled for SELinux"), ("/a:/b:", "\"\" is no option of a volume"),
            ("/a:/b:ro:x", "it has more than three parts; paths cannot contain a colon"),
        ])
    func badVolumes(text: String, reason: String) {
        let error = #expect(throws: SettingError.self) { try VolumeMount(parsing: text) }
        #expect(error?.reason == reason)
    }

    @Test("file systems in memory")
    func tmpfs() throws {
        let tmpfs = try TemporaryFileSystem(parsing: "/cache:size=1g,mode=1777,exec")
        #expect(tmpfs.options == ["size=1073741824", "mode=1777", "exec"])
        #expect(try TemporaryFileSystem(parsing: tmpfs.text) == tmpfs)
        for text in ["cache", "/", "/a:size", "/a:huge=1", "/a:size=x"] {
            #expect(throws: SettingError.self) { try TemporaryFileSystem(parsing: text) }
        }
    }

    @Test("devices")
    func devices() throws {
        #expect(
            try DeviceMapping(parsing: "/dev/kfd")
                == DeviceMapping(source: "/dev/kfd", target: "/dev/kfd", permissions: "rw"))
        #expect(try DeviceMapping(parsing: "/dev/a:/dev/b:rwm").target == "/dev/b")
        for text in ["kfd", "/tmp/x", "/dev/a:r", "nvidia.com/gpu=0", "/dev/a:/dev/b:/dev/c"] {
            #expect(throws: SettingError.self) { try DeviceMapping(parsing: text) }
        }
    }

    @Test("restart policies", arguments: ["no", "always", "unless-stopped", "on-failure", "on-failure:3"])
    func restartPolicies(text: String) throws { #expect(try RestartPolicy(parsing: text).text == text) }

    @Test(
        "restart policies that are none", arguments: ["", "never", "always:3", "on-failure:", "on-failure:0", "no:1"])
    func badRestartPolicies(text: String) {
        #expect(throws: SettingError.self) { try RestartPolicy(parsing: text) }
    }

    @Test(
        "probes",
        arguments: [
            ("auto", Probe.automatic), ("none", .none), ("tcp", .tcp(port: nil)), ("tcp:80", .tcp(port: 80)),
            ("http:/health", .http(path: "/health", port: nil)), ("http:/a:80", .http(path: "/a", port: 80)),
            ("exec:test -f /ready", .exec(["test", "-f", "/ready"])),
            ("exec:sh -c 'exit  1'", .exec(["sh", "-c", "exit  1"])),
            (
                "json:/health-check:5000#status=READY|BUSY",
                .json(path: "/health-check", port: 5000, field: ["status"], values: ["READY", "BUSY"])
            ),
            ("json:/h#a.b=1", .json(path: "/h", port: nil, field: ["a", "b"], values: ["1"])),
        ])
    func probes(text: String, probe: Probe) throws {
        #expect(try Probe(parsing: text) == probe)
        #expect(try Probe(parsing: probe.text) == probe)
    }

    @Test(
        "probes that are none",
        arguments: [
            "", "http", "http:", "http:health", "http:/a:0", "http:/a:x", "http:/a b", "tcp:", "tcp:70000", "exec:",
            "exec:  ", "exec:sh -c 'x", "json:/a", "json:/a#b", "json:/a#=x", "json:/a#b=", "json:/a#b=x||y",
            "grpc:80", "auto:1", "HTTP:/a",
        ])
    func badProbes(text: String) {
        let error = #expect(throws: SettingError.self) { try Probe(parsing: text) }
        #expect(error?.remedy.contains("http:/health:8000") == true)
    }

    @Test("a command keeps its words through text", arguments: [["a b", "it's", "", "x\\y", "\"q\""]])
    func commandRoundTrip(words: [String]) throws {
        #expect(try Probe(parsing: Probe.exec(["x"] + words).text) == .exec(["x"] + words))
    }

    @Test("environment variables are taken as written, or from the caller")
    func environment() throws {
        let caller = ["HOME": "/root"]
        func variable(_ text: String) throws -> String? {
            try EnvironmentText.variable(text, environment: { caller[$0] })
        }
        #expect(try variable("A=b=c") == "A=b=c")
        #expect(try variable("A=") == "A=")
        #expect(try variable("HOME") == "HOME=/root")
        #expect(try variable("NONE") == nil)
        for text in ["", "=x", "A B=c", "A\0=b"] { #expect(throws: SettingError.self) { try variable(text) } }
    }

    @Test("an environment file is read as Docker reads it, and a bad line is named")
    func environmentFile() throws {
        let text = "# comment\n\n  A=1 # kept\nB=\"quoted\"\nHOME\nNONE\r\nC=x"
        let variables = try EnvironmentText.file(text, path: "env", environment: { $0 == "HOME" ? "/h" : nil })
        #expect(variables == ["A=1 # kept", "B=\"quoted\"", "HOME=/h", "C=x"])
        let error = #expect(throws: SettingError.self) {
            try EnvironmentText.file("A=1\n=2", path: "my.env", environment: { _ in nil })
        }
        #expect(error?.kind == "line 2 of my.env")
    }

    @Test("labels")
    func labels() throws {
        #expect(try EnvironmentText.label("a=b=c") == (name: "a", value: "b=c"))
        #expect(try EnvironmentText.label("a") == (name: "a", value: ""))
        #expect(throws: SettingError.self) { try EnvironmentText.label("=x") }
    }

    @Test("limits of resources")
    func ulimits() throws {
        #expect(try ResourceUlimit(parsing: "nofile=10:20") == ResourceUlimit(name: "nofile", soft: 10, hard: 20))
        #expect(try ResourceUlimit(parsing: "memlock=-1") == ResourceUlimit(name: "memlock", soft: nil, hard: nil))
        #expect(try ResourceUlimit(parsing: "nofile=5").resource == "RLIMIT_NOFILE")
        for text in ["nofile", "nofile=", "files=3", "nofile=20:10", "nofile=1:2:3", "nofile=x", "nofile=-1:5"] {
            #expect(throws: SettingError.self) { try ResourceUlimit(parsing: text) }
        }
    }

    @Test("processors, processes, disks")
    func numbers() throws {
        #expect(try ResourceLimits.parseCPUs("1.5") == 1.5)
        for text in ["0", "-1", "x", "", "inf", "1e2"] {
            #expect(throws: SettingError.self) { try ResourceLimits.parseCPUs(text) }
        }
        #expect(try ResourceLimits.parsePids("-1") == -1)
        for text in ["0", "-2", "x"] { #expect(throws: SettingError.self) { try ResourceLimits.parsePids(text) } }
        let limit = try IODeviceLimit(parsing: "/dev/sda:50m", measure: .readBytes)
        #expect(limit == IODeviceLimit(device: "/dev/sda", measure: .readBytes, limit: 50 << 20))
        for text in ["/dev/sda", "sda:5", "/dev/sda:0", "/dev/sda:x"] {
            #expect(throws: SettingError.self) { try IODeviceLimit(parsing: text, measure: .readOperations) }
        }
    }

    @Test("names of services")
    func names() throws {
        for name in ["a", "sentiment-v3", "A.b_c", String(repeating: "x", count: 63)] { try ServiceName.check(name) }
        for name in ["", "-a", ".a", "a b", "a/b", "ä", String(repeating: "x", count: 64)] {
            #expect(throws: SettingError.self) { try ServiceName.check(name) }
        }
    }

    @Test(
        "a service without a name is called after its image",
        arguments: [
            ("registry.example:5000/team/sentiment:v3", "sentiment"), ("busybox", "busybox"),
            ("x/y@sha256:0123", "y"), ("oci:/tmp/My Model", "MyModel"), ("-", "service"),
        ])
    func generatedNames(reference: String, name: String) throws {
        #expect(ServiceName.generate(from: reference, taken: { _ in false }) == name)
        try ServiceName.check(name)
        let taken: Set<String> = [name, "\(name)-2"]
        #expect(ServiceName.generate(from: reference, taken: taken.contains) == "\(name)-3")
    }
}
