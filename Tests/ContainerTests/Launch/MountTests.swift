import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import Container

/// Mounts as the kernel shows them from inside.
@Suite(.bothNamespaces, .enabled(if: LaunchFixture.isPossible, "needs root and busybox-static"))
struct MountTests {
    let fixture: LaunchFixture

    init() throws { fixture = try LaunchFixture() }

    /// One line of mountinfo (proc_pid_mountinfo(5)).
    struct Line {
        let point: String
        let options: Set<String>
        let tags: [String]
        let superOptions: Set<String>

        init?(_ text: String) {
            let fields = text.split(separator: " ").map(String.init)
            guard let dash = fields.firstIndex(of: "-"), dash >= 6 else { return nil }
            point = fields[4]
            options = Set(fields[5].split(separator: ",").map(String.init))
            tags = Array(fields[6..<dash])
            superOptions = Set(fields[dash + 3].split(separator: ",").map(String.init))
        }
    }

    private func run(_ script: String, _ change: (inout RuntimeSpec) -> Void) throws -> [String] {
        var spec = LaunchFixture.spec(script)
        change(&spec)
        let outcome = try fixture.run(spec)
        #expect(outcome.status == .exited(0), "\(outcome.error)")
        return outcome.lines
    }

    private func mounts(_ mounts: [RuntimeSpec.Mount], _ change: (inout RuntimeSpec) -> Void = { _ in }) throws
        -> [String: Line]
    {
        let lines = try run("cat /proc/self/mountinfo") {
            $0.mounts += mounts
            change(&$0)
        }
        return Dictionary(lines.compactMap(Line.init).map { ($0.point, $0) }, uniquingKeysWith: { $1 })
    }

    private func directory(_ name: String) throws -> String {
        let path = "\(fixture.directory)/\(name)"
        try File.makeDirectories(path)
        return path
    }

    @Test("every attribute is there, on new file systems and on bind mounts")
    func attributes() throws {
        let words = ["ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "nosymfollow"]
        let source = try directory("source")
        let found = try mounts(
            words.flatMap { word in
                [
                    RuntimeSpec.Mount(destination: "/place/t-\(word)", type: "tmpfs", options: [word]),
                    .init(destination: "/place/b-\(word)", type: "none", source: source, options: ["bind", word]),
                    .init(
                        destination: "/place/r-\(word)", type: "none", source: source, options: ["rbind", "r\(word)"]),
                ]
            } + [.init(destination: "/place/strict", type: "tmpfs", options: ["strictatime"])])
        for word in words {
            for kind in ["t", "b", "r"] {
                #expect(found["/place/\(kind)-\(word)"]?.options.contains(word) == true, "\(kind) \(word)")
            }
        }
        let strict = try #require(found["/place/strict"])
        #expect(strict.options.isDisjoint(with: ["relatime", "noatime"]))
    }

    @Test("settings of a file system reach it, those that only mount(2) knows too")
    func superblock() throws {
        let found = try mounts([
            .init(destination: "/place/a", type: "tmpfs", options: ["sync", "size=64k"]),
            .init(destination: "/place/b", type: "tmpfs", options: ["dirsync", "lazytime", "mand"]),
            .init(destination: "/place/c", type: "tmpfs", options: ["iversion", "nosuid", "size=64k", "private"]),
        ])
        #expect(found["/place/a"]?.superOptions.isSuperset(of: ["sync", "size=64k"]) == true)
        #expect(found["/place/b"]?.superOptions.isSuperset(of: ["dirsync", "lazytime"]) == true)
        #expect(found["/place/c"]?.superOptions.contains("size=64k") == true)
        #expect(found["/place/c"]?.options.contains("nosuid") == true)
    }

    @Test("recursive attributes reach the mounts below, plain ones do not")
    func recursive() throws {
        let tree = try directory("tree/below")
        try check(mlr_mount("tmpfs", tree, "tmpfs", 0, "size=64k"), "mount", path: tree)
        defer { mlr_umount(tree, Int32(MLR_MNT_DETACH)) }
        let source = "\(fixture.directory)/tree"
        let found = try mounts([
            .init(destination: "/place/plain", source: source, options: ["rbind", "ro"]),
            .init(destination: "/place/deep", source: source, options: ["rbind", "rro", "rnosuid"]),
            .init(destination: "/place/flat", source: source, options: ["bind"]),
        ])
        #expect(found["/place/plain"]?.options.contains("ro") == true)
        #expect(found["/place/plain/below"]?.options.contains("rw") == true)
        #expect(found["/place/deep/below"]?.options.isSuperset(of: ["ro", "nosuid"]) == true)
        #expect(found["/place/flat"] != nil && found["/place/flat/below"] == nil)
    }

    @Test("propagation is as asked for, and private unless asked for")
    func propagation() throws {
        let source = try directory("shared")
        try check(mlr_mount(source, source, nil, UInt(MLR_MS_BIND), nil), "mount", path: source)
        defer { mlr_umount(source, Int32(MLR_MNT_DETACH)) }
        try check(mlr_mount(nil, source, nil, UInt(MLR_MS_SHARED), nil), "share", path: source)
        let found = try mounts([
            .init(destination: "/place/none", source: source, options: ["rbind"]),
            .init(destination: "/place/slave", source: source, options: ["rbind", "rslave"]),
            .init(destination: "/place/shared", source: source, options: ["rbind", "rshared"]),
            .init(destination: "/place/both", source: source, options: ["rbind", "rslave", "rshared"]),
            .init(destination: "/place/closed", source: source, options: ["bind", "unbindable"]),
            .init(destination: "/place/new", type: "tmpfs", options: ["shared"]),
        ])
        func tags(_ name: String) -> [String] {
            (found["/place/\(name)"]?.tags ?? []).map { String($0.prefix { $0 != ":" }) }
        }
        #expect(tags("none") == [])
        #expect(tags("slave") == ["master"])
        #expect(tags("shared") == ["shared"])
        #expect(Set(tags("both")) == ["shared", "master"])
        #expect(tags("closed") == ["unbindable"])
        #expect(tags("new") == ["shared"])
    }

    @Test(
        "the root's propagation is as asked for, and its mounts never show on a host that shares them",
        arguments: [
            (nil, []), ("private", []), ("rprivate", []), ("slave", ["master"]), ("rslave", ["master"]),
            ("shared", ["shared"]), ("rshared", ["shared"]), ("unbindable", ["unbindable"]),
        ] as [(String?, [String])])
    func rootPropagation(_ name: String?, _ expected: [String]) throws {
        try check(mlr_mount(fixture.root, fixture.root, nil, UInt(MLR_MS_BIND), nil), "mount", path: fixture.root)
        defer { mlr_umount(fixture.root, Int32(MLR_MNT_DETACH)) }
        try check(mlr_mount(nil, fixture.root, nil, UInt(MLR_MS_SHARED), nil), "share", path: fixture.root)
        let output = SharedDescriptor(
            try File.open("\(fixture.directory)/mountinfo", O_RDWR | O_CREAT | O_TRUNC, mode: 0o600))
        var spec = LaunchFixture.spec("cat /proc/self/mountinfo; sleep 1000")
        spec.linux?.rootfsPropagation = name
        let plan = try LaunchPlanner.plan(spec, host: try HostFacts.discover())
        let process = try Launcher.launch(
            LaunchRequest(
                plan: plan, root: .path(fixture.root), streams: .files(input: nil, output: output, error: nil)))
        defer { _ = try? process.kill() }
        let host = try File.readText("/proc/self/mountinfo").split(separator: "\n").compactMap { Line(String($0)) }
        #expect(host.filter { $0.point.hasPrefix("\(fixture.root)/") }.map(\.point) == [])
        var root: Line?
        for _ in 0..<500 where root == nil {
            usleep(10_000)
            root = try File.readText("\(fixture.directory)/mountinfo").split(separator: "\n")
                .compactMap { Line(String($0)) }.first { $0.point == "/" }
        }
        let tags = try #require(root).tags.map { tag in String(tag.prefix { $0 != ":" }) }
        #expect(tags == expected)
    }

    @Test("tmpcopyup brings along what was there: files, links, modes, owners, in a tmpfs of its own")
    func copyUp() throws {
        let work = "\(fixture.root)/place"
        try File.makeDirectories("\(work)/deep/er")
        try File.replace("\(work)/deep/er/file", with: Array("content\n".utf8), mode: 0o640)
        chown("\(work)/deep/er/file", 12, 34)
        chmod("\(work)/deep/er/file", 0o4640)
        symlink("/etc/passwd", "\(work)/link")
        try check(mkfifo("\(work)/fifo", 0o600) < 0 ? -errno : 0, "create a FIFO")
        chmod(work, 0o1770)
        let lines = try run(
            "cd /place; cat deep/er/file; stat -c '%a %u:%g' deep/er/file; readlink link; stat -c %F fifo; stat -c %a .; "
                + "touch mine; stat -f -c %T ."
        ) { $0.mounts.append(.init(destination: "/place", type: "tmpfs", options: ["tmpcopyup"])) }
        #expect(lines == ["content", "4640 12:34", "/etc/passwd", "fifo", "1770", "tmpfs"])
        #expect(!File.exists("\(work)/mine"))
    }

    @Test("tmpcopyup of a tree nested deeper than is sane is refused, not followed to the end of memory")
    func copyUpDeep() throws {
        var path = "\(fixture.root)/place"
        for _ in 0..<150 { path += "/d" }
        try File.makeDirectories(path)
        let error = #expect(throws: LaunchError.self) {
            try run("true") { $0.mounts.append(.init(destination: "/place", type: "tmpfs", options: ["tmpcopyup"])) }
        }
        #expect(error?.description.contains("tmpcopyup") == true, "\(String(describing: error))")
    }

    @Test("a tmpfs takes the mode of what it covers unless it is told one")
    func mode() throws {
        chmod("\(fixture.root)/tmp", 0o1777)
        chmod("\(fixture.root)/place", 0o711)
        let lines = try run("stat -c %a /tmp /place /etc") {
            $0.mounts.append(.init(destination: "/tmp", type: "tmpfs"))
            $0.mounts.append(.init(destination: "/place", type: "tmpfs"))
            $0.mounts.append(.init(destination: "/etc", type: "tmpfs", options: ["mode=0750"]))
        }
        #expect(lines == ["1777", "711", "750"])
    }

    @Test("a remount changes what it names and keeps the rest")
    func remount() throws {
        let found = try mounts([
            .init(destination: "/place", type: "tmpfs", options: ["nosuid", "size=64k"]),
            .init(destination: "/place", type: "tmpfs", options: ["remount", "ro", "size=128k"]),
            .init(destination: "/dev/shm", options: ["remount", "bind", "noatime"]),
        ])
        #expect(found["/place"]?.options.isSuperset(of: ["ro", "nosuid"]) == true)
        #expect(found["/place"]?.superOptions.contains("size=128k") == true)
        #expect(found["/dev/shm"]?.options.isSuperset(of: ["noatime", "nosuid", "noexec", "nodev"]) == true)
        let error = #expect(throws: LaunchError.self) {
            try mounts([.init(destination: "/etc", options: ["remount", "bind", "ro"])])
        }
        #expect(error?.description.contains("nothing is mounted there") == true, "\(String(describing: error))")
    }

    @Test("a read-only /dev has its devices, its links and what is mounted below it")
    func readOnlyDev() throws {
        let lines = try run(
            "ls /dev; echo x > /dev/null; touch /dev/new 2> /dev/null || echo refused; ls -d /dev/pts/ptmx"
        ) {
            $0.mounts[1].options.append("ro")
        }
        #expect(lines.contains("null") && lines.contains("shm") && lines.contains("fd"))
        #expect(lines.suffix(2) == ["refused", "/dev/pts/ptmx"])
    }

    @Test("links are followed inside the root, mounted themselves, covered themselves or made anew, as asked for")
    func links() throws {
        let source = try directory("source")
        try File.replace("\(source)/real", with: Array("real\n".utf8), mode: 0o644)
        symlink("real", "\(source)/link")
        symlink("/place/target", "\(fixture.root)/place/followed")
        symlink("/place/target", "\(fixture.root)/place/covered")
        let lines = try run(
            """
            cat /place/target; readlink /place/covered || cat /place/covered; readlink /place/bound; readlink /place/copied
            """
        ) {
            $0.mounts += [
                .init(destination: "/place/followed", source: "source/real", options: ["bind"]),
                .init(destination: "/place/covered", source: "source/real", options: ["bind", "dest-nofollow"]),
                .init(destination: "/place/bound", source: "source/link", options: ["bind", "src-nofollow"]),
                .init(destination: "/place/copied", source: "source/link", options: ["bind", "copy-symlink"]),
            ]
        }
        #expect(lines == ["real", "real", "real", "real"])
    }

    @Test("files are bound over files, and missing targets are made, each of its source's kind")
    func targets() throws {
        let source = try directory("source")
        try File.replace("\(source)/file", with: Array("bound\n".utf8), mode: 0o644)
        try File.replace("\(fixture.root)/etc/covered", with: Array("image\n".utf8), mode: 0o644)
        let lines = try run("cat /etc/covered /a/b/c/file; ls /d/e/f") {
            $0.mounts += [
                .init(destination: "/etc/covered", source: "\(source)/file", options: ["bind"]),
                .init(destination: "/a/b/c/file", source: "\(source)/file", options: ["bind"]),
                .init(destination: "d/e/f", source: source, options: ["bind"]),
            ]
        }
        #expect(lines == ["bound", "bound", "file"])
        #expect(try File.readText("\(fixture.root)/etc/covered") == "image\n")
        let error = #expect(throws: LaunchError.self) {
            try run("true") {
                $0.mounts.append(.init(destination: "/etc", source: "\(source)/file", options: ["bind"]))
            }
        }
        #expect(error?.description.contains("directory") == true, "\(String(describing: error))")
    }

    @Test("a directory of the host that is bound over /dev stays as it is")
    func boundDev() throws {
        let source = try directory("devices")
        try check(mknod("\(source)/null", S_IFCHR | 0o666, 0x103) < 0 ? -errno : 0, "create a node")
        let lines = try run("ls /dev") {
            $0.mounts.removeAll { $0.destination.hasPrefix("/dev") }
            $0.mounts.append(.init(destination: "/x/../dev/", type: "none", source: source, options: ["rbind"]))
            $0.linux?.devices = [.init(type: "c", path: "/dev/zero", major: 1, minor: 5)]
        }
        #expect(lines == ["null"])
        #expect(try File.list(source) == ["null"])
    }

    @Test("a new file system shows its owners through mappings of its own")
    func idMappedTmpfs() throws {
        let map = [RuntimeSpec.IDMap(containerID: 0, hostID: 7, size: 1000)]
        let lines = try run("stat -c %u:%g /place") {
            $0.mounts.append(
                .init(
                    destination: "/place", type: "tmpfs", options: ["idmap", "mode=777", "uid=0", "gid=1"],
                    uidMappings: map, gidMappings: map))
        }
        #expect(lines == ["7:8"])
    }

    @Test("hundreds of masked paths share one empty directory and one null device")
    func manyMasks() throws {
        for index in 0..<150 {
            try File.makeDirectories("\(fixture.root)/place/d\(index)/secret")
            try File.replace("\(fixture.root)/place/f\(index)", with: [1], mode: 0o644, durable: false)
        }
        let lines = try run(
            "ls /place/d0 /place/d149; cat /place/f0 /place/f149; stat -c %d /place/d0 /place/d75 /place/d149"
        ) {
            $0.linux?.maskedPaths = (0..<150).flatMap { ["/place/d\($0)", "/place/f\($0)"] }
        }
        #expect(Array(lines.prefix(2)) == ["/place/d0:", "/place/d149:"])
        #expect(lines.count == 5 && Set(lines.suffix(3)).count == 1)
    }
}
