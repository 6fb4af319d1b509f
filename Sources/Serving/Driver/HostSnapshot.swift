internal import CLinux
internal import Container
internal import Glibc
internal import LinuxSystem
internal import OCISpec

/// What the supervisor needs to know of its host, read once.
struct HostSnapshot: Sendable {
    let facts: HostFacts
    let hierarchy: CgroupHierarchy
    /// The path below the cgroup2 hierarchy that holds the replicas' groups.
    let cgroupParent: String
    /// The kernel's name of this boot.
    let boot: String
    let memory: Int64
    /// By NUMA node.
    let processors: [[Int]]
    let hardLimits: [String: UInt64]
    /// mlrun-init, which stands beside mlrun and mlrund; nil beside other programs.
    let initProgram: String?

    init(_ directories: MLRunDirectories) throws(ControlError) {
        do throws(SystemError) {
            facts = try HostFacts.discover()
            boot = String(try File.readText("/proc/sys/kernel/random/boot_id").prefix { $0 != "\n" })
            memory = try Self.totalMemory()
        } catch {
            throw ControlError(error)
        }
        do throws(CgroupError) { hierarchy = try CgroupHierarchy(facts.cgroups) } catch {
            throw ControlError(error.cause, remedy: error.remedy)
        }
        cgroupParent = Self.cgroupParent(directories)
        processors = Self.processorsByNode()
        hardLimits = Self.readHardLimits()
        let beside = (try? SealedProgram.path()).map { "\(File.parent(of: $0))/mlrun-init" }
        initProgram = beside.flatMap { access($0, X_OK) == 0 ? $0 : nil }
    }

    /// `/mlrun`, and another one for each supervisor with a state directory of its own.
    private static func cgroupParent(_ directories: MLRunDirectories) -> String {
        if directories.state == "/run/mlrun" { return "/mlrun" }
        var hash: UInt32 = 2_166_136_261
        for byte in directories.state.utf8 { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
        return "/mlrun-\(String(hash, radix: 16))"
    }

    private static func totalMemory() throws(SystemError) -> Int64 {
        for line in try File.readText("/proc/meminfo").split(separator: "\n") where line.hasPrefix("MemTotal:") {
            let fields = line.split(separator: " ")
            if fields.count > 1, let kilobytes = Int64(fields[1]) { return kilobytes << 10 }
        }
        return 0
    }

    private static func processorsByNode() -> [[Int]] {
        let directory = "/sys/devices/system/node"
        let nodes = ((try? File.list(directory)) ?? []).filter { $0.hasPrefix("node") && Int($0.dropFirst(4)) != nil }
        let lists = nodes.sorted().compactMap { node -> [Int]? in
            guard let text = try? File.readText("\(directory)/\(node)/cpulist") else { return nil }
            return ProcessorList(parsing: String(text.prefix { $0 != "\n" }))?.processors
        }
        if !lists.isEmpty { return lists }
        return [Array(0..<max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))))]
    }

    private static func readHardLimits() -> [String: UInt64] {
        // RLIMIT_* of asm-generic/resource.h; the same on x86-64, arm64 and riscv.
        let resources: [(String, Int32)] = [
            ("RLIMIT_CPU", 0), ("RLIMIT_FSIZE", 1), ("RLIMIT_DATA", 2), ("RLIMIT_STACK", 3), ("RLIMIT_CORE", 4),
            ("RLIMIT_RSS", 5), ("RLIMIT_NPROC", 6), ("RLIMIT_NOFILE", 7), ("RLIMIT_MEMLOCK", 8), ("RLIMIT_AS", 9),
            ("RLIMIT_LOCKS", 10), ("RLIMIT_SIGPENDING", 11), ("RLIMIT_MSGQUEUE", 12), ("RLIMIT_NICE", 13),
            ("RLIMIT_RTPRIO", 14), ("RLIMIT_RTTIME", 15),
        ]
        var limits: [String: UInt64] = [:]
        for (name, number) in resources {
            var limit = mlr_limit()
            if mlr_prlimit(0, number, nil, &limit) == 0 { limits[name] = limit.hard }
        }
        return limits
    }

    /// Removes the group that held the replicas', unless containers in the foreground have theirs in it.
    func removeCgroupParent() {
        guard let parent = try? hierarchy.group(at: cgroupParent) else { return }
        rmdir(parent.path)
    }

    /// Where a replica's cgroup is, as runtime-spec's cgroupsPath.
    func cgroupPath(_ replica: ReplicaID) -> String { "\(cgroupParent)/\(replica)" }

    func buildFacts(_ replica: ReplicaID, slot: Int, taken: Set<Int>, devices: [IODeviceLimit]) -> BuildFacts {
        var result = BuildFacts(replica: replica.rawValue, lastCapability: facts.lastCapability)
        result.hasCpusetController = facts.controllers?.contains("cpuset") ?? false
        result.processors = processors
        result.takenProcessors = taken
        result.hostMemory = memory
        result.hardLimits = hardLimits
        result.canRaiseLimits = facts.capabilities.contains(.sysResource)
        result.cgroupsPath = cgroupPath(replica)
        result.initProgram = initProgram
        result.userRange = Self.userRange(slot)
        for device in devices {
            if let found = try? HostDevice(lookingUp: device.device), found.kind == .block {
                result.blockDevices[device.device] = BuildFacts.DeviceNumber(
                    major: Int64(found.major), minor: Int64(found.minor))
            }
        }
        return result
    }

    /// Each replica has 65536 host ids of its own, from 524288 on, where useradd(8) gives none to people.
    static func userRange(_ slot: Int) -> RuntimeSpec.IDMap {
        RuntimeSpec.IDMap(containerID: 0, hostID: UInt32(524_288 + slot * 65_536), size: 65_536)
    }
}
