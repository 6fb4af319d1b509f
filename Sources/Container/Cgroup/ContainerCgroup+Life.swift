internal import CLinux
internal import Glibc
public import LinuxSystem

extension ContainerCgroup {
    /// The group whose processes are the container's: of version 2 where there is one, else of any hierarchy.
    var members: Cgroup? {
        // The order only decides which of several groups with the same processes is read.
        unified ?? legacy["pids"] ?? legacy["freezer"] ?? legacy.min { $0.key < $1.key }?.value
    }

    /// The directory to start the container's processes in (CLONE_INTO_CGROUP); nil without cgroup2. Call ``admit(_:)``
    /// for every process that is started, whatever this is.
    public func directory() throws(CgroupError) -> OwnedDescriptor? { try unified?.openDirectory() }

    /// Puts a process that waits into the groups that it could not be started in: those of version 1.
    public func admit(_ process: Int32) throws(CgroupError) {
        for (_, group) in legacy.sorted(by: { $0.key < $1.key }) { try group.add(process: process) }
        endPlaceholder()
    }

    /// Every process of the container, also in groups of its own making, by this process's pid namespace, sorted.
    public func processes() throws(CgroupError) -> [Int32] {
        guard let members else { return [] }
        do throws(CgroupError) { return Array(Set(try members.processes())).sorted() } catch {
            // A group that is gone has no processes.
            if members.exists { throw error }
            return []
        }
    }

    /// Sends a signal to every process of the container. Without any group there is nobody to tell of, nor in one that is gone,
    /// as systemd takes it away with the last process.
    public func signal(_ number: Int32) throws(CgroupError) {
        guard let members else { return }
        do throws(CgroupError) { try members.signal(number) } catch { if members.exists { throw error } }
    }

    /// Kills every process of the container, also one that is frozen or just being born. Does not wait.
    public func kill() throws(CgroupError) {
        if let unified { return try unified.kill() }
        // Frozen processes cannot fork away; SIGKILL reaches them once they are thawed.
        try? legacyFreezer?.setLegacyFreezer(frozen: true)
        do throws(CgroupError) { try members?.killByWalking() } catch {
            if let members, members.exists { throw error }
        }
        try legacyFreezer?.setLegacyFreezer(frozen: false)
    }

    // MARK: Pause

    /// Stops every process where it stands, and returns when the last has stopped. On failure they go on.
    /// - Parameter deadline: CLOCK_MONOTONIC, in nanoseconds; nil waits for ever.
    public func pause(deadline: UInt64? = nil) throws(CgroupError) {
        if let unified { return try unified.freeze(deadline: deadline) }
        guard let freezer = legacyFreezer else { throw Self.noFreezer(self) }
        try freezer.freezeLegacy(deadline: deadline)
    }

    /// Lets a paused container go on.
    public func resume() throws(CgroupError) {
        if let unified { return try unified.thaw() }
        guard let freezer = legacyFreezer else { throw Self.noFreezer(self) }
        try freezer.setLegacyFreezer(frozen: false)
    }

    /// Whether all of its processes stand still by ``pause(deadline:)``; false where there is no group any more.
    public func isPaused() throws(CgroupError) -> Bool {
        if let unified {
            guard let text = try unified.readIfPresent("cgroup.events") else { return false }
            return CgroupText.keyed(text)["frozen"] == 1
        }
        guard let freezer = legacyFreezer, let state = try freezer.readIfPresent("freezer.state") else { return false }
        return state.hasPrefix("FROZEN")
    }

    /// Lets processes of a paused container that were sent SIGKILL die of it, which in version 1 they do not while they stand
    /// still.
    func letDie() throws(CgroupError) {
        if unified == nil { try legacyFreezer?.setLegacyFreezer(frozen: false) }
    }

    private var legacyFreezer: Cgroup? { legacy["freezer"] }

    private static func noFreezer(_ group: ContainerCgroup) -> CgroupError {
        if group.isNone {
            return CgroupError(
                .unavailable, "cannot pause a container without a cgroup",
                remedy: "create it with a cgroup: leave --cgroup-manager=disabled out")
        }
        return CgroupError(
            .unavailable, "cannot pause: this host has neither cgroup v2 nor the freezer controller of cgroup v1",
            remedy: "mount one: mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified")
    }

    // MARK: End

    /// Waits until no process is left; at most until the deadline (CLOCK_MONOTONIC, in nanoseconds; nil: for ever).
    public func waitUntilEmpty(deadline: UInt64?) throws(CgroupError) -> Bool {
        if let unified { return try unified.waitUntilEmpty(deadline: deadline) }
        return try members?.waitUntilEmptyLegacy(deadline: deadline) ?? true
    }

    /// Kills what is left, waits for its end, and removes the groups and, where they have become empty, the parents
    /// that were made for them. Groups that are gone are no error.
    public func remove(deadline: UInt64? = nil) throws(CgroupError) {
        if isNone { return }
        // A group goes only when nobody is left in it; mostly the container has ended, and took everything along.
        if let unified, legacy.isEmpty, unit == nil, found.isEmpty, rmdir(unified.path) == 0 {
            return try removeParents()
        }
        let deadline = deadline ?? mlr_monotonic_nanoseconds() + 10_000_000_000
        try kill()
        guard try waitUntilEmpty(deadline: deadline) else {
            let left = (try? processes()) ?? []
            throw CgroupError(
                .timedOut,
                "cannot remove the cgroup \(path): its processes \(left.prefix(5).map(String.init).joined(separator: ", ")) "
                    + "do not end although they were killed",
                remedy: "look for processes in state D: ps -eo pid,state,wchan,cmd")
        }
        try removeEmpty()
    }

    /// Removes what was planned for a creation that was cut off. Nobody is killed: a group that is in use is another's by now.
    func removeIfUnused() throws(CgroupError) {
        // A process that was made already ends by itself, since nobody lets it go on.
        if try waitUntilEmpty(deadline: mlr_monotonic_nanoseconds() + 2_000_000_000) { try removeEmpty() }
    }

    private func removeEmpty() throws(CgroupError) {
        leaveFound()
        for group in [unified].compactMap({ $0 }) + legacy.values where !found.contains(group.path) {
            try group.remove()
        }
        try removeParents()
        // systemd removes the group of a unit that is over; what it left is removed here.
        if let unit { SystemdManager.forget(unit) }
    }

    /// Lets groups that were there before take other processes again: of a container's life in them no device program and no
    /// standstill stays.
    func leaveFound() {
        guard let unified, found.contains(unified.path), unified.exists else { return }
        try? DeviceFilter.remove(from: unified)
        try? unified.thaw()
    }

    private func removeParents() throws(CgroupError) {
        for directory in made where rmdir(directory) < 0 {
            // Others may have put groups of theirs there since.
            if [EBUSY, ENOTEMPTY, ENOENT].contains(errno) { continue }
            throw CgroupError(SystemError("remove the cgroup", path: directory, Errno(rawValue: errno)))
        }
    }
}
