internal import CLinux
internal import Glibc
internal import LinuxSystem

// What cgroup2 has files for and version 1 has not.
extension Cgroup {
    /// Tells the freezer controller what to do, without waiting. A group that is gone is no error.
    func setLegacyFreezer(frozen: Bool) throws(CgroupError) {
        switch write(frozen ? "FROZEN" : "THAWED", to: "freezer.state") {
        case nil, .noSuchFile?, .noSuchDevice?: return
        case let errno?:
            throw CgroupError(SystemError("\(frozen ? "freeze" : "thaw") the cgroup", path: path, errno))
        }
    }

    /// Freezes the group and waits until all of it stands still. Version 1 tells nobody when that is, and may stay
    /// "FREEZING" until it is told once more.
    func freezeLegacy(deadline: UInt64?) throws(CgroupError) {
        var pause: UInt32 = 200
        while true {
            try setLegacyFreezer(frozen: true)
            if try read("freezer.state").hasPrefix("FROZEN") { return }
            if let deadline, mlr_monotonic_nanoseconds() >= deadline { break }
            usleep(pause)
            pause = min(pause * 2, 10_000)
        }
        try setLegacyFreezer(frozen: false)
        throw CgroupError(
            .timedOut, "cannot freeze the cgroup \(path) in time: a process is in an uninterruptible system call",
            remedy: "look for processes in state D: ps -eo pid,state,wchan,cmd")
    }

    /// Waits for the end of each process that is seen, until none is.
    func waitUntilEmptyLegacy(deadline: UInt64?) throws(CgroupError) -> Bool {
        while exists {
            let present: [Int32]
            do throws(CgroupError) { present = try processes() } catch {
                if exists { throw error }
                return true
            }
            guard let process = present.first else { return true }
            let opened = mlr_pidfd_open(process)
            if opened < 0 { continue }
            let pidfd = OwnedDescriptor(taking: opened)
            var timeout: Int32 = -1
            if let deadline {
                let now = mlr_monotonic_nanoseconds()
                if now >= deadline { return false }
                timeout = Int32(clamping: (deadline - now + 999_999) / 1_000_000)
            }
            var polled = pollfd(fd: pidfd.rawValue, events: Int16(POLLIN), revents: 0)
            if poll(&polled, 1, timeout) < 0, errno != EINTR {
                throw CgroupError(SystemError("wait for the end of process \(process)", Errno(rawValue: errno)))
            }
            // A process that has ended is listed until its parent has waited for it.
            if polled.revents != 0, try processes().contains(process) { usleep(1000) }
        }
        return true
    }
}
