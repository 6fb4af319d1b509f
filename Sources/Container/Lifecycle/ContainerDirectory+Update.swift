internal import LinuxSystem
public import OCISpec

extension ContainerDirectory {
    /// `update`: changes the limits of a container that runs or waits. Fields that are not set stay as they are, and
    /// so do those of which 0 is no value; when one cannot be set, those that were set before it get their old values again.
    /// - Returns: warnings.
    @discardableResult
    public func update(_ id: String, _ changes: RuntimeSpec.Resources) throws(ContainerError) -> [String] {
        let record = try record(id)
        if try status(record) == .stopped { throw .notRunning(id) }
        let cgroup = try cgroup(record, to: "update")
        var spec = try spec(id)
        let before = spec.linux?.resources ?? .init()
        var changes = spec.adapted(changes)
        let described = record.describedDevices
        changes.devices = ResourceChanges.rules(changes.devices, over: before.devices, described: described)
        var (merged, touched) = ResourceChanges.merge(changes, into: before)
        // Callers send the rules of the creation again with each change of a limit. Those are in force, together with what
        // the runtime itself allows, and stay so; only other ones replace them.
        if changes.devices != before.devices { touched.devices = changes.devices }
        if merged == before, touched.unified.isEmpty, touched.devices.isEmpty { return [] }
        let inUserNamespace = spec.linux?.namespaces.contains { $0.kind == .user } ?? false
        let warnings: [String]
        let host: HostCgroups
        do throws(SystemError) { host = try HostCgroups.discover() } catch { throw .system(error) }
        do throws(CgroupError) {
            do throws(CgroupError) {
                warnings = try cgroup.update(touched, on: host, inUserNamespace: inUserNamespace)
            } catch {
                // What was told is the failure; that the old values fit is known, since they were in force.
                let old = ResourceChanges.restore(touched, from: before)
                _ = try? cgroup.update(old, on: host, inUserNamespace: inUserNamespace)
                throw error
            }
        } catch { throw .cgroup(error) }
        var linux = spec.linux ?? .init()
        linux.resources = merged
        spec.linux = linux
        do throws(SystemError) {
            try File.replace(configuration(id), with: spec.json.bytes(), durable: false)
        } catch { throw .system(error) }
        return warnings
    }
}

/// The arithmetic of `update`: pure functions on resources.
enum ResourceChanges {
    typealias Rule = RuntimeSpec.Resources.DeviceRule

    /// The rules that are asked for, with those of described devices that followed the ones of the creation: callers know
    /// nothing of them, and send their own again.
    static func rules(_ asked: [Rule], over before: [Rule], described: [Rule]) -> [Rule] {
        asked.isEmpty || asked == before ? asked : asked + described
    }

    /// - Returns: the resources after the change, and those fields that have to be written, with the ones that the kernel
    ///   or the specification reads together with them: memory with swap, a quota with its period and burst.
    static func merge(
        _ changes: RuntimeSpec.Resources, into before: RuntimeSpec.Resources
    ) -> (merged: RuntimeSpec.Resources, touched: RuntimeSpec.Resources) {
        var merged = before
        var touched = changes
        touched.devices = []
        if !changes.devices.isEmpty { merged.devices = changes.devices }
        mergeMemory(changes, &merged, &touched)
        mergeCPU(changes, &merged, &touched)
        if changes.pids?.limit != nil { merged.pids = changes.pids } else { touched.pids = nil }
        if let io = changes.blockIO {
            merged.blockIO = blockIO(io, over: merged.blockIO ?? .init())
        }
        for limit in changes.hugepageLimits {
            merged.hugepageLimits.removeAll { $0.pageSize == limit.pageSize }
            merged.hugepageLimits.append(limit)
        }
        if let network = changes.network { merged.network = network }
        merged.rdma.merge(changes.rdma) { $1 }
        merged.unified.merge(changes.unified) { $1 }
        return (merged, touched)
    }

    private static func set<Number: FixedWidthInteger>(_ field: inout Number?, _ change: Number?) {
        if let change, change != 0 { field = change }
    }

    private static func mergeMemory(
        _ changes: RuntimeSpec.Resources, _ merged: inout RuntimeSpec.Resources, _ touched: inout RuntimeSpec.Resources
    ) {
        guard let change = changes.memory else { return }
        var memory = merged.memory ?? .init()
        set(&memory.limit, change.limit)
        set(&memory.reservation, change.reservation)
        set(&memory.swap, change.swap)
        set(&memory.kernel, change.kernel)
        set(&memory.kernelTCP, change.kernelTCP)
        // Unlimited memory leaves no sum that swap could be a part of.
        if change.limit == -1, (change.swap ?? 0) == 0 { memory.swap = memory.swap == nil ? nil : -1 }
        if let swappiness = change.swappiness { memory.swappiness = swappiness }
        if let disable = change.disableOOMKiller { memory.disableOOMKiller = disable }
        if let hierarchy = change.useHierarchy { memory.useHierarchy = hierarchy }
        if let check = change.checkBeforeUpdate { memory.checkBeforeUpdate = check }
        merged.memory = memory
        if (change.limit ?? 0) != 0 || (change.swap ?? 0) != 0 {
            touched.memory?.limit = memory.limit
            touched.memory?.swap = memory.swap
            touched.memory?.checkBeforeUpdate = memory.checkBeforeUpdate
        }
    }

    private static func mergeCPU(
        _ changes: RuntimeSpec.Resources, _ merged: inout RuntimeSpec.Resources, _ touched: inout RuntimeSpec.Resources
    ) {
        guard let change = changes.cpu else { return }
        var cpu = merged.cpu ?? .init()
        set(&cpu.shares, change.shares)
        set(&cpu.quota, change.quota)
        set(&cpu.period, change.period)
        set(&cpu.realtimeRuntime, change.realtimeRuntime)
        set(&cpu.realtimePeriod, change.realtimePeriod)
        if let burst = change.burst { cpu.burst = burst }
        if let idle = change.idle { cpu.idle = idle }
        if let cpus = change.cpus, !cpus.isEmpty { cpu.cpus = cpus }
        if let mems = change.mems, !mems.isEmpty { cpu.mems = mems }
        merged.cpu = cpu
        if (change.quota ?? 0) != 0 || (change.period ?? 0) != 0 || change.burst != nil {
            touched.cpu?.quota = cpu.quota
            touched.cpu?.period = cpu.period
            touched.cpu?.burst = cpu.burst
        }
    }

    private static func blockIO(
        _ change: RuntimeSpec.Resources.BlockIO, over before: RuntimeSpec.Resources.BlockIO
    ) -> RuntimeSpec.Resources.BlockIO {
        var result = before
        set(&result.weight, change.weight)
        set(&result.leafWeight, change.leafWeight)
        func merge<Device>(_ old: inout [Device], _ new: [Device], _ number: (Device) -> [Int64]) {
            old.removeAll { present in new.contains { number($0) == number(present) } }
            old += new
        }
        merge(&result.weightDevice, change.weightDevice) { [$0.major, $0.minor] }
        merge(&result.throttleReadBpsDevice, change.throttleReadBpsDevice) { [$0.major, $0.minor] }
        merge(&result.throttleWriteBpsDevice, change.throttleWriteBpsDevice) { [$0.major, $0.minor] }
        merge(&result.throttleReadIOPSDevice, change.throttleReadIOPSDevice) { [$0.major, $0.minor] }
        merge(&result.throttleWriteIOPSDevice, change.throttleWriteIOPSDevice) { [$0.major, $0.minor] }
        return result
    }

    /// What to write to have the touched fields as they were; a limit that there was none of is unlimited.
    static func restore(
        _ touched: RuntimeSpec.Resources, from before: RuntimeSpec.Resources
    ) -> RuntimeSpec.Resources {
        var result = RuntimeSpec.Resources()
        if touched.memory != nil {
            result.memory = .init(
                limit: before.memory?.limit ?? -1, reservation: before.memory?.reservation, swap: before.memory?.swap)
        }
        if let cpu = touched.cpu {
            let old = before.cpu ?? .init()
            result.cpu = .init(
                shares: cpu.shares == nil ? nil : old.shares ?? 1024, quota: cpu.quota == nil ? nil : old.quota ?? -1,
                burst: cpu.burst == nil ? nil : old.burst ?? 0, period: cpu.period == nil ? nil : old.period ?? 100_000,
                cpus: cpu.cpus == nil ? nil : old.cpus, mems: cpu.mems == nil ? nil : old.mems,
                idle: cpu.idle == nil ? nil : old.idle ?? 0)
        }
        if touched.pids != nil { result.pids = before.pids ?? .init(limit: -1) }
        if touched.blockIO != nil { result.blockIO = before.blockIO }
        result.hugepageLimits = before.hugepageLimits
        result.unified = before.unified
        return result
    }
}
