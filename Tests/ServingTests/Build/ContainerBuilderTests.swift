import Container
import OCISpec
import Testing

@testable import Serving

@Suite("Building a container")
struct ContainerBuilderTests {
    static func facts() -> BuildFacts {
        var facts = BuildFacts(replica: "demo-1", architecture: "x86_64", lastCapability: 40)
        facts.hostMemory = 16 << 30
        facts.processors = [[0, 1, 2, 3], [4, 5, 6, 7]]
        facts.hardLimits = ["RLIMIT_NOFILE": 4096, "RLIMIT_MEMLOCK": 65536, "RLIMIT_STACK": .max]
        return facts
    }

    static func settings(_ change: (inout ServiceSettings) -> Void = { _ in }) -> ServiceSettings {
        var settings = ServiceSettings(name: "demo", image: .init(reference: "docker.io/library/demo:1"))
        change(&settings)
        return settings
    }

    static let python = ImageConfiguration(
        exposedPorts: ["8000/tcp"], environment: ["PATH=/usr/local/bin:/usr/bin", "LANG=C.UTF-8"],
        command: ["python3", "server.py"], workingDirectory: "/app")
    static let nginx = ImageConfiguration(
        user: "101:101", exposedPorts: ["80/tcp", "443/udp"], entrypoint: ["/docker-entrypoint.sh"],
        command: ["nginx", "-g", "daemon off;"], stopSignal: "SIGQUIT")

    private func process(_ image: ImageConfiguration, _ settings: ServiceSettings) throws -> RuntimeSpec.Process {
        try #require(try ContainerBuilder.build(image, settings, Self.facts()).spec.process)
    }

    @Test("a Python server becomes exactly this process")
    func pythonServer() throws {
        let build = try ContainerBuilder.build(Self.python, Self.settings { $0.limits.cpus = 2.5 }, Self.facts())
        let process = try #require(build.spec.process)
        #expect(process.args == ["python3", "server.py"])
        #expect(process.cwd == "/app")
        #expect(process.noNewPrivileges)
        #expect(!process.terminal)
        #expect(
            process.env == [
                "PATH=/usr/local/bin:/usr/bin", "HOSTNAME=demo-1", "LANG=C.UTF-8", "PORT=8000", "OMP_NUM_THREADS=2",
                "MKL_NUM_THREADS=2", "OPENBLAS_NUM_THREADS=2", "NUMEXPR_NUM_THREADS=2", "LLAMA_ARG_THREADS=2",
                "GOMAXPROCS=2",
            ])
        #expect(build.user == "")
        #expect(build.stopSignal == .terminate)
        #expect(build.spec.hostname == "demo-1")
        #expect(build.spec.problems() == [])
    }

    @Test("an nginx-like image keeps its user and its stop signal, and its entrypoint gets its command")
    func nginxLike() throws {
        let build = try ContainerBuilder.build(Self.nginx, Self.settings(), Self.facts())
        #expect(build.spec.process?.args == ["/docker-entrypoint.sh", "nginx", "-g", "daemon off;"])
        #expect(build.user == "101:101")
        #expect(build.stopSignal == SignalName("SIGQUIT"))
        #expect(build.spec.process?.env.contains("PORT=80") == true)
        #expect(build.spec.process?.cwd == "/")
    }

    @Test("the mounts of a container without wishes are exactly these")
    func standardMounts() throws {
        var facts = Self.facts()
        facts.hostsFile = "/run/h"
        facts.hostnameFile = "/run/n"
        facts.resolverFile = "/run/r"
        let mounts = try ContainerBuilder.build(Self.python, Self.settings { $0.limits.memory = 1 << 30 }, facts)
            .spec.mounts
        let lines = mounts.map {
            "\($0.type ?? "") \($0.source ?? "") \($0.destination) \($0.options.joined(separator: ","))"
        }
        #expect(
            lines == [
                "proc proc /proc nosuid,noexec,nodev",
                "tmpfs tmpfs /dev nosuid,strictatime,mode=755,size=65536k",
                "devpts devpts /dev/pts nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5",
                "sysfs sysfs /sys nosuid,noexec,nodev,ro",
                "cgroup2 cgroup /sys/fs/cgroup ro,nosuid,noexec,nodev",
                "mqueue mqueue /dev/mqueue nosuid,noexec,nodev",
                "tmpfs shm /dev/shm nosuid,noexec,nodev,mode=1777,size=536870912",
                "none /run/h /etc/hosts bind,rprivate,ro,nosuid,nodev,noexec",
                "none /run/n /etc/hostname bind,rprivate,ro,nosuid,nodev,noexec",
                "none /run/r /etc/resolv.conf bind,rprivate,ro,nosuid,nodev,noexec",
            ])
    }

    @Test("isolation of a container without wishes")
    func isolation() throws {
        let linux = try #require(try ContainerBuilder.build(Self.python, Self.settings(), Self.facts()).spec.linux)
        #expect(linux.namespaces.map(\.kind) == [.pid, .mount, .uts, .ipc, .cgroup, .network, .user])
        #expect(linux.uidMappings == [.init(containerID: 0, hostID: 1_000_000, size: 65536)])
        #expect(linux.gidMappings == linux.uidMappings)
        #expect(linux.seccomp?.defaultAction == "SCMP_ACT_ERRNO")
        #expect(linux.maskedPaths.contains("/proc/kcore"))
        #expect(linux.readonlyPaths == ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"])
        #expect(linux.resources?.pids?.limit == 4096)
        #expect(linux.resources?.memory == nil)
    }

    @Test(
        "entrypoint and command follow Docker's rules",
        arguments: [
            (nil, [], ["entry", "command"]), (nil, ["mine"], ["entry", "mine"]), (["other"], [], ["other"]),
            (["other"], ["mine"], ["other", "mine"]), ([], ["mine"], ["mine"]),
        ] as [([String]?, [String], [String])])
    func arguments(entrypoint: [String]?, arguments: [String], result: [String]) throws {
        let image = ImageConfiguration(entrypoint: ["entry"], command: ["command"])
        let settings = Self.settings {
            $0.entrypoint = entrypoint
            $0.arguments = arguments
        }
        #expect(try process(image, settings).args == result)
    }

    @Test("an image without a command is refused, and the error says what to write")
    func noCommand() throws {
        for settings in [Self.settings(), Self.settings { $0.entrypoint = [] }] {
            let image = ImageConfiguration(command: settings.entrypoint == nil ? [] : ["x"])
            let error = #expect(throws: BuildError.self) { try ContainerBuilder.build(image, settings, Self.facts()) }
            #expect(error?.message.hasPrefix("no command specified") == true)
            #expect(error?.remedy.contains("--entrypoint") == true)
        }
    }

    @Test("settings win over the image, the image over defaults")
    func environment() throws {
        let image = ImageConfiguration(environment: ["A=1", "B=1", "OMP_NUM_THREADS=9", "PORT=1"], command: ["x"])
        let settings = Self.settings {
            $0.environment = ["B=2", "HOSTNAME=me", "HOME=/h"]
            $0.limits.cpus = 0.5
            $0.ports = [PublishedPort(hostPort: 1, containerPort: 99)]
        }
        var build = try ContainerBuilder.build(image, settings, Self.facts())
        build.resolve(ResolvedUser(uid: 5, gid: 6, additionalGIDs: [7], home: "/other", name: "x"))
        let process = try #require(build.spec.process)
        #expect(
            Array(process.env.prefix(6)) == [
                ContainerBuilder.standardPath, "HOSTNAME=me", "A=1", "B=2", "OMP_NUM_THREADS=9", "PORT=1",
            ])
        #expect(process.env.contains("GOMAXPROCS=1"))
        #expect(process.env.filter { $0.hasPrefix("HOME=") } == ["HOME=/h"])
        #expect(process.user == RuntimeSpec.User(uid: 5, gid: 6, additionalGids: [7]))
    }

    @Test("HOME comes from the user's entry, TERM with a terminal")
    func homeAndTerm() throws {
        var facts = Self.facts()
        facts.terminal = true
        var build = try ContainerBuilder.build(Self.python, Self.settings(), facts)
        build.resolve(ResolvedUser(uid: 0, gid: 0, additionalGIDs: [], home: "/root", name: nil))
        #expect(build.spec.process?.env.contains("HOME=/root") == true)
        #expect(build.spec.process?.env.contains("TERM=xterm") == true)
        #expect(build.spec.process?.terminal == true)
    }

    @Test("a read-only root gets a /tmp in memory and keeps the image's volumes writable")
    func readOnly() throws {
        var image = Self.python
        image.volumes = ["/data"]
        let spec = try ContainerBuilder.build(image, Self.settings { $0.readOnlyRoot = true }, Self.facts()).spec
        #expect(spec.root?.readonly == true)
        #expect(spec.mounts.first { $0.destination == "/tmp" }?.type == "tmpfs")
        #expect(spec.mounts.first { $0.destination == "/data" }?.type == "tmpfs")
    }

    @Test("volumes are mapped to the user namespace, come outermost first, and replace standard mounts")
    func volumes() throws {
        let settings = Self.settings {
            $0.volumes = [
                VolumeMount(source: "/b", target: "/m/inner"), VolumeMount(source: "/a", target: "/m", readOnly: true),
                VolumeMount(source: "/shm", target: "/dev/shm"),
            ]
        }
        let mounts = try ContainerBuilder.build(Self.python, settings, Self.facts()).spec.mounts
        #expect(mounts.suffix(3).map(\.destination) == ["/m", "/m/inner", "/dev/shm"])
        #expect(mounts.count { $0.destination == "/dev/shm" } == 1)
        let outer = try #require(mounts.first { $0.destination == "/m" })
        #expect(outer.options == ["rbind", "rprivate", "ro", "rro", "nosuid", "nodev", "ridmap"])
        #expect(outer.uidMappings == [Self.facts().userRange])
        let host = Self.settings {
            $0.usesHostUserNamespace = true
            $0.volumes = [VolumeMount(source: "/a", target: "/m")]
        }
        let plain = try #require(try ContainerBuilder.build(Self.python, host, Self.facts()).spec.mounts.last)
        #expect(plain.options == ["rbind", "rprivate", "rw", "nosuid", "nodev"])
        #expect(plain.uidMappings.isEmpty)
    }

    @Test("limits of memory")
    func memory() throws {
        func resources(_ change: (inout ServiceSettings) -> Void) throws -> RuntimeSpec.Resources {
            try #require(
                try ContainerBuilder.build(Self.python, Self.settings(change), Self.facts()).spec.linux?.resources)
        }
        let noSwap = try resources { $0.limits.memory = 1 << 30 }
        #expect(noSwap.memory == .init(limit: 1 << 30, swap: 1 << 30))
        #expect(noSwap.unified.isEmpty)
        let swap = try resources {
            $0.limits.memory = 1 << 30
            $0.limits.memorySwap = 2 << 30
        }
        #expect(swap.memory?.swap == 2 << 30)
        #expect(swap.unified["memory.high"] == "1006632960")
    }

    @Test(
        "shared memory is half of the limit, at least 64 MiB, and what is asked for",
        arguments: [
            (nil, nil, 8 << 30), (4 << 30, nil, 2 << 30), (64 << 20, nil, 64 << 20), (1 << 30, 1 << 20, 1 << 20),
        ] as [(Int64?, Int64?, Int64)])
    func sharedMemory(limit: Int64?, asked: Int64?, bytes: Int64) {
        let settings = Self.settings {
            $0.limits.memory = limit
            $0.limits.sharedMemory = asked
        }
        #expect(ContainerBuilder.sharedMemory(settings, Self.facts()) == bytes)
    }

    @Test("whole processors are a set on one NUMA node, a fraction is a share of time")
    func processors() throws {
        func cpu(_ cpus: Double, _ change: (inout BuildFacts) -> Void = { _ in }) throws -> RuntimeSpec.Resources.CPU {
            var facts = Self.facts()
            facts.hasCpusetController = true
            change(&facts)
            let settings = Self.settings { $0.limits.cpus = cpus }
            return try #require(try ContainerBuilder.build(Self.python, settings, facts).spec.linux?.resources?.cpu)
        }
        #expect(try cpu(2).cpus == "0-1")
        #expect(try cpu(3) { $0.takenProcessors = [0, 2] }.cpus == "4-6")
        #expect(try cpu(2) { $0.takenProcessors = [4] }.cpus == "5-6")
        #expect(try cpu(6).cpus == "0-5")
        #expect(try cpu(2).quota == nil)
        #expect(try cpu(1.5) == .init(quota: 150_000, period: 100_000))
        #expect(try cpu(8) { $0.takenProcessors = [7] } == .init(quota: 800_000, period: 100_000))
        #expect(try cpu(2) { $0.hasCpusetController = false } == .init(quota: 200_000, period: 100_000))
        #expect(throws: BuildError.self) { try cpu(9) }
    }

    @Test("limits of a process are never above what may be set here")
    func processLimits() throws {
        let limits = try process(Self.python, Self.settings()).rlimits
        #expect(
            limits == [
                .init(type: "RLIMIT_NOFILE", soft: 4096, hard: 4096),
                .init(type: "RLIMIT_MEMLOCK", soft: 65536, hard: 65536),
                .init(type: "RLIMIT_STACK", soft: 64 << 20, hard: .max),
            ])
        var facts = Self.facts()
        facts.canRaiseLimits = true
        let raised = try ContainerBuilder.build(Self.python, Self.settings(), facts).spec.process?.rlimits
        #expect(raised?.first == .init(type: "RLIMIT_NOFILE", soft: 1_048_576, hard: 1_048_576))
        let asked = Self.settings { $0.ulimits = [ResourceUlimit(name: "nofile", soft: 10, hard: 20)] }
        #expect(try process(Self.python, asked).rlimits.contains(.init(type: "RLIMIT_NOFILE", soft: 10, hard: 20)))
        let tooMuch = Self.settings { $0.ulimits = [ResourceUlimit(name: "nofile", soft: 10, hard: 5000)] }
        let error = #expect(throws: BuildError.self) { try process(Self.python, tooMuch) }
        #expect(error?.remedy.contains("4096") == true)
    }

    @Test("capabilities are Docker's, adjusted; no device nodes outside of a user namespace")
    func capabilities() throws {
        let standard = try #require(try process(Self.python, Self.settings()).capabilities)
        #expect(standard.bounding.count == 14)
        #expect(standard.bounding == standard.effective && standard.bounding == standard.permitted)
        #expect(standard.inheritable.isEmpty && standard.ambient.isEmpty)
        let dropped = Self.settings {
            $0.droppedCapabilities = ["ALL"]
            $0.addedCapabilities = ["NET_RAW"]
        }
        #expect(try process(Self.python, dropped).capabilities?.bounding == ["CAP_NET_RAW"])
        let host = Self.settings { $0.usesHostUserNamespace = true }
        #expect(try process(Self.python, host).capabilities?.bounding.contains("CAP_MKNOD") == false)
        #expect(throws: BuildError.self) {
            try process(Self.python, Self.settings { $0.addedCapabilities = ["FLY"] })
        }
    }

    @Test("host network: no namespace, and /sys shown instead of mounted")
    func hostNetwork() throws {
        let spec = try ContainerBuilder.build(Self.python, Self.settings { $0.network = .host }, Self.facts()).spec
        #expect(spec.linux?.namespaces.contains { $0.kind == .network } == false)
        #expect(spec.linux?.sysctl.isEmpty == true)
        #expect(spec.mounts.first { $0.destination == "/sys" }?.options.first == "rbind")
    }

    @Test("seccomp can be switched off or replaced; a broken profile is refused")
    func seccomp() throws {
        func build(_ seccomp: ServiceSettings.SecurityOptions.Seccomp) throws -> RuntimeSpec.Seccomp? {
            try ContainerBuilder.build(Self.python, Self.settings { $0.security.seccomp = seccomp }, Self.facts())
                .spec.linux?.seccomp
        }
        #expect(try build(.unconfined) == nil)
        #expect(try build(.profile(["defaultAction": "SCMP_ACT_LOG"]))?.defaultAction == "SCMP_ACT_LOG")
        #expect(throws: BuildError.self) { try build(.profile(["defaultAction": 5])) }
    }

    @Test("disks are named by path and limited by number")
    func disks() throws {
        let settings = Self.settings {
            $0.limits.ioDevices = [IODeviceLimit(device: "/dev/sda", measure: .readBytes, limit: 5)]
        }
        var facts = Self.facts()
        #expect(throws: BuildError.self) { try ContainerBuilder.build(Self.python, settings, facts) }
        facts.blockDevices["/dev/sda"] = .init(major: 8, minor: 0)
        let io = try ContainerBuilder.build(Self.python, settings, facts).spec.linux?.resources?.blockIO
        #expect(io?.throttleReadBpsDevice == [.init(major: 8, minor: 0, rate: 5)])
    }

    @Test("lists of processors", arguments: [("0", [0]), ("0-2,5", [0, 1, 2, 5]), ("3,1", [1, 3])])
    func processorLists(text: String, list: [Int]) { #expect(ProcessorList(parsing: text)?.processors == list) }

    @Test("lists of processors that are none", arguments: ["", "a", "1-", "-1", "2-1", "1,,2", "1-2-3"])
    func badProcessorLists(text: String) { #expect(ProcessorList(parsing: text) == nil) }
}
