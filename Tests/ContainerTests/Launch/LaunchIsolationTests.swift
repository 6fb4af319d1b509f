import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import Container

@Suite(.bothNamespaces, .enabled(if: LaunchFixture.isPossible, "needs root and busybox-static"))
struct LaunchIsolationTests {
    let fixture: LaunchFixture

    init() throws { fixture = try LaunchFixture() }

    private func output(_ script: String, _ change: (inout RuntimeSpec) -> Void = { _ in }) throws -> [String] {
        var spec = LaunchFixture.spec(script)
        change(&spec)
        let outcome = try fixture.run(spec)
        #expect(outcome.status == .exited(0), "\(outcome.error)")
        return outcome.lines
    }

    @Test("the program is process 1, alone, with its own host name and only the loopback interface, which is up")
    func namespaces() throws {
        let lines = try output(
            "echo $$; cat /proc/sys/kernel/hostname; ls /sys/class/net; cat /sys/class/net/lo/flags; ls -d /proc/[0-9]*"
        )
        #expect(Array(lines.prefix(4)) == ["1", "sentiment", "lo", "0x9"])
        #expect(lines.contains("/proc/1"))
        #expect(lines.count <= 6)
    }

    @Test("nothing of the host's mounts can be seen, and the root is the container's")
    func mounts() throws {
        let lines = try output("cat /proc/self/mountinfo; ls /")
        let points = lines.filter { $0.contains(" - ") }.map { String($0.split(separator: " ")[4]) }
        let expected: Set<String> = [
            "/", "/proc", "/dev", "/dev/pts", "/sys", "/sys/fs/cgroup", "/dev/mqueue", "/dev/shm",
        ]
        #expect(expected.isSubset(of: points))
        let covered = ["/proc/", "/sys/"]
        #expect(points.allSatisfy { point in expected.contains(point) || covered.contains { point.hasPrefix($0) } })
        #expect(lines.suffix(7) == ["bin", "dev", "etc", "place", "proc", "sys", "tmp"])
    }

    @Test("a launching process's open files do not reach the program")
    func descriptors() throws {
        let leak = open("/etc/passwd", O_RDONLY)
        defer { close(leak) }
        // The fourth is the shell's own view of the directory.
        #expect(try output("cd /proc/self/fd; echo *") == ["0 1 2 3"])
    }

    @Test("files handed over are descriptors 3 and 4, whatever their numbers were")
    func extraDescriptors() throws {
        let files = try ["first", "second"].map { name in
            try File.replace("\(fixture.directory)/\(name)", with: Array(name.utf8), durable: false)
            return SharedDescriptor(try File.open("\(fixture.directory)/\(name)", O_RDONLY))
        }
        let outcome = try fixture.run(LaunchFixture.spec("cat <&4; echo; cat <&3"), extra: files)
        #expect(outcome.lines == ["second", "first"], "\(outcome.error)")
    }

    @Test("masked files read as empty, masked directories are empty and read-only, /proc/sys cannot be written")
    func masks() throws {
        let lines = try output(
            "cat /proc/keys; ls /sys/firmware; touch /sys/firmware/x 2>/dev/null || echo refused; "
                + "(echo 1 > /proc/sys/net/ipv4/ip_forward) 2>/dev/null || echo read-only")
        #expect(lines == ["refused", "read-only"])
    }

    @Test("/dev has the standard nodes and links, and /dev/shm the size asked for")
    func devices() throws {
        let lines = try output(
            "ls /dev; echo x > /dev/null; stat -c %t:%T /dev/null; readlink /dev/fd; cat /proc/mounts"
        ) {
            $0.mounts[6].options[4] = "size=1m"
        }
        let names = [
            "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty",
            "urandom", "zero",
        ]
        #expect(Array(lines.prefix(16)) == names + ["1:3", "/proc/self/fd"])
        #expect(lines.contains { $0.hasPrefix("shm /dev/shm tmpfs") && $0.contains("size=1024k") })
    }

    @Test("user, groups, file mask, capabilities, limits and no_new_privs are as asked for")
    func rights() throws {
        let lines = try output("id; umask; ulimit -n; ulimit -Hn; cat /proc/self/status") {
            $0.process?.user = .init(uid: 1000, gid: 1001, umask: 0o027, additionalGids: [1001, 2002])
            $0.process?.capabilities = .init(
                effective: ["CAP_NET_BIND_SERVICE"], bounding: ["CAP_NET_BIND_SERVICE", "CAP_KILL"],
                inheritable: ["CAP_NET_BIND_SERVICE"], permitted: ["CAP_NET_BIND_SERVICE"],
                ambient: ["CAP_NET_BIND_SERVICE"])
        }
        #expect(Array(lines.prefix(4)) == ["uid=1000 gid=1001 groups=1001,2002", "0027", "512", "1024"])
        func field(_ name: String) -> String? {
            lines.first { $0.hasPrefix("\(name):") }.map { String($0.dropFirst(name.count + 1)).trimmed }
        }
        #expect(field("CapEff") == "0000000000000400")
        #expect(field("CapAmb") == "0000000000000400")
        #expect(field("CapBnd") == "0000000000000420")
        #expect(field("NoNewPrivs") == "1")
        #expect(field("SigBlk") == "0000000000000000")
    }

    @Test("a program hears every signal, also those that the launching process ignores")
    func signals() throws {
        let before = signal(SIGPIPE, SIG_IGN)
        defer { _ = signal(SIGPIPE, before) }
        let lines = try output("") { $0.process?.args = ["cat", "/proc/self/status"] }
        #expect(lines.contains("SigIgn:\t0000000000000000"))
    }

    @Test("root in the container has Docker's capabilities and not one more")
    func dockerCapabilities() throws {
        let host = try HostFacts.discover()
        let expected = CapabilitySet.dockerDefault.intersection(host.capabilities)
        let lines = try output("cat /proc/self/status")
        for name in ["CapPrm", "CapEff", "CapBnd"] {
            let text = lines.first { $0.hasPrefix(name) }?.split(separator: "\t").last
            #expect(text.flatMap { UInt64($0, radix: 16) } == expected.rawValue, "\(name)")
        }
    }

    @Test("the seccomp filter is loaded and refuses what it must")
    func seccomp() throws {
        let lines = try output("cat /proc/self/status; mount -t tmpfs x /tmp || echo refused") {
            $0.linux?.seccomp = .init(
                defaultAction: "SCMP_ACT_ALLOW", architectures: [],
                syscalls: [.init(names: ["mount"], action: "SCMP_ACT_ERRNO", errnoRet: 1)])
        }
        #expect(lines.contains("Seccomp:\t2"))
        #expect(lines.last == "refused")
    }

    @Test("a read-only root cannot be written, its volatile file systems can")
    func readOnlyRoot() throws {
        let lines = try output("touch /tmp/x 2>/dev/null || echo refused; touch /dev/shm/x && echo written") {
            $0.root?.readonly = true
        }
        #expect(lines == ["refused", "written"])
    }

    @Test("a sysctl of the network namespace is set")
    func sysctl() throws {
        #expect(
            try output("cat /proc/sys/net/ipv4/ip_unprivileged_port_start") {
                $0.linux?.sysctl = ["net.ipv4.ip_unprivileged_port_start": "80"]
            } == ["80"])
    }

    @Test("in a user namespace root is the mapped user outside, with devices, all file systems and full capabilities")
    func userNamespace() throws {
        let first: UInt32 = 200_000
        for path in ["", "/bin", "/tmp", "/place", "/dev", "/proc", "/sys", "/etc"] {
            chown(fixture.root + path, first, first)
        }
        let script = "id -u; cat /proc/self/uid_map; touch /place/mine; echo x > /dev/null; ls /dev/shm /sys/class/net"
        let outcome = try fixture.run(LaunchFixture.inUserNamespace(LaunchFixture.spec(script), first: first))
        #expect(outcome.status == .exited(0), "\(outcome.error)")
        #expect(outcome.lines.first == "0")
        #expect(outcome.lines.dropFirst().first?.split(separator: " ") == ["0", "200000", "65536"])
        let made = try File.status("\(fixture.root)/place/mine")
        #expect(made.uid == first)
    }

    @Test("a detached overlay with an idmapped lower layer is a writable root in a user namespace")
    func overlayRoot() throws {
        let first: UInt32 = 200_000
        let namespace = try UserNamespace.make(
            uid: [.init(containerID: 0, hostID: first, size: 65536)],
            gid: [.init(containerID: 0, hostID: first, size: 65536)])
        for path in ["upper", "work"] {
            try File.makeDirectories("\(fixture.directory)/scratch/\(path)")
            chown("\(fixture.directory)/scratch/\(path)", first, first)
        }
        let tree = OwnedDescriptor(
            taking: try check(
                mlr_open_tree(AT_FDCWD, fixture.root, UInt32(MLR_OPEN_TREE_CLONE)), "open", path: fixture.root))
        try check(
            mlr_mount_setattr(
                tree.rawValue, "", UInt32(MLR_AT_EMPTY_PATH), UInt64(MLR_MOUNT_ATTR_IDMAP), 0, 0, namespace.rawValue),
            "map the owners of", path: fixture.root)
        let context = OwnedDescriptor(taking: try check(mlr_fsopen("overlay"), "open overlay"))
        func set(_ key: String, _ value: String) throws {
            try check(
                value.withCString { mlr_fsconfig(context.rawValue, UInt32(MLR_FSCONFIG_SET_STRING), key, $0, 0) }, key)
        }
        try check(
            mlr_fsconfig(context.rawValue, UInt32(MLR_FSCONFIG_SET_FD), "lowerdir+", nil, tree.rawValue), "lowerdir+")
        try set("upperdir", "\(fixture.directory)/scratch/upper")
        try set("workdir", "\(fixture.directory)/scratch/work")
        try check(mlr_fsconfig(context.rawValue, UInt32(MLR_FSCONFIG_CMD_CREATE), nil, nil, 0), "create overlay")
        let root = SharedDescriptor(taking: try check(mlr_fsmount(context.rawValue, 0), "mount overlay"))
        let script = "stat -c %u:%g /bin /etc/passwd; touch /etc/new; stat -c %u /etc/new; echo x >> /etc/passwd"
        let outcome = try fixture.run(
            LaunchFixture.inUserNamespace(LaunchFixture.spec(script), first: first), root: .mount(root))
        #expect(outcome.status == .exited(0), "\(outcome.error)")
        #expect(outcome.lines == ["0:0", "0:0", "0"])
        #expect(try File.status("\(fixture.directory)/scratch/upper/etc/new").uid == first)
        #expect(!File.exists("\(fixture.root)/etc/new"))
    }

    @Test("an idmapped bind mount shows the host's owners as the container's")
    func idMappedVolume() throws {
        let volume = "\(fixture.directory)/volume"
        try File.makeDirectories(volume)
        chown(volume, 1000, 1000)
        chown(fixture.root, 200_000, 200_000)
        var spec = LaunchFixture.inUserNamespace(LaunchFixture.spec("stat -c %u /place; touch /place/new"))
        spec.mounts.append(
            .init(
                destination: "/place", type: "bind", source: volume, options: ["rbind"],
                uidMappings: [.init(containerID: 1000, hostID: 200_000, size: 1)],
                gidMappings: [.init(containerID: 1000, hostID: 200_000, size: 1)]))
        let outcome = try fixture.run(spec)
        #expect(outcome.status == .exited(0), "\(outcome.error)")
        #expect(outcome.lines == ["0"])
        #expect(try File.status("\(volume)/new").uid == 1000)
    }
}

extension String {
    var trimmed: String {
        var text = self[...]
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}
