import OCISpec
import Testing

@testable import Container

/// The option strings of the specification and of crun, each with what it must come to.
@Suite struct MountOptionTests {
    /// runtime-spec 1.3.0, config.md, "Linux mount options".
    static let specified = """
        async atime bind defaults dev diratime dirsync exec idmap iversion lazytime loud mand noatime nodev nodiratime \
        noexec noiversion nolazytime nomand norelatime nostrictatime nosuid nosymfollow private ratime rbind rdev \
        rdiratime relatime remount rexec ridmap rnoatime rnodev rnodiratime rnoexec rnorelatime rnostrictatime rnosuid \
        rnosymfollow ro rprivate rrelatime rro rrw rshared rslave rstrictatime rsuid rsymfollow runbindable rw shared \
        silent slave strictatime suid symfollow sync tmpcopyup unbindable
        """.split(separator: " ").map(String.init)

    @Test("every option of the specification has a meaning of its own", arguments: specified)
    func known(_ name: String) {
        #expect(MountOption.table[name] != nil)
        #expect(SupportedFeatures.mountOptions.contains(name))
        #expect(MountOptions([name]).data.isEmpty)
    }

    @Test(
        "options that follow each other come to what mount(8) makes of them",
        arguments: [
            (["ro"], ["ro"]), (["ro", "rw"], ["rw"]), (["nosuid", "nodev", "noexec"], ["nosuid", "nodev", "noexec"]),
            (["nosuid", "suid"], ["suid"]), (["noatime"], ["noatime"]), (["noatime", "relatime"], ["relatime"]),
            (["strictatime", "atime"], ["strictatime"]), (["noatime", "atime"], ["relatime"]),
            (["atime"], ["relatime"]),
            (["noatime", "nostrictatime"], ["noatime"]), (["noatime", "norelatime"], ["noatime"]),
            (["norelatime", "noatime"], ["noatime"]), (["strictatime", "norelatime"], ["strictatime"]),
            (["norelatime"], []), (["nodiratime", "diratime"], ["diratime"]),
            (["nosymfollow"], ["nosymfollow"]), (["symfollow"], ["symfollow"]), (["defaults", "silent", "loud"], []),
        ])
    func attributes(_ options: [String], _ words: [String]) {
        #expect(MountOptions(options).attributes.words == words)
        #expect(
            MountOptions(options.map { MountOption.table["r\($0)"] == nil ? "defaults" : "r\($0)" })
                .recursiveAttributes.words == words)
    }

    @Test(
        "below a /dev that is bound from the host no node and no link is made, however the mount is written",
        arguments: [
            ("/dev", "bind", ["rbind"]), ("/dev", "bind", []), ("/dev", "none", ["rbind"]),
            ("/dev", nil, ["bind", "ro"]), ("/dev/", "bind", ["rbind"]), ("dev", "none", ["bind"]),
            ("//dev/.", nil, ["rbind"]), ("/x/../dev", "bind", ["rbind"]),
        ] as [(String, String?, [String])])
    func boundDev(_ destination: String, _ type: String?, _ options: [String]) throws {
        var spec = LaunchFixture.spec("true")
        spec.mounts = [.init(destination: destination, type: type, source: "/dev", options: options)]
        spec.linux?.devices = [
            .init(type: "c", path: "/dev/fuse", major: 10, minor: 229),
            .init(type: "c", path: "//dev/./kmsg", major: 1, minor: 11),
            .init(type: "c", path: "/foo/dev/fuse", major: 10, minor: 229),
        ]
        func made(_ plan: LaunchPlan) -> [String] {
            plan.steps.compactMap {
                switch $0 {
                case .node(let node): node.path
                case .bind(let bind) where bind.device != nil: bind.target
                case .link(let path, _): path
                default: nil
                }
            }
        }
        #expect(made(try LaunchPlanner.plan(spec, host: LaunchPlanTests.host)) == ["/foo/dev/fuse"])
        let inside = LaunchFixture.inUserNamespace(spec)
        #expect(made(try LaunchPlanner.plan(inside, host: LaunchPlanTests.host)) == ["/foo/dev/fuse"])
        spec.mounts[0].options = ["remount", "ro"]
        #expect(made(try LaunchPlanner.plan(spec, host: LaunchPlanTests.host)).contains("/dev/fuse"))
    }

    @Test("mount points are made where their text leads, and mounts of one point are known for that")
    func cleanDestinations() throws {
        var spec = LaunchFixture.spec("true")
        spec.mounts = [
            .init(destination: "/a/../b", type: "tmpfs", options: ["ro"]),
            .init(destination: "b/.", type: "tmpfs", options: ["remount", "ro"]),
            .init(destination: "/../proc/", type: "proc"),
        ]
        let plan = try LaunchPlanner.plan(spec, host: LaunchPlanTests.host)
        #expect(system(plan, at: "/b")?.isFinishedLater == true && system(plan, at: "/proc")?.isStrict == true)
        #expect(!plan.steps.contains(.mountReadOnly("/b")), "the remount has made it read-only")
        for root in ["/", "/..", "a/..", "."] {
            spec.mounts[0].destination = root
            let error = #expect(throws: PlanError.self) { try LaunchPlanner.plan(spec, host: LaunchPlanTests.host) }
            #expect(error?.problems.map(\.path) == ["mounts[0].destination"])
        }
    }

    @Test("what has no meaning of its own is the file system's, with its value")
    func data() {
        let options = MountOptions(["size=4k", "mode=755", "nr_inodes=", "newinstance", "context=a=b"])
        #expect(
            options.data == [
                .init("size", "4k"), .init("mode", "755"), .init("nr_inodes", ""), .init("newinstance"),
                .init("context", "a=b"),
            ])
    }

    private func plan(_ mount: RuntimeSpec.Mount, _ change: (inout RuntimeSpec) -> Void = { _ in }) throws -> LaunchPlan
    {
        var spec = LaunchFixture.spec("true")
        spec.mounts.append(mount)
        change(&spec)
        return try LaunchPlanner.plan(spec, host: LaunchPlanTests.host, options: .init(bundle: "/bundle"))
    }

    private func system(_ plan: LaunchPlan, at target: String) -> FileSystemMount? {
        plan.steps.lazy.compactMap { if case .mount(let mount) = $0, mount.target == target { mount } else { nil } }
            .last
    }

    @Test(
        "what a kind of mount cannot have is refused with the option and the place",
        arguments: [
            ("bind", ["bind", "sync"], "sync"), ("bind", ["bind", "dirsync"], "dirsync"),
            ("bind", ["bind", "iversion"], "iversion"), ("bind", ["bind", "lazytime"], "lazytime"),
            ("bind", ["bind", "tmpcopyup"], "tmpcopyup"),
            ("proc", ["tmpcopyup"], "tmpcopyup"), ("tmpfs", ["src-nofollow"], "src-nofollow"),
            ("tmpfs", ["copy-symlink"], "copy-symlink"), ("tmpfs", ["idmap"], "idmap"),
            ("tmpfs", ["shared", "private"], "shared, private"), ("tmpfs", ["remount", "iversion"], "iversion"),
            ("bind", ["remount", "bind", "size=1"], "size=1"),
        ])
    func refusals(_ type: String, _ options: [String], _ named: String) {
        let error = #expect(throws: PlanError.self) {
            try plan(.init(destination: "/x", type: type, source: "/y", options: options))
        }
        #expect(error?.problems.map(\.path) == ["mounts[7].options"])
        #expect(error?.description.contains(named) == true, "\(String(describing: error))")
    }

    @Test("options of new file systems are left out of a bind mount, and it is said that they are")
    func leftOut() throws {
        let plan = try plan(
            .init(destination: "/x", type: "bind", source: "/y", options: ["bind", "ro", "mode=755", "size=1k"]))
        #expect(
            plan.warnings
                == ["mode=755", "size=1k"].map {
                    "mounts[7].options: \"\($0)\" is left out: a bind mount takes no such option"
                })
    }

    @Test(
        "what leaves a bind mount as it is is taken",
        arguments: ["async", "nolazytime", "nomand", "noiversion", "loud"])
    func harmless(_ option: String) throws {
        _ = try plan(.init(destination: "/x", type: "bind", source: "/y", options: ["rbind", option]))
    }

    @Test("settings of a whole file system go to the file system, recursive ones to its one mount")
    func superblock() throws {
        let plan = try plan(
            .init(destination: "/x", type: "tmpfs", options: ["sync", "dirsync", "lazytime", "rnoexec", "size=1m"]))
        let mount = try #require(system(plan, at: "/x"))
        #expect(mount.options.map(\.text) == ["sync", "dirsync", "lazytime", "size=1m"])
        #expect(mount.attributes.words == ["noexec"])
        #expect(mount.takesMode)
    }

    @Test("a read-only tmpfs becomes so when everything below it is made, and before the root is entered")
    func finishedLater() throws {
        let plan = try plan(.init(destination: "/x", type: "tmpfs", options: ["ro", "mode=700"]))
        let mount = try #require(system(plan, at: "/x"))
        #expect(mount.isFinishedLater && mount.attributes.isEmpty && !mount.takesMode)
        let late = try #require(plan.steps.firstIndex(of: .mountReadOnly("/x")))
        #expect(plan.steps[late + 1] == .enterRoot(pivots: true))
    }

    @Test("mappings of owners are the mount's own, the container's, or those of the user namespace that is joined")
    func idMappings() throws {
        func mapping(_ plan: LaunchPlan) -> IDMapping? {
            plan.steps.compactMap { if case .bind(let bind) = $0, bind.target == "/x" { bind.idMapping } else { nil } }
                .last
        }
        let own = [RuntimeSpec.IDMap(containerID: 0, hostID: 7, size: 1)]
        var mount = RuntimeSpec.Mount(
            destination: "/x", source: "/y", options: ["bind", "idmap"], uidMappings: own, gidMappings: own)
        #expect(mapping(try plan(mount)) == IDMapping(uid: own, gid: own))
        mount.type = "tmpfs"
        mount.options = ["idmap"]
        #expect(system(try plan(mount), at: "/x")?.idMapping == IDMapping(uid: own, gid: own))
        let inside = #expect(throws: PlanError.self) { try plan(mount) { $0 = LaunchFixture.inUserNamespace($0) } }
        #expect(inside?.problems.map(\.path) == ["mounts[7].options"])
        mount = .init(destination: "/x", source: "/y", options: ["rbind", "ridmap"])
        let theirs = [RuntimeSpec.IDMap(containerID: 0, hostID: 200_000, size: 65536)]
        let container = try plan(mount) { $0 = LaunchFixture.inUserNamespace($0) }
        #expect(mapping(container) == IDMapping(uid: theirs, gid: theirs, isRecursive: true))
        let joined = try plan(mount) { $0.linux?.namespaces.append(.init(.user, path: "/proc/7/ns/user")) }
        #expect(mapping(joined) == IDMapping(namespace: "/proc/7/ns/user", isRecursive: true))
    }

    @Test("with SELinux the mount label becomes an option of the file systems that have one, without it is refused")
    func mountLabel() throws {
        var host = LaunchPlanTests.host
        var spec = LaunchFixture.spec("true")
        spec.linux?.mountLabel = "system_u:object_r:container_file_t:s0"
        let error = #expect(throws: PlanError.self) { try LaunchPlanner.plan(spec, host: host) }
        #expect(error?.problems.map(\.path) == ["linux.mountLabel"])
        host.securityModules = ["capability", "selinux"]
        let plan = try LaunchPlanner.plan(spec, host: host)
        let label = FileSystemMount.Option("context", "system_u:object_r:container_file_t:s0")
        #expect(system(plan, at: "/dev/shm")?.options.contains(label) == true)
        #expect(system(plan, at: "/proc")?.options.contains(label) == false)
    }
}
