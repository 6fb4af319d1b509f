import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import Container

@Suite(.bothNamespaces, .enabled(if: LaunchFixture.isPossible, "needs root and busybox-static"))
struct NamespaceTests {
    let fixture: LaunchFixture

    init() throws { fixture = try LaunchFixture() }

    /// A container that stays, with all eight kinds, or those that are asked for.
    private func sleeper(
        _ kinds: [RuntimeSpec.Namespace.Kind] = RuntimeSpec.Namespace.Kind.allCases
    ) throws -> ContainerProcess {
        var spec = LaunchFixture.spec("")
        spec.process?.args = ["sleep", "1000"]
        spec.linux?.namespaces = kinds.filter { $0 != .user }.map { .init($0) }
        if kinds.contains(.user) {
            chown(fixture.root, 200_000, 200_000)
            spec = LaunchFixture.inUserNamespace(spec)
        }
        let plan = try LaunchPlanner.plan(spec, host: try HostFacts.discover())
        return try Launcher.launch(
            LaunchRequest(
                plan: plan, root: .path(fixture.root), streams: .files(input: nil, output: nil, error: nil)))
    }

    private func link(_ kind: RuntimeSpec.Namespace.Kind, of process: ContainerProcess) throws -> String {
        try File.readLink("/proc/\(process.pid)/ns/\(kind.link)")
    }

    private static let show = RuntimeSpec.Namespace.Kind.allCases.map { "readlink /proc/self/ns/\($0.link)" }
        .joined(separator: "; ")

    @Test("each kind of namespace is joined by its path", arguments: RuntimeSpec.Namespace.Kind.allCases)
    func joins(_ kind: RuntimeSpec.Namespace.Kind) throws {
        let host = try sleeper()
        defer { _ = try? host.kill() }
        var spec = LaunchFixture.spec(Self.show)
        if kind == .user { chown(fixture.root, 200_000, 200_000) }
        spec.linux?.namespaces.removeAll { $0.kind == kind }
        if kind == .mount { spec.mounts = []; spec.linux?.maskedPaths = []; spec.linux?.readonlyPaths = [] }
        if kind == .uts { spec.hostname = nil }
        if kind == .mount {
            // Its /proc shows the processes of its own pid namespace only.
            spec.linux?.namespaces.removeAll { $0.kind == .pid }
            spec.linux?.namespaces.append(.init(.pid, path: "/proc/\(host.pid)/ns/pid"))
        }
        spec.linux?.namespaces.append(.init(kind, path: "/proc/\(host.pid)/ns/\(kind.link)"))
        let outcome = try fixture.run(spec)
        #expect(outcome.status == .exited(0), "\(outcome.error)")
        let index = try #require(RuntimeSpec.Namespace.Kind.allCases.firstIndex(of: kind))
        let expected = try link(kind, of: host)
        #expect(outcome.lines.count == 8 && outcome.lines[index] == expected, "\(outcome.lines)")
    }

    @Test("a mount namespace that is joined gets the container's root and its mounts")
    func mountsInJoined() throws {
        let host = try sleeper([.mount, .uts, .pid])
        defer { _ = try? host.kill() }
        try File.replace("\(fixture.root)/etc/release", with: Array("sentiment\n".utf8), mode: 0o644)
        var spec = LaunchFixture.spec("readlink /proc/self/ns/mnt; cat /etc/release; cat /proc/keys; ls -d /dev/shm")
        spec.linux?.namespaces.removeAll { $0.kind == .mount }
        spec.linux?.namespaces.append(.init(.mount, path: "/proc/\(host.pid)/ns/mnt"))
        let outcome = try fixture.run(spec)
        #expect(outcome.status == .exited(0), "\(outcome.error)")
        #expect(outcome.lines == [try link(.mount, of: host), "sentiment", "/dev/shm"])
        let hosts = try File.readText("/proc/self/mountinfo")
        #expect(!hosts.contains(fixture.root), "what is mounted there comes back to the host")
    }

    @Test("the host's own mount namespace does not get a container's root by way of a path to it")
    func hostMounts() throws {
        var spec = LaunchFixture.spec("true")
        spec.linux?.namespaces.removeAll { $0.kind == .mount }
        spec.linux?.namespaces.append(.init(.mount, path: "/proc/self/ns/mnt"))
        let error = #expect(throws: LaunchError.self) { try fixture.run(spec) }
        #expect(error?.description.contains("the host's own mount namespace") == true, "\(String(describing: error))")
    }

    /// A configuration that joins namespaces and changes nothing of their mounts.
    private func guest(_ script: String, mount: String, pid: String? = nil) -> RuntimeSpec {
        var spec = LaunchFixture.spec(script)
        spec.mounts = []
        spec.linux?.maskedPaths = []
        spec.linux?.readonlyPaths = []
        spec.linux?.namespaces.removeAll { $0.kind == .mount || (pid != nil && $0.kind == .pid) }
        spec.linux?.namespaces.append(.init(.mount, path: mount))
        if let pid { spec.linux?.namespaces.append(.init(.pid, path: pid)) }
        return spec
    }

    @Test("in a mount namespace that is joined as it is hooks run, propagation is set, and a terminal is made")
    func hooksInJoined() throws {
        let host = try sleeper([.mount, .uts, .pid])
        defer { _ = try? host.kill() }
        let propagation = "while read a b c d place f said rest; do [ $place = / ] && echo $said; done"
        var spec = guest(
            "cat /tmp/hook; \(propagation) < /proc/self/mountinfo; true", mount: "/proc/\(host.pid)/ns/mnt",
            pid: "/proc/\(host.pid)/ns/pid")
        let script = "pwd > /tmp/hook; readlink /proc/self/ns/mnt >> /tmp/hook"
        spec.hooks = .init(createContainer: [.init(path: "/bin/sh", args: ["sh", "-c", script])])
        spec.linux?.rootfsPropagation = "shared"
        let outcome = try fixture.run(spec)
        #expect(outcome.status == .exited(0), "\(outcome.error)")
        #expect(outcome.lines.prefix(2) == ["/", try link(.mount, of: host)])
        #expect(outcome.lines.count == 3 && outcome.lines[2].hasPrefix("shared:"), "\(outcome.lines)")

        spec = guest("tty", mount: "/proc/\(host.pid)/ns/mnt", pid: "/proc/\(host.pid)/ns/pid")
        spec.process?.terminal = true
        let plan = try LaunchPlanner.plan(spec, host: try HostFacts.discover())
        let process = try Launcher.launch(LaunchRequest(plan: plan, root: .path(fixture.root), streams: .console(nil)))
        let console = try #require(process.console)
        #expect(try process.wait() == .exited(0))
        var bytes = [UInt8](repeating: 0, count: 256)
        let got = read(console.rawValue, &bytes, bytes.count)
        #expect(String(decoding: bytes.prefix(max(0, got)), as: UTF8.self).hasPrefix("/dev/pts/"))
    }

    @Test("the propagation of the host's own mounts is not set by way of a path to their namespace")
    func hostPropagation() throws {
        var spec = guest("true", mount: "/proc/self/ns/mnt")
        spec.linux?.rootfsPropagation = "rprivate"
        let error = #expect(throws: LaunchError.self) { try fixture.run(spec) }
        let description = error?.description ?? ""
        #expect(description.hasPrefix("linux.rootfsPropagation: ") && description.contains("the host's own mount"))
    }

    @Test("namespaces that belong to a joined user namespace are joined with it, whatever the order they are named in")
    func pod() throws {
        let host = try sleeper()
        defer { _ = try? host.kill() }
        var spec = LaunchFixture.spec(Self.show)
        spec.hostname = nil
        let joined: [RuntimeSpec.Namespace.Kind] = [.user, .ipc, .uts, .network, .pid]
        spec.linux?.namespaces = [.init(.mount), .init(.cgroup)]
        for kind in joined { spec.linux?.namespaces.append(.init(kind, path: "/proc/\(host.pid)/ns/\(kind.link)")) }
        let outcome = try fixture.run(spec)
        #expect(outcome.status == .exited(0), "\(outcome.error)")
        for kind in joined {
            let index = try #require(RuntimeSpec.Namespace.Kind.allCases.firstIndex(of: kind))
            let expected = try link(kind, of: host)
            #expect(outcome.lines[index] == expected, "\(kind)")
        }
    }

    @Test("mappings beside a user namespace that is joined are its own, however they are written, or refused")
    func mappingsOfJoined() throws {
        let host = try sleeper()
        defer { _ = try? host.kill() }
        var spec = LaunchFixture.spec("id -u; cat /proc/self/uid_map")
        spec.hostname = nil
        spec.linux?.namespaces = [.init(.mount)]
        for kind in [.user, .ipc, .uts, .network, .pid] as [RuntimeSpec.Namespace.Kind] {
            spec.linux?.namespaces.append(.init(kind, path: "/proc/\(host.pid)/ns/\(kind.link)"))
        }
        func outcome(_ uid: [RuntimeSpec.IDMap], _ gid: [RuntimeSpec.IDMap]) throws -> LaunchFixture.Outcome {
            spec.linux?.uidMappings = uid
            spec.linux?.gidMappings = gid
            return try fixture.run(spec)
        }
        let whole = [RuntimeSpec.IDMap(containerID: 0, hostID: 200_000, size: 65536)]
        let parts = [
            RuntimeSpec.IDMap(containerID: 1000, hostID: 201_000, size: 64536),
            .init(containerID: 0, hostID: 200_000, size: 1000),
        ]
        for (uid, gid) in [(whole, whole), (parts, whole), (whole, [])] {
            let outcome = try outcome(uid, gid)
            #expect(outcome.status == .exited(0) && outcome.lines.first == "0", "\(outcome.error)")
        }
        let others = [RuntimeSpec.IDMap(containerID: 0, hostID: 300_000, size: 65536)]
        for (uid, gid, name) in [(others, whole, "uid"), (whole, others, "gid"), (whole, [parts[0]], "gid")] {
            let error = #expect(throws: LaunchError.self) { try outcome(uid, gid) }
            #expect(error?.description.hasPrefix("linux.\(name)Mappings: ") == true, "\(String(describing: error))")
            #expect(error?.description.contains("0 200000 65536") == true)
        }
        let namespace = SharedDescriptor(try File.open("/proc/\(host.pid)/ns/user", O_RDONLY))
        let own = try withExtendedLifetime(namespace) { try UserNamespace.mappings(of: namespace.rawValue) }
        #expect(own.uid == whole && own.gid == whole)
    }

    @Test("a path to a namespace of another kind, or to none, is refused by the field that names it")
    func wrongKind() throws {
        for (path, said) in [("/proc/self/ns/net", "a network namespace"), ("/etc/passwd", "no ipc namespace")] {
            var spec = LaunchFixture.spec("true")
            spec.linux?.namespaces.removeAll { $0.kind == .ipc }
            spec.linux?.namespaces.append(.init(.ipc, path: path))
            let error = #expect(throws: LaunchError.self) { try fixture.run(spec) }
            #expect(error?.description.hasPrefix("linux.namespaces: ") == true)
            #expect(error?.description.contains(said) == true, "\(String(describing: error))")
        }
    }

    @Test("a parameter of the host's own network is not set by way of a path to it")
    func hostNetworkSysctl() throws {
        var spec = LaunchFixture.spec("true")
        spec.linux?.namespaces.removeAll { $0.kind == .network }
        spec.linux?.namespaces.append(.init(.network, path: "/proc/\(getpid())/ns/net"))
        spec.linux?.sysctl = ["net.ipv4.ip_unprivileged_port_start": "1024"]
        let error = #expect(throws: LaunchError.self) { try fixture.run(spec) }
        #expect(error?.description.contains("the host's own network namespace") == true, "\(String(describing: error))")
    }

    @Test("clocks of a time namespace are ahead by the offsets", .enabled(if: File.exists("/proc/self/ns/time")))
    func timeOffsets() throws {
        var spec = LaunchFixture.spec("cat /proc/self/timens_offsets; cat /proc/uptime")
        spec.linux?.namespaces.append(.init(.time))
        spec.linux?.timeOffsets = ["monotonic": .init(secs: 3_600, nanosecs: 7), "boottime": .init(secs: 1_000_000)]
        let lines = try fixture.run(spec).lines.map { $0.split(separator: " ").map(String.init) }
        #expect(
            lines.contains(["monotonic", "3600", "7"]) && lines.contains(["boottime", "1000000", "0"]), "\(lines)")
        #expect((lines.last?.first.flatMap(Double.init) ?? 0) > 1_000_000)
    }

    @Test("an id that the user namespace does not map is refused before anything is made, by its field")
    func unmapped() throws {
        var spec = LaunchFixture.inUserNamespace(LaunchFixture.spec("true"))
        spec.process?.user = .init(uid: 70_000, gid: 70_001, additionalGids: [5, 70_002])
        let error = #expect(throws: PlanError.self) { try LaunchPlanner.plan(spec, host: LaunchPlanTests.host) }
        #expect(
            error?.problems.map(\.path) == ["process.user.uid", "process.user.gid", "process.user.additionalGids[1]"])
    }
}
