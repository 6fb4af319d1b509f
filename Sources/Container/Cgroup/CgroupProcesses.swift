internal import CLinux
internal import Glibc
internal import LinuxSystem

extension Cgroup {
    /// Whether processes live in this group or below it.
    public func isPopulated() throws(CgroupError) -> Bool {
        guard let text = try readIfPresent("cgroup.events") else { return false }
        return CgroupText.keyed(text)["populated"] == 1
    }

    /// Kills every process of this group and of those below it, forks in flight included (cgroup.kill; before Linux
    /// 5.14 by walking the processes). Does not wait for their end. A group that is gone is no error.
    public func kill() throws(CgroupError) {
        switch write("1", to: "cgroup.kill") {
        case nil: return
        case .noSuchFile? where exists: try killByWalking()
        case .noSuchFile?, .noSuchDevice?: return
        case .notSupported?: try killByWalking()
        case let errno?: throw CgroupError(SystemError("kill the processes of the cgroup", path: path, errno))
        }
    }

    /// Without cgroup.kill: frozen processes cannot fork away, and SIGKILL reaches them all the same.
    func killByWalking() throws(CgroupError) {
        _ = write("1", to: "cgroup.freeze")
        defer { _ = write("0", to: "cgroup.freeze") }
        var previous: Set<Int32> = []
        while true {
            let present = Set(try processes())
            let fresh = present.subtracting(previous)
            if fresh.isEmpty { return }
            try signal(SIGKILL, to: fresh)
            previous = present
        }
    }

    /// Sends a signal to every process of this group and of those below it. One that ends meanwhile is no error.
    public func signal(_ number: Int32) throws(CgroupError) {
        try signal(number, to: Set(try processes()))
    }

    private func signal(_ number: Int32, to targets: Set<Int32>) throws(CgroupError) {
        var opened: [(process: Int32, pidfd: SharedDescriptor)] = []
        for process in targets.sorted() {
            let pidfd = mlr_pidfd_open(process)
            // The number may be a thread of somebody else's by now.
            if [-ESRCH, -EINVAL, -ENOENT].contains(pidfd) { continue }
            if pidfd < 0 { throw failure("open process \(process) of", -pidfd) }
            opened.append((process, SharedDescriptor(taking: pidfd)))
        }
        // What a descriptor means cannot change any more: those still listed are the ones that were meant.
        let present = Set(try processes())
        for target in opened where present.contains(target.process) {
            let sent = mlr_pidfd_send_signal(target.pidfd.rawValue, number)
            if sent < 0, sent != -ESRCH {
                throw failure("send signal \(number) to process \(target.process) of", -sent)
            }
        }
    }

    private func failure(_ operation: String, _ errno: Int32) -> CgroupError {
        CgroupError(SystemError("\(operation) the cgroup", path: path, Errno(rawValue: errno)))
    }

    /// Waits until no process lives in this group or below it, at most until the deadline (CLOCK_MONOTONIC, in
    /// nanoseconds; nil waits for ever). Returns whether that came to be; a group that is gone is empty.
    public func waitUntilEmpty(deadline: UInt64?) throws(CgroupError) -> Bool {
        try wait(for: "populated", toBe: 0, deadline: deadline)
    }

    /// Stops every process of this group and below it where it stands, and waits until the last has stopped.
    /// - Throws: ``CgroupError`` of kind `timedOut` at the deadline (CLOCK_MONOTONIC, in nanoseconds), thawed again.
    public func freeze(deadline: UInt64?) throws(CgroupError) {
        if let errno = write("1", to: "cgroup.freeze") {
            throw CgroupError(SystemError("freeze the cgroup", path: path, errno))
        }
        if try wait(for: "frozen", toBe: 1, deadline: deadline) { return }
        _ = write("0", to: "cgroup.freeze")
        throw CgroupError(
            .timedOut, "cannot freeze the cgroup \(path) in time: a process is in an uninterruptible system call",
            remedy: "look for processes in state D: ps -eo pid,state,wchan,cmd")
    }

    /// Lets a frozen group go on.
    public func thaw() throws(CgroupError) {
        if let errno = write("0", to: "cgroup.freeze") {
            throw CgroupError(SystemError("thaw the cgroup", path: path, errno))
        }
    }

    /// Whether all processes of the group stand still.
    public func isFrozen() throws(CgroupError) -> Bool {
        CgroupText.keyed(try read("cgroup.events"))["frozen"] == 1
    }

    /// Waits for a key of cgroup.events to have a value. The kernel wakes pollers of that file when it changes.
    private func wait(for key: String, toBe wanted: UInt64, deadline: UInt64?) throws(CgroupError) -> Bool {
        let file = path + "/cgroup.events"
        do throws(SystemError) {
            let events = try File.open(file, O_RDONLY)
            while true {
                // Reading also re-arms the poll: a change after this read wakes it.
                if lseek(events.rawValue, 0, SEEK_SET) < 0 {
                    throw SystemError("read", path: file, Errno(rawValue: errno))
                }
                let text = String(decoding: try File.readAll(events.rawValue, path: file), as: UTF8.self)
                if CgroupText.keyed(text)[key] == wanted { return true }

                var timeout: Int32 = -1
                if let deadline {
                    let now = mlr_monotonic_nanoseconds()
                    if now >= deadline { return false }
                    timeout = Int32(clamping: (deadline - now + 999_999) / 1_000_000)
                }
                var polled = pollfd(fd: events.rawValue, events: Int16(POLLPRI), revents: 0)
                if poll(&polled, 1, timeout) < 0, errno != EINTR {
                    throw SystemError("wait for a change of", path: file, Errno(rawValue: errno))
                }
            }
        } catch {
            if error.isGone { return key == "populated" }
            throw CgroupError(error)
        }
    }
}
