import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import Container

@Suite(
    .enabled(if: LaunchFixture.isPossible && mlr_count_mounts(1) == 1, "needs root, busybox-static and Linux 6.8"),
    .enabled(if: TestPreparedMounts.areKept, "the kernel keeps others only in the host's own mount namespace"))
struct PreparedMountsTests {
    private func inode(_ namespace: SharedDescriptor?) throws -> UInt64 {
        try File.status(of: try #require(namespace).rawValue).inode
    }

    /// What the kept file is: a kind of namespace, or an error number where it is none.
    private func kind(_ place: TestPreparedMounts) throws -> Int32 {
        let opened = try File.open(place.file, O_RDONLY)
        return mlr_namespace_kind(opened.rawValue)
    }

    @Test("a mount namespace is made once, kept, and made anew where what is there is none")
    func kept() throws {
        let place = TestPreparedMounts()
        let first = try inode(place.mounts.namespace())
        #expect(try inode(place.mounts.namespace()) == first)
        #expect(try File.status(place.file).inode == first)
        #expect(mlr_umount(place.file, 0) == 0)
        #expect(try kind(place) < 0)
        _ = try inode(place.mounts.namespace())
        #expect(try kind(place) == Int32(MLR_CLONE_NEWNS))
        #expect(mlr_umount(place.file, 0) == 0)
        // Another kind of namespace is not what it should be.
        #expect(mlr_mount("/proc/self/ns/uts", place.file, nil, UInt(MLR_MS_BIND), nil) == 0)
        let made = try inode(place.mounts.namespace())
        #expect(try kind(place) == Int32(MLR_CLONE_NEWNS))
        #expect(try File.status(place.file).inode == made)
    }

    @Test("many who want it at once get the same")
    func race() throws {
        let place = TestPreparedMounts()
        let threads = (0..<8).map { _ in TestThread { place.mounts.namespace() } }
        let found = try threads.map { try inode($0.value()) }
        #expect(Set(found).count == 1)
    }

    @Test("a directory that others could write to is not trusted, few mounts need none, and both leave nothing")
    func refused() throws {
        let place = TestPreparedMounts()
        var few = place.mounts
        few.worthwhile = 512
        #expect(few.namespace() == nil)
        #expect(!File.exists(place.directory))
        try File.makeDirectories(place.directory, mode: 0o755)
        chmod(place.directory, 0o755)
        #expect(place.mounts.namespace() == nil)
        #expect(!File.exists(place.file))
        rmdir(place.directory)
        symlink("/var/tmp", place.directory)
        #expect(place.mounts.namespace() == nil)
        unlink(place.directory)
    }

    @Test(
        "a container sees the same whether it begins with the host's mounts or with prepared ones",
        arguments: [false, true])
    func same(inUserNamespace: Bool) throws {
        let fixture = try LaunchFixture()
        var spec = LaunchFixture.spec("cat /proc/self/mountinfo; ls -la /dev /proc/self/ns/ | wc -l; ls /proc/self/fd")
        if inUserNamespace { spec = LaunchFixture.inUserNamespace(spec) }
        spec.mounts.append(
            .init(destination: "/tmp", type: "bind", source: "/usr", options: ["rbind", "ro", "rslave"]))
        func view() throws -> [String] {
            let outcome = try fixture.run(spec)
            #expect(outcome.status == .exited(0), "\(outcome.error)")
            return outcome.lines.map(Self.comparable)
        }
        let place = TestPreparedMounts()
        let usual = try view()
        let prepared = try LaunchFixture.$preparedMounts.withValue(place.mounts) { try view() }
        #expect(File.exists(place.file), "it was used")
        #expect(prepared == usual)
        #expect(usual.contains { $0.hasPrefix("mask /proc/") }, "\(usual)")
    }

    /// A line of mountinfo without numbers, and without what tells a mask's file system: it is another null device.
    private static func comparable(_ line: String) -> String {
        let fields = line.split(separator: " ").map(String.init)
        guard let dash = fields.firstIndex(of: "-"), dash >= 6 else { return line }
        let tags = fields[6..<dash].map { String($0.prefix { !$0.isNumber }) }
        let isMask = fields[3] == "/null" || fields[3] == "/dev/null"
        let options = fields[5].split(separator: ",").filter { !isMask || $0 == "ro" }.joined(separator: ",")
        let place = [isMask ? "mask" : fields[3], fields[4], options]
        return (place + tags + (isMask ? [] : Array(fields[(dash + 1)...]))).joined(separator: " ")
    }

    @Test("only plans that want nothing of the host's mounts begin without them")
    func plans() throws {
        let host = try HostFacts.discover()
        func allows(pivots: Bool = true, _ change: (inout RuntimeSpec) -> Void = { _ in }) throws -> Bool {
            var spec = LaunchFixture.spec("true")
            change(&spec)
            var options = LaunchPlanner.Options(bundle: "/bundle")
            options.pivots = pivots
            return try LaunchPlanner.plan(spec, host: host, options: options).canBeginWithoutHostMounts
        }
        #expect(try allows())
        #expect(try allows { $0 = LaunchFixture.inUserNamespace($0) })
        let bind = RuntimeSpec.Mount(destination: "/x", type: "bind", source: "/usr", options: ["rbind"])
        #expect(try allows { $0.mounts.append(bind) })
        #expect(
            try allows {
                $0.linux?.namespaces.removeAll { $0.kind == .network }
                $0.linux?.namespaces.append(.init(.network, path: "/proc/1/ns/net"))
            }, "a container of a pod")
        #expect(try !allows(pivots: false))
        #expect(try !allows { $0.hooks = .init(createContainer: [.init(path: "/bin/true")]) })
        #expect(
            try !allows {
                $0.mounts.append(
                    .init(destination: "/x", type: "overlay", source: "o", options: ["lowerdir=/a:/b"]))
            })
        #expect(try !allows { $0.linux?.namespaces.removeAll { $0.kind == .mount } })
    }
}
