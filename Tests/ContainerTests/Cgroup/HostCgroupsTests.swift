import LinuxSystem
import Testing

@testable import Container

@Suite("The host's control groups")
struct HostCgroupsTests {
    @Test("a host of version 2 alone")
    func unified() {
        let host = HostCgroups(
            mountinfo: """
                22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw
                35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
                """,
            selfCgroup: "0::/user.slice/user-0.slice\n")
        #expect(
            host
                == HostCgroups(
                    layout: .unified, unifiedMount: "/sys/fs/cgroup", ownGroup: "/user.slice/user-0.slice"))
    }

    @Test("a hybrid host names the controllers that version 1 holds and where")
    func hybrid() {
        let host = HostCgroups(
            mountinfo: """
                31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
                32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
                35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
                40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
                41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
                """,
            selfCgroup: """
                9:name=systemd:/
                8:pids:/
                4:memory:/process_api/x:y
                1:cpu,cpuacct:/
                0::/
                """)
        #expect(host.layout == .hybrid)
        #expect(host.unifiedMount == "/sys/fs/cgroup/unified")
        #expect(host.ownGroup == "/")
        #expect(
            host.legacyControllers == [
                "pids": nil, "memory": "/sys/fs/cgroup/memory", "cpu": "/sys/fs/cgroup/cpu,cpuacct",
                "cpuacct": "/sys/fs/cgroup/cpu,cpuacct",
            ])
    }

    @Test("what is found at the usual place is what mountinfo tells of it")
    func usualPlace() throws {
        let found = try HostCgroups.discover()
        let told = HostCgroups(
            mountinfo: try File.readText("/proc/self/mountinfo"), selfCgroup: try File.readText("/proc/self/cgroup"))
        #expect(found == told)
    }

    @Test("mounts that others lie over are as good as not there")
    func covered() {
        let sys = "23 1 0:20 / /sys rw - sysfs sysfs rw\n"
        let unified = "35 23 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
        let over = "36 35 0:31 / /sys/fs/cgroup rw - tmpfs none rw\n"
        let pids = "37 36 0:32 / /sys/fs/cgroup/pids rw - cgroup none rw,pids\n"
        let legacy = HostCgroups(mountinfo: sys + unified + over + pids, selfCgroup: "1:pids:/\n0::/\n")
        #expect(legacy.layout == .legacy && legacy.unifiedMount == nil)
        #expect(legacy.legacyControllers == ["pids": "/sys/fs/cgroup/pids"])

        let again = "38 36 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
        let host = HostCgroups(mountinfo: sys + unified + over + pids + again, selfCgroup: "1:pids:/\n0::/\n")
        #expect(host.layout == .hybrid && host.unifiedMount == "/sys/fs/cgroup")
        #expect(host.legacyControllers == ["pids": nil])

        // Something over /sys hides all of it, and something beside it nothing.
        let beside = "39 23 0:33 / /sys/fs/cgroups rw - tmpfs none rw\n"
        #expect(HostCgroups(mountinfo: sys + unified + beside, selfCgroup: "0::/\n").layout == .unified)
        let above = "40 23 0:33 / /sys/fs rw - tmpfs none rw\n"
        #expect(HostCgroups(mountinfo: sys + unified + above, selfCgroup: "0::/\n").layout == .none)
    }

    @Test("a host of version 1 alone, and one with nothing mounted")
    func legacyAndNone() {
        let legacy = HostCgroups(
            mountinfo: "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
            selfCgroup: "4:memory:/\n0::/\n")
        #expect(legacy.layout == .legacy && legacy.unifiedMount == nil && legacy.ownGroup == nil)
        let none = HostCgroups(mountinfo: "22 1 8:1 / / rw - ext4 /dev/root rw\n", selfCgroup: "0::/\n")
        #expect(none.layout == .none)
        #expect(throws: CgroupError.self) { try CgroupHierarchy(legacy) }
        #expect(throws: CgroupError.self) { try CgroupHierarchy(none) }
    }

    @Test("a mount that shows only a part of the hierarchy, at a path with a space")
    func partial() {
        let mountinfo = "35 24 0:30 /docker/abc /mnt/my\\040groups rw - cgroup2 cgroup2 rw\n"
        let inside = HostCgroups(mountinfo: mountinfo, selfCgroup: "0::/docker/abc/init\n")
        #expect(inside.unifiedMount == "/mnt/my groups" && inside.ownGroup == "/init")
        #expect(HostCgroups(mountinfo: mountinfo, selfCgroup: "0::/docker/abc\n").ownGroup == "/")
        #expect(HostCgroups(mountinfo: mountinfo, selfCgroup: "0::/docker/abcd\n").ownGroup == nil)
    }

    @Test("of two views of the hierarchy the usual place is taken, of others the last")
    func preference() {
        let two = """
            41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
            42 31 0:38 / /mnt/a rw - cgroup2 cgroup2 rw
            """
        #expect(HostCgroups(mountinfo: two, selfCgroup: "0::/\n").unifiedMount == "/sys/fs/cgroup")
        let others = """
            41 31 0:38 / /mnt/a rw - cgroup2 cgroup2 rw
            42 31 0:38 / /mnt/b rw - cgroup2 cgroup2 rw
            """
        #expect(HostCgroups(mountinfo: others, selfCgroup: "0::/\n").unifiedMount == "/mnt/b")
    }

    @Test("paths that leave the hierarchy or clash with the kernel's files are refused")
    func paths() throws {
        let hierarchy = try CgroupHierarchy(
            HostCgroups(layout: .unified, unifiedMount: "/sys/fs/cgroup", ownGroup: "/"))
        #expect(try hierarchy.group(at: "/mlrun//a/r1/").path == "/sys/fs/cgroup/mlrun/a/r1")
        for path in ["/mlrun/../x", "..", "/a/./b", "/a/cgroup.procs", "/a\u{1}b", String(repeating: "x", count: 256)] {
            #expect(throws: CgroupError.self) { try hierarchy.group(at: path) }
        }
        #expect(throws: CgroupError.self) { try hierarchy.create("/") }
    }

    @Test("this host is understood")
    func here() throws {
        let facts = try HostFacts.discover()
        #expect(facts.cgroups == (try HostCgroups.discover()))
        #expect(facts.kernelIsAtLeast(5, 10))
        #expect(!facts.kernelIsAtLeast(99, 0))
        #expect(facts.fileSystems.contains("proc"))
        #expect(HostFacts.architecture != "unknown")
    }
}
