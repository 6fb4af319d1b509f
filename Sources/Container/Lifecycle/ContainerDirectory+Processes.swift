internal import CLinux
internal import LinuxSystem
internal import OCISpec

extension ContainerDirectory {
    /// The container's first process, unless it has ended.
    public func process(_ id: String) throws(ContainerError) -> ContainerProcess? { try process(try record(id)) }

    /// The container's control group, to do what `verb` says.
    public func cgroup(_ id: String, to verb: String) throws(ContainerError) -> ContainerCgroup {
        try cgroup(try record(id), to: verb)
    }

    /// `ps`: the processes of a container, by the numbers of the caller's pid namespace.
    public func processes(_ id: String) throws(ContainerError) -> [Int32] {
        let record = try record(id)
        if !record.cgroup.isNone {
            do throws(CgroupError) { return try record.cgroup.processes() } catch {
                // The group goes with its last process where somebody else removes it.
                if case .system(let cause) = error.kind, cause.isGone { return [] }
                throw .cgroup(error)
            }
        }
        return try processesOfNamespace(record).map(\.pid)
    }

    /// What a container made without a control group is told by: the processes of its own pid namespace.
    func processesOfNamespace(_ record: ContainerRecord) throws(ContainerError) -> [ContainerProcess] {
        guard let first = try process(record) else { return [] }
        guard try spec(record.id).linux?.namespaces.contains(where: { $0.kind == .pid && $0.path == nil }) == true
        else { throw .noCgroup(record.id, verb: "tell the processes of") }
        do throws(SystemError) {
            let namespace = try File.readLink("/proc/\(first.pid)/ns/pid")
            var found: [ContainerProcess] = []
            for pid in try File.list("/proc").compactMap({ Int32($0) }).sorted() {
                guard let startTime = try ProcessFacts.startTime(of: pid),
                    (try? File.readLink("/proc/\(pid)/ns/pid")) == namespace,
                    let process = try ContainerProcess.adopt(pid: pid, startTime: startTime)
                else { continue }
                found.append(process)
            }
            return found
        } catch { throw .system(error) }
    }

    /// `pause`: stops every process of the container where it stands.
    public func pause(_ id: String) throws(ContainerError) {
        let record = try record(id)
        let status = try status(record)
        switch status {
        case .created, .running: break
        case .stopped: throw .notRunning(id)
        case .creating, .paused: throw .wrongState(id, verb: "pause", status: status)
        }
        let cgroup = try cgroup(record, to: "pause")
        do throws(CgroupError) {
            try cgroup.pause(deadline: mlr_monotonic_nanoseconds() + Self.freezePatience)
        } catch { throw .cgroup(error) }
    }

    /// `resume`: lets a paused container go on.
    public func resume(_ id: String) throws(ContainerError) {
        let record = try record(id)
        let cgroup = try cgroup(record, to: "resume")
        guard try process(record) != nil else { throw .notRunning(id) }
        let isPaused: Bool
        do throws(CgroupError) { isPaused = try cgroup.isPaused() } catch { throw .cgroup(error) }
        guard isPaused else {
            throw .wrongState(id, verb: "resume", status: try status(record), remedy: "only a paused one can be")
        }
        do throws(CgroupError) { try cgroup.resume() } catch { throw .cgroup(error) }
    }

    private static let freezePatience: UInt64 = 10_000_000_000
}
