internal import OCISpec

extension ContainerBuilder {
    static func resources(
        _ settings: ServiceSettings, _ facts: BuildFacts
    ) throws(BuildError) -> RuntimeSpec.Resources {
        let limits = settings.limits
        var resources = RuntimeSpec.Resources()
        if let memory = limits.memory {
            // Swap counts memory and swap together: the same number is no swap.
            let swap = limits.memorySwap ?? memory
            resources.memory = RuntimeSpec.Resources.Memory(limit: memory, swap: swap)
            if swap != memory {
                // Begin to swap before the limit is reached. Without swap a process that nears its limit would be
                // slowed to a crawl where the limit itself ends it at once with a clear cause.
                resources.unified["memory.high"] = String(memory - memory / 16)
            }
        }
        resources.pids = RuntimeSpec.Resources.Pids(limit: limits.pids)
        resources.cpu = try processors(settings, facts)
        resources.blockIO = try blockIO(limits, facts)
        return resources
    }

    /// A whole number of processors is a set of them that no other service has, on one NUMA node where one has
    /// enough; anything else, or a host without cpusets or free processors, is a share of time.
    private static func processors(
        _ settings: ServiceSettings, _ facts: BuildFacts
    ) throws(BuildError) -> RuntimeSpec.Resources.CPU? {
        let limits = settings.limits
        var cpu = RuntimeSpec.Resources.CPU(cpus: limits.cpusetCpus, mems: limits.cpusetMems)
        if let cpus = limits.cpus {
            let available = facts.processors.reduce(0) { $0 + $1.count }
            if available > 0, cpus > Double(available) {
                throw BuildError(
                    "limits.cpus", "\(cpus.shortText) processors are asked for, but the host has \(available)",
                    remedy: "ask for at most \(available)")
            }
            if limits.cpusetCpus == nil, facts.hasCpusetController, cpus >= 1, cpus == cpus.rounded(.down),
                let chosen = chooseProcessors(Int(cpus), facts)
            {
                cpu.cpus = ProcessorList(chosen).text
            } else {
                cpu.period = 100_000
                cpu.quota = Int64((cpus * 100_000).rounded())
            }
        }
        return cpu == RuntimeSpec.Resources.CPU() ? nil : cpu
    }

    private static func chooseProcessors(_ count: Int, _ facts: BuildFacts) -> [Int]? {
        let free = facts.processors.map { node in node.filter { !facts.takenProcessors.contains($0) } }
        // The node with the fewest free processors that are enough leaves the larger ones for larger services.
        if let node = free.filter({ $0.count >= count }).min(by: { $0.count < $1.count }) {
            return Array(node.sorted().prefix(count))
        }
        let all = free.flatMap { $0 }.sorted()
        return all.count >= count ? Array(all.prefix(count)) : nil
    }

    private static func blockIO(
        _ limits: ResourceLimits, _ facts: BuildFacts
    ) throws(BuildError) -> RuntimeSpec.Resources.BlockIO? {
        if limits.ioWeight == nil, limits.ioDevices.isEmpty { return nil }
        var result = RuntimeSpec.Resources.BlockIO(weight: limits.ioWeight.map { UInt16($0) })
        for limit in limits.ioDevices {
            guard let number = facts.blockDevices[limit.device] else {
                throw BuildError(
                    "limits.ioDevices", "\(limit.device) is no block device of this host",
                    remedy: "name the disk that holds the data, such as /dev/sda (see lsblk)")
            }
            let throttle = RuntimeSpec.Resources.ThrottleDevice(
                major: number.major, minor: number.minor, rate: limit.limit)
            switch limit.measure {
            case .readBytes: result.throttleReadBpsDevice.append(throttle)
            case .writeBytes: result.throttleWriteBpsDevice.append(throttle)
            case .readOperations: result.throttleReadIOPSDevice.append(throttle)
            case .writeOperations: result.throttleWriteIOPSDevice.append(throttle)
            }
        }
        return result
    }
}

/// Processors as the kernel lists them, such as `0-3,8`.
struct ProcessorList: Equatable {
    /// In ascending order, each once.
    let processors: [Int]

    init(_ processors: some Sequence<Int>) { self.processors = Set(processors).sorted() }

    /// nil for anything but numbers and rising ranges, or an empty list.
    init?(parsing text: String) {
        var numbers: Set<Int> = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { UInt16($0).map(Int.init) }
            guard ends.count <= 2, let first = ends[0], let last = ends[ends.count - 1], first <= last else {
                return nil
            }
            numbers.formUnion(first...last)
        }
        self.init(numbers)
    }

    var text: String {
        var parts: [String] = []
        var index = 0
        while index < processors.count {
            var end = index
            while end + 1 < processors.count, processors[end + 1] == processors[end] + 1 { end += 1 }
            parts.append(end == index ? "\(processors[index])" : "\(processors[index])-\(processors[end])")
            index = end + 1
        }
        return parts.joined(separator: ",")
    }
}
