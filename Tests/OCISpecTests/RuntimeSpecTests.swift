import OCISpec
import Testing

@Suite("Runtime specification")
struct RuntimeSpecTests {
    static let complete = #"""
        {"ociVersion":"1.3.0","process":{"terminal":true,"consoleSize":{"height":24,"width":80},
        "user":{"uid":1000,"gid":1000,"umask":18,"additionalGids":[5,6]},"args":["sh","-c","true"],"env":["A=b"],
        "cwd":"/srv","capabilities":{"bounding":["CAP_CHOWN"],"effective":["CAP_CHOWN"],"permitted":["CAP_CHOWN"]},
        "rlimits":[{"type":"RLIMIT_NOFILE","hard":18446744073709551615,"soft":1024}],"noNewPrivileges":true,
        "apparmorProfile":"p","oomScoreAdj":100,"scheduler":{"policy":"SCHED_BATCH","nice":5},"selinuxLabel":"l",
        "ioPriority":{"class":"IOPRIO_CLASS_BE","priority":4},"execCPUAffinity":{"initial":"0","final":"0-1"}},
        "root":{"path":"rootfs","readonly":true},"hostname":"h","domainname":"d",
        "mounts":[{"destination":"/data","type":"bind","source":"/srv","options":["rbind","ro"],
        "uidMappings":[{"containerID":0,"hostID":1000,"size":1}],"gidMappings":[{"containerID":0,"hostID":1000,"size":1}]}],
        "hooks":{"createRuntime":[{"path":"/bin/true","args":["true"],"env":["X=1"],"timeout":5}]},
        "annotations":{"a":"b"},
        "linux":{"namespaces":[{"type":"pid"},{"type":"network","path":"/proc/1/ns/net"},{"type":"mount"},{"type":"uts"},
        {"type":"ipc"},{"type":"user"},{"type":"time"}],
        "uidMappings":[{"containerID":0,"hostID":100000,"size":65536}],
        "gidMappings":[{"containerID":0,"hostID":100000,"size":65536}],"timeOffsets":{"boottime":{"secs":5,"nanosecs":1}},
        "devices":[{"path":"/dev/fuse","type":"c","major":10,"minor":229,"fileMode":438,"uid":0,"gid":0}],
        "netDevices":{"eth0":{"name":"e"}},"cgroupsPath":"/a/b",
        "resources":{"devices":[{"allow":false,"access":"rwm"}],"memory":{"limit":536870912,"swap":-1},
        "cpu":{"quota":50000,"period":100000,"cpus":"0"},"pids":{"limit":10},
        "blockIO":{"weight":100,"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":600}]},
        "hugepageLimits":[{"pageSize":"2MB","limit":0}],"network":{"classID":1,"priorities":[{"name":"eth0","priority":5}]},
        "rdma":{"mlx5":{"hcaHandles":1}},"unified":{"memory.high":"1"}},
        "rootfsPropagation":"rslave",
        "seccomp":{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86_64"],"syscalls":[{"names":["read"],
        "action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"}]}]},
        "sysctl":{"net.ipv4.ip_forward":"1"},"maskedPaths":["/proc/kcore"],"readonlyPaths":["/proc/sys"],"mountLabel":"m",
        "personality":{"domain":"LINUX"},"intelRdt":{"closID":"c","schemata":["L3:0=f"],"enableMonitoring":true},
        "memoryPolicy":{"mode":"MPOL_BIND","nodes":"0","flags":["MPOL_F_STATIC_NODES"]}}}
        """#

    private func spec(_ change: (inout JSON) -> Void = { _ in }) throws -> RuntimeSpec {
        var json = try JSON(parsing: Self.complete)
        change(&json)
        return try RuntimeSpec(JSONCursor(json))
    }

    @Test("every member of a complete configuration survives reading and writing")
    func roundTrip() throws {
        let original = try JSON(parsing: Self.complete)
        let spec = try RuntimeSpec(JSONCursor(original))
        #expect(try RuntimeSpec(JSONCursor(spec.json)) == spec)
        #expect(missingMembers(of: original, in: spec.json).isEmpty)
        #expect(spec.problems().isEmpty)
    }

    private func missingMembers(of left: JSON, in right: JSON, path: String = "") -> [String] {
        switch (left, right) {
        case (.object(let left), .object(let right)):
            return left.members.flatMap { name, value in
                right[name].map { missingMembers(of: value, in: $0, path: "\(path).\(name)") } ?? ["\(path).\(name)"]
            }
        case (.array(let left), .array(let right)) where left.count == right.count:
            return zip(left, right).enumerated().flatMap {
                missingMembers(of: $1.0, in: $1.1, path: "\(path)[\($0)]")
            }
        default: return left == right ? [] : [path]
        }
    }

    @Test("a wrong type is reported with the path of the member")
    func wrongType() throws {
        let text = Self.complete.replacing("\"limit\":536870912", with: "\"limit\":\"512m\"")
        #expect(
            throws: JSONError(
                path: "linux.resources.memory.limit", message: "an integer is expected, but it is a string")
        ) { try RuntimeSpec(JSONCursor(JSON(parsing: text))) }
    }

    @Test("validation lists every problem, not only the first")
    func allProblems() throws {
        var spec = try spec()
        spec.process?.args = []
        spec.process?.cwd = "srv"
        spec.mounts[0].destination = ""
        spec.linux?.sysctl["kernel.core_pattern"] = "|/x"
        spec.linux?.cgroupsPath = "/a/../../b"
        spec.linux?.namespaces.append(RuntimeSpec.Namespace(.pid))
        spec.linux?.uidMappings[0].size = .max
        #expect(
            Set(spec.problems().map(\.path)) == [
                "process.args", "process.cwd", "mounts[0].destination", "linux.sysctl.kernel.core_pattern",
                "linux.cgroupsPath", "linux.namespaces[7]", "linux.uidMappings[0].hostID",
            ])
    }

    @Test("a sysctl is allowed only beside the namespace that keeps it from the host")
    func sysctls() throws {
        var spec = try spec()
        spec.linux?.namespaces.removeAll { $0.kind == .network }
        #expect(spec.problems().map(\.path) == ["linux.sysctl.net.ipv4.ip_forward", "linux.netDevices.eth0"])
    }
}
