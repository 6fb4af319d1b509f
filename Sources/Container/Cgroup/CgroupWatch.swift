internal import CLinux
internal import Glibc
public import LinuxSystem

/// Tells when a container ran out of memory, and when its last process ended. The kernel tells; nothing is polled.
public struct CgroupWatch: ~Copyable, Sendable {
    /// What happened to a container.
    public enum Event: Sendable, Equatable {
        /// The kernel killed processes for lack of memory: how many since the watch began or was last read. On hosts of
        /// cgroup v1 each notice counts one.
        case outOfMemory(kills: UInt64)
        /// No process is left, or the groups are gone.
        case empty
    }

    private enum Source {
        /// inotify(7) on memory.events and cgroup.events.
        case unified(Cgroup)
        /// An eventfd that cgroup.event_control was told of.
        case legacy(memory: Cgroup?, members: Cgroup)
    }

    /// Readable when there is something to ``read()``; for poll(2) and epoll(7).
    public let descriptor: OwnedDescriptor
    private let source: Source
    private var kills: UInt64
    private var isEmpty = false

    private init(_ descriptor: consuming OwnedDescriptor, _ source: Source, kills: UInt64) {
        self.descriptor = descriptor
        self.source = source
        self.kills = kills
    }

    static func begin(_ group: ContainerCgroup) throws(CgroupError) -> CgroupWatch {
        if let unified = group.unified, group.legacy["memory"] == nil { return try begin(unified) }
        guard let members = group.members else {
            throw CgroupError(
                .unavailable, "cannot watch a container without a cgroup",
                remedy: "create it with a cgroup: leave --cgroup-manager=disabled out")
        }
        let memory = group.legacy["memory"]
        do throws(SystemError) {
            let notice = OwnedDescriptor(taking: try check(mlr_eventfd(), "watch the cgroup", path: members.path))
            if let memory {
                let path = "\(memory.path)/memory.oom_control"
                let control = try File.open(path, O_RDONLY)
                try File.put("\(notice.rawValue) \(control.rawValue)", into: "\(memory.path)/cgroup.event_control")
            }
            return CgroupWatch(notice, .legacy(memory: memory, members: members), kills: 0)
        } catch { throw CgroupError(error) }
    }

    private static func begin(_ unified: Cgroup) throws(CgroupError) -> CgroupWatch {
        do throws(SystemError) {
            let inotify = try notifier(unified)
            // Read after the watch is set, so that no kill falls in between.
            let events = unified.has("memory.events") ? try File.readText("\(unified.path)/memory.events") : ""
            return CgroupWatch(inotify, .unified(unified), kills: CgroupStatistics.MemoryEvents(events).oomKill)
        } catch { throw CgroupError(error) }
    }

    private static func notifier(_ unified: Cgroup) throws(SystemError) -> OwnedDescriptor {
        let inotify = OwnedDescriptor(taking: try check(mlr_inotify_create(), "watch the cgroup", path: unified.path))
        for file in ["cgroup.events", "memory.events"] where unified.has(file) {
            let path = "\(unified.path)/\(file)"
            try check(mlr_inotify_add(inotify.rawValue, path, UInt32(IN_MODIFY)), "watch", path: path)
        }
        return inotify
    }

    /// What happened since the last call; empty if nothing did.
    public mutating func read() throws(CgroupError) -> [Event] {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let got = Glibc.read(descriptor.rawValue, &buffer, buffer.count)
        var events: [Event] = []
        switch source {
        case .unified(let group):
            while got > 0, Glibc.read(descriptor.rawValue, &buffer, buffer.count) > 0 {}
            if let now = try group.memoryEvents()?.oomKill, now > kills {
                events.append(.outOfMemory(kills: now - kills))
                kills = now
            }
            if !isEmpty, try !group.isPopulated() { isEmpty = true } else { return events }
        case .legacy(let memory, let members):
            // The removal of the group is told in the same way as a lack of memory.
            if got > 0, let memory, memory.exists { events.append(.outOfMemory(kills: 1)) }
            let processes = members.exists ? try members.processes() : []
            if !isEmpty, processes.isEmpty { isEmpty = true } else { return events }
        }
        return events + [.empty]
    }

    /// Waits for something to happen, at most until the deadline (CLOCK_MONOTONIC, in nanoseconds; nil: for ever).
    /// - Returns: nothing at the deadline.
    public mutating func wait(deadline: UInt64?) throws(CgroupError) -> [Event] {
        while true {
            let events = try read()
            if !events.isEmpty { return events }
            var timeout: Int32 = -1
            if let deadline {
                let now = mlr_monotonic_nanoseconds()
                if now >= deadline { return [] }
                timeout = Int32(clamping: (deadline - now + 999_999) / 1_000_000)
            }
            // Version 1 has no notice of the last process's end that a program could wait for.
            if case .legacy = source { timeout = timeout < 0 ? 200 : min(timeout, 200) }
            var polled = pollfd(fd: descriptor.rawValue, events: Int16(POLLIN), revents: 0)
            if poll(&polled, 1, timeout) < 0, errno != EINTR {
                throw CgroupError(SystemError("wait for events of the cgroup", Errno(rawValue: errno)))
            }
        }
    }
}

extension ContainerCgroup {
    /// Begins to watch for a lack of memory and for the end of the last process.
    public func watch() throws(CgroupError) -> CgroupWatch { try CgroupWatch.begin(self) }
}
