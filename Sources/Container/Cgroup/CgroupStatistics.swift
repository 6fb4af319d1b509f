internal import OCISpec

/// What a group has used, from cgroup v2's files. A part whose controller the group lacks is nil.
public struct CgroupStatistics: Sendable, Equatable {
    /// Processor time.
    public var cpu: CPU?
    /// Memory and swap.
    public var memory: Memory?
    /// Processes and threads.
    public var pids: Pids?
    /// By device number, such as `8:0`.
    public var io: [String: IO]?
    /// Of huge pages, by their size as the kernel writes it, such as `2MB`.
    public var hugePages: [String: HugePages] = [:]
    /// Of RDMA devices, by their name.
    public var rdma: [String: RDMA] = [:]
    /// The processors and memory nodes that it may use, as lists such as `0-3,7`; nil without the controller.
    public var cpuset: (cpus: String, mems: String)? {
        get { cpus.flatMap { cpus in mems.map { (cpus, $0) } } }
        set { (cpus, mems) = (newValue?.cpus, newValue?.mems) }
    }
    private var cpus: String?
    private var mems: String?
    /// Of waiting for a processor.
    public var cpuPressure: Pressure?
    /// Of waiting for memory.
    public var memoryPressure: Pressure?
    /// Of waiting for disks.
    public var ioPressure: Pressure?

    /// Times in microseconds.
    public struct CPU: Sendable, Equatable {
        /// In all.
        public var usage: UInt64 = 0
        /// In programs.
        public var user: UInt64 = 0
        /// In the kernel.
        public var system: UInt64 = 0
        /// Of these periods, ``throttledPeriods`` ran out of quota; nil without the controller.
        public var periods: UInt64?
        /// See ``periods``.
        public var throttledPeriods: UInt64?
        /// How long processes were kept from running.
        public var throttled: UInt64?
        /// How long processes ran beyond their quota by a burst.
        public var burst: UInt64?
        /// On each processor, in nanoseconds; only cgroup v1 tells.
        public var perCPU: [UInt64] = []
        /// The same in the kernel alone.
        public var perCPUKernel: [UInt64] = []
        /// The same in programs alone.
        public var perCPUUser: [UInt64] = []
    }

    /// Memory in huge pages, in bytes.
    public struct HugePages: Sendable, Equatable {
        /// In use now.
        public var usage: UInt64 = 0
        /// The highest there was; only cgroup v1 tells.
        public var peak: UInt64?
        /// How often the limit was in the way.
        public var failures: UInt64 = 0
    }

    /// Handles and objects of an RDMA device.
    public struct RDMA: Sendable, Equatable {
        /// In use now.
        public var handles: UInt64 = 0
        /// In use now.
        public var objects: UInt64 = 0
        /// nil is unlimited.
        public var handleLimit: UInt64?
        /// nil is unlimited.
        public var objectLimit: UInt64?
    }

    /// Sizes in bytes.
    public struct Memory: Sendable, Equatable {
        /// In use now.
        public var current: UInt64 = 0
        /// The highest there was (Linux 5.19).
        public var peak: UInt64?
        /// nil is unlimited.
        public var limit: UInt64?
        /// Swapped out now.
        public var swapCurrent: UInt64?
        /// nil is unlimited.
        public var swapLimit: UInt64?
        /// The most that was swapped out (Linux 6.5).
        public var swapPeak: UInt64?
        /// How often the limit was in the way: cgroup v1's counter, or how often memory.max was hit.
        public var failures: UInt64 = 0
        /// The kernel's own memory for the group; nil where it is counted with the rest.
        public var kernel: Counter?
        /// Memory of TCP buffers; nil where it is counted with the rest.
        public var kernelTCP: Counter?
        /// Memory and swap together, as cgroup v1 counts them; nil where they are counted each on its own.
        public var withSwap: Counter?
        /// memory.stat as it is.
        public var details: [String: UInt64] = [:]
        /// What happened at the limits.
        public var events = MemoryEvents()

        /// Memory that the kernel cannot take back at once: what `docker stats` shows.
        public var working: UInt64 {
            let inactive = details["inactive_file"] ?? 0
            return current > inactive ? current - inactive : 0
        }
    }

    /// A counter of cgroup v1, in bytes.
    public struct Counter: Sendable, Equatable {
        /// In use now.
        public var usage: UInt64 = 0
        /// The highest there was.
        public var peak: UInt64 = 0
        /// nil is unlimited.
        public var limit: UInt64?
        /// How often the limit was in the way.
        public var failures: UInt64 = 0
    }

    /// Counters of memory.events: this group and those below it since its creation.
    public struct MemoryEvents: Sendable, Equatable {
        /// Times that usage went below memory.low, or above memory.high.
        public var low: UInt64 = 0
        /// See ``low``.
        public var high: UInt64 = 0
        /// Times that usage was about to go over memory.max.
        public var max: UInt64 = 0
        /// Times that the limit was reached and nothing could be reclaimed.
        public var oom: UInt64 = 0
        /// Processes killed for it.
        public var oomKill: UInt64 = 0
        /// Times that the whole group was killed for it.
        public var oomGroupKill: UInt64 = 0

        public init() {}

        init(_ text: String) {
            let values = CgroupText.keyed(text)
            low = values["low"] ?? 0
            high = values["high"] ?? 0
            max = values["max"] ?? 0
            oom = values["oom"] ?? 0
            oomKill = values["oom_kill"] ?? 0
            oomGroupKill = values["oom_group_kill"] ?? 0
        }
    }

    /// How many processes and threads there are.
    public struct Pids: Sendable, Equatable {
        /// Now.
        public var current: UInt64 = 0
        /// The most there were (Linux 6.1).
        public var peak: UInt64?
        /// nil is unlimited.
        public var limit: UInt64?
    }

    /// What went to and from one device.
    public struct IO: Sendable, Equatable {
        /// Bytes read.
        public var readBytes: UInt64 = 0
        /// Bytes written.
        public var writtenBytes: UInt64 = 0
        /// Bytes given back to the device.
        public var discardedBytes: UInt64 = 0
        /// Read operations.
        public var reads: UInt64 = 0
        /// Write operations.
        public var writes: UInt64 = 0
        /// Discard operations.
        public var discards: UInt64 = 0
    }

    /// Pressure stall information: the share of time in which some, or all, processes waited for a resource.
    public struct Pressure: Sendable, Equatable {
        /// How long was waited.
        public struct Share: Sendable, Equatable {
            /// Per cent over the last 10, 60 and 300 seconds.
            public var average10 = 0.0
            /// See ``average10``.
            public var average60 = 0.0
            /// See ``average10``.
            public var average300 = 0.0
            /// Microseconds since the group's creation.
            public var total: UInt64 = 0
        }
        /// While at least one process waited.
        public var some = Share()
        /// nil where the kernel does not tell, as for the CPU before Linux 5.13.
        public var full: Share?
    }
}

extension CgroupStatistics.CPU {
    init(_ text: String) {
        let values = CgroupText.keyed(text)
        usage = values["usage_usec"] ?? 0
        user = values["user_usec"] ?? 0
        system = values["system_usec"] ?? 0
        periods = values["nr_periods"]
        throttledPeriods = values["nr_throttled"]
        throttled = values["throttled_usec"]
        burst = values["burst_usec"]
    }
}

extension CgroupStatistics.IO {
    /// io.stat, by device; a device without figures is left out.
    static func devices(_ text: String) -> [String: CgroupStatistics.IO] {
        var result: [String: CgroupStatistics.IO] = [:]
        for (device, values) in CgroupText.nested(text) where !values.isEmpty {
            func number(_ key: String) -> UInt64 { values[key].flatMap { UInt64($0) } ?? 0 }
            result[device] = CgroupStatistics.IO(
                readBytes: number("rbytes"), writtenBytes: number("wbytes"), discardedBytes: number("dbytes"),
                reads: number("rios"), writes: number("wios"), discards: number("dios"))
        }
        return result
    }
}

extension CgroupStatistics.RDMA {
    /// rdma.current and rdma.max, by device.
    static func devices(current: String, limits: String) -> [String: CgroupStatistics.RDMA] {
        var result: [String: CgroupStatistics.RDMA] = [:]
        for (device, values) in CgroupText.nested(current) {
            result[device, default: .init()].handles = values["hca_handle"].flatMap { UInt64($0) } ?? 0
            result[device, default: .init()].objects = values["hca_object"].flatMap { UInt64($0) } ?? 0
        }
        for (device, values) in CgroupText.nested(limits) {
            result[device, default: .init()].handleLimit = values["hca_handle"].flatMap { UInt64($0) }
            result[device, default: .init()].objectLimit = values["hca_object"].flatMap { UInt64($0) }
        }
        return result
    }
}

extension CgroupStatistics.Pressure {
    /// A PSI file; nil if it has no line of "some".
    init?(_ text: String) {
        var some: Share?
        var full: Share?
        for (kind, values) in CgroupText.nested(text) {
            func percent(_ key: String) -> Double { values[key].flatMap { Double($0) } ?? 0 }
            let share = Share(
                average10: percent("avg10"), average60: percent("avg60"), average300: percent("avg300"),
                total: values["total"].flatMap { UInt64($0) } ?? 0)
            if kind == "some" { some = share }
            if kind == "full" { full = share }
        }
        guard let some else { return nil }
        self.init(some: some, full: full)
    }
}

extension Cgroup {
    /// What the group has used until now.
    public func statistics() throws(CgroupError) -> CgroupStatistics {
        var result = CgroupStatistics()
        result.cpu = try readIfPresent("cpu.stat").map { CgroupStatistics.CPU($0) }
        if let current = try number("memory.current") {
            var memory = CgroupStatistics.Memory()
            memory.current = current
            memory.peak = try number("memory.peak")
            memory.limit = try number("memory.max")
            memory.swapCurrent = try number("memory.swap.current")
            memory.swapLimit = try number("memory.swap.max")
            memory.details = CgroupText.keyed(try readIfPresent("memory.stat") ?? "")
            memory.events = try memoryEvents() ?? .init()
            memory.failures = memory.events.max
            memory.swapPeak = try number("memory.swap.peak")
            result.memory = memory
        }
        if let current = try number("pids.current") {
            result.pids = CgroupStatistics.Pids(
                current: current, peak: try number("pids.peak"), limit: try number("pids.max"))
        }
        result.io = try readIfPresent("io.stat").map(CgroupStatistics.IO.devices)
        if let cpus = try readIfPresent("cpuset.cpus.effective"), let mems = try readIfPresent("cpuset.mems.effective")
        {
            result.cpuset = (cpus.filter { !$0.isWhitespace }, mems.filter { !$0.isWhitespace })
        }
        result.hugePages = try hugePages()
        if let current = try readIfPresent("rdma.current") {
            result.rdma = CgroupStatistics.RDMA.devices(current: current, limits: try readIfPresent("rdma.max") ?? "")
        }
        result.cpuPressure = try readIfPresent("cpu.pressure").flatMap { CgroupStatistics.Pressure($0) }
        result.memoryPressure = try readIfPresent("memory.pressure").flatMap { CgroupStatistics.Pressure($0) }
        result.ioPressure = try readIfPresent("io.pressure").flatMap { CgroupStatistics.Pressure($0) }
        return result
    }

    /// What happened at the limits of memory; nil without the controller. Compare two readings to know whether a death
    /// in between was the kernel's doing.
    public func memoryEvents() throws(CgroupError) -> CgroupStatistics.MemoryEvents? {
        try readIfPresent("memory.events").map { CgroupStatistics.MemoryEvents($0) }
    }

    func number(_ file: String) throws(CgroupError) -> UInt64? {
        try readIfPresent(file).flatMap(CgroupText.limit)
    }

    private func hugePages() throws(CgroupError) -> [String: CgroupStatistics.HugePages] {
        var result: [String: CgroupStatistics.HugePages] = [:]
        for size in HugePageSizes.ofHost {
            guard let usage = try number("hugetlb.\(size).current") else { continue }
            let events = CgroupText.keyed(try readIfPresent("hugetlb.\(size).events") ?? "")
            result[size] = CgroupStatistics.HugePages(usage: usage, failures: events["max"] ?? 0)
        }
        return result
    }
}
