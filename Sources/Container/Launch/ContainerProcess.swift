internal import CLaunch
internal import CLinux
internal import Glibc
public import LinuxSystem
public import OCISpec
internal import Synchronization

/// A process of a container, held by a pidfd so that its number can never mean another process.
public final class ContainerProcess: Sendable {
    /// As the host sees it.
    public let pid: Int32
    /// In clock ticks after boot (proc(5), field 22 of stat): with the pid it names one process for ever.
    public let startTime: UInt64
    private let descriptor: OwnedDescriptor
    private let ended = Mutex<ExitStatus?>(nil)
    private let terminal = Mutex<SharedDescriptor?>(nil)

    init(pid: Int32, pidfd: consuming OwnedDescriptor, startTime: UInt64) {
        self.pid = pid
        self.startTime = startTime
        self.descriptor = pidfd
    }

    /// The controlling side of the container's terminal, when it has one.
    public internal(set) var console: SharedDescriptor? {
        get { terminal.withLock { $0 } }
        set { terminal.withLock { $0 = newValue } }
    }

    /// Readable (poll(2), epoll(7)) once the process has ended; valid as long as this object.
    public var pidfd: Int32 { descriptor.rawValue }

    /// The process that a former supervisor started; nil when it is gone, also when its number was given to another.
    ///
    /// - Parameter living: whether one that has ended and only waits to be collected is gone too.
    public static func adopt(
        pid: Int32, startTime: UInt64, living: Bool = false
    ) throws(SystemError) -> ContainerProcess? {
        let result = mlr_pidfd_open(pid)
        if result == -ESRCH || result == -EINVAL { return nil }
        let pidfd = OwnedDescriptor(taking: try check(result, "open process \(pid)"))
        let isThere =
            living
            ? try ProcessFacts.isAlive(pid, since: startTime) : try ProcessFacts.startTime(of: pid) == startTime
        guard isThere else { return nil }
        return ContainerProcess(pid: pid, pidfd: pidfd, startTime: startTime)
    }

    /// How the process ended, or nil while it runs. Reaps a child of this process.
    public func poll() throws(SystemError) -> ExitStatus? { try collect(options: Int32(MLR_WNOHANG)) }

    /// Waits until the process has ended.
    @discardableResult
    public func wait() throws(SystemError) -> ExitStatus {
        while true { if let status = try collect(options: 0) { return status } }
    }

    /// pidfd_send_signal(2); false when the process is gone.
    @discardableResult
    public func signal(_ signal: SignalName) throws(SystemError) -> Bool {
        let result = mlr_pidfd_send_signal(pidfd, signal.number)
        if result == -ESRCH { return false }
        try check(result, "send \(signal) to process \(pid)")
        return true
    }

    /// Kills the process and waits for its end.
    @discardableResult
    public func kill() throws(SystemError) -> ExitStatus {
        try signal(.kill)
        return try wait()
    }

    /// Kills the process and waits for its end, which a process of its pid namespace may keep from coming that nobody waits for,
    /// or a system call that nothing interrupts.
    /// - Returns: whether it came within the time.
    func kill(within milliseconds: Int32) throws(SystemError) -> Bool {
        try signal(.kill)
        guard try hasEnded(within: milliseconds) else { return false }
        _ = try poll()
        return true
    }

    private func collect(options: Int32) throws(SystemError) -> ExitStatus? {
        if let known = ended.withLock({ $0 }) { return known }
        var code: Int32 = 0
        var value: Int32 = 0
        let result = mlr_wait_pidfd(pidfd, options, &code, &value)
        if result == 0 { return nil }
        let status: ExitStatus
        if result == -ECHILD {
            // Another thread may have collected it, or it is no child of this process.
            if let known = ended.withLock({ $0 }) { return known }
            guard try hasEnded(within: options == 0 ? -1 : 0) else { return nil }
            status = ProcessFacts.exitStatus(pidfd: pidfd) ?? .unknown
        } else {
            try check(result, "wait for process \(pid)")
            status = ProcessFacts.exitStatus(code: code, value: value)
        }
        return ended.withLock { known in
            if let known, known != .unknown { return known }
            known = status
            return status
        }
    }

    private func hasEnded(within milliseconds: Int32) throws(SystemError) -> Bool {
        var entry = pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0)
        let result = retrying { Glibc.poll(&entry, 1, milliseconds) < 0 ? -errno : Int32(entry.revents) }
        return try check(result, "wait for process \(pid)") != 0
    }
}
