internal import CLinux
internal import Glibc
internal import LinuxSystem

/// What a descriptor is ready for, or is watched for: the EPOLL bits of epoll_ctl(2).
struct Readiness: OptionSet, Sendable {
    let rawValue: UInt32

    static let read = Readiness(rawValue: UInt32(MLR_EPOLLIN))
    static let write = Readiness(rawValue: UInt32(MLR_EPOLLOUT))
    static let urgent = Readiness(rawValue: UInt32(MLR_EPOLLPRI))
    static let hangUp = Readiness(rawValue: UInt32(MLR_EPOLLHUP))
    static let error = Readiness(rawValue: UInt32(MLR_EPOLLERR))
}

/// One thread, one epoll(7): descriptors, timers, signals, and results of blocking work.
///
/// Everything runs on the thread that calls ``run()``. With nothing due the thread sleeps without a timeout, so an
/// idle loop never wakes. Only ``mailbox`` may be used from other threads.
final class EventLoop {
    /// Nanoseconds of CLOCK_MONOTONIC.
    typealias Instant = UInt64

    private let epoll: OwnedDescriptor
    private let timer: OwnedDescriptor
    private var watches: [UInt64: (Readiness) -> Void] = [:]
    private var lastToken: UInt64 = 0
    private var timers = TimerQueue<() -> Void>()
    private var armedDeadline: Instant = 0
    private var soon: [() -> Void] = []
    private var continuations: [UInt64: (any Sendable) -> Void] = [:]
    private(set) var hasStopped = false
    private var signals: SharedDescriptor?
    let mailbox: LoopMailbox

    init() throws(SystemError) {
        epoll = OwnedDescriptor(taking: try check(mlr_epoll_create(), "create an epoll instance"))
        timer = OwnedDescriptor(taking: try check(mlr_timerfd_create(), "create a timer"))
        mailbox = try LoopMailbox()
        try watchForever(timer.rawValue) { [unowned self] in drain(timer.rawValue) }
        try watchForever(mailbox.descriptor) { [unowned self] in
            drain(mailbox.descriptor)
            for letter in mailbox.takeAll() {
                continuations.removeValue(forKey: letter.ticket)?(letter.result)
            }
        }
    }

    static var now: Instant { mlr_monotonic_nanoseconds() }

    // MARK: Descriptors

    /// A registration of a descriptor; it ends with ``cancel()``, which must come before the descriptor is closed.
    struct Watch {
        fileprivate let token: UInt64
        fileprivate let descriptor: Int32
    }

    /// Calls `handler` whenever the descriptor is ready (level-triggered), until the watch is cancelled.
    func watch(
        _ descriptor: Int32, for readiness: Readiness, _ handler: @escaping (Readiness) -> Void
    ) throws(SystemError) -> Watch {
        lastToken += 1
        try control(MLR_EPOLL_ADD, descriptor, readiness, lastToken)
        watches[lastToken] = handler
        return Watch(token: lastToken, descriptor: descriptor)
    }

    /// Waits for other events on the descriptor from now on.
    func change(_ watch: Watch, to readiness: Readiness) throws(SystemError) {
        try control(MLR_EPOLL_MODIFY, watch.descriptor, readiness, watch.token)
    }

    func cancel(_ watch: Watch) {
        guard watches.removeValue(forKey: watch.token) != nil else { return }
        _ = mlr_epoll_control(epoll.rawValue, Int32(MLR_EPOLL_DELETE), watch.descriptor, 0, 0)
    }

    private func watchForever(_ descriptor: Int32, _ handler: @escaping () -> Void) throws(SystemError) {
        _ = try watch(descriptor, for: .read) { _ in handler() }
    }

    private func control(
        _ operation: Int, _ descriptor: Int32, _ readiness: Readiness, _ token: UInt64
    ) throws(SystemError) {
        try check(
            mlr_epoll_control(epoll.rawValue, Int32(operation), descriptor, readiness.rawValue, token),
            "watch a descriptor")
    }

    private func drain(_ descriptor: Int32) {
        var count: UInt64 = 0
        _ = read(descriptor, &count, 8)
    }

    // MARK: Time

    struct Timer: Hashable { fileprivate let ticket: UInt64 }

    @discardableResult
    func at(_ deadline: Instant, _ handler: @escaping () -> Void) -> Timer {
        Timer(ticket: timers.add(deadline: max(deadline, 1), handler))
    }

    @discardableResult
    func after(_ nanoseconds: UInt64, _ handler: @escaping () -> Void) -> Timer {
        at(Self.now + nanoseconds, handler)
    }

    func cancel(_ timer: Timer) { timers.cancel(timer.ticket) }

    /// Runs the closure on this thread after the current handler has returned.
    func soon(_ body: @escaping () -> Void) { soon.append(body) }

    // MARK: Signals and blocking work

    /// Blocks these signals in this and all later threads and reports them here (signalfd(2)). Call it once, before any
    /// other thread exists.
    func onSignals(_ numbers: [Int32], _ handler: @escaping (Int32) -> Void) throws(SystemError) {
        let descriptor = SharedDescriptor(
            taking: try check(mlr_signalfd(numbers, numbers.count), "create a signal descriptor"))
        signals = descriptor
        try watchForever(descriptor.rawValue) {
            let number = mlr_signalfd_read(descriptor.rawValue)
            if number > 0 { handler(number) }
        }
    }

    /// Runs `body` on a thread of its own and `then` with its result on this one.
    func work<Result: Sendable>(
        _ body: @escaping @Sendable () -> Result, then: @escaping (Result) -> Void
    ) {
        lastToken += 1
        let ticket = lastToken
        continuations[ticket] = { result in
            guard let result = result as? Result else { preconditionFailure("a result of another type") }
            then(result)
        }
        WorkerThread.start { [mailbox] in mailbox.post(LoopMailbox.Letter(ticket: ticket, result: body())) }
    }

    // MARK: Running

    /// Serves until ``stop()`` is called.
    func run() throws(SystemError) {
        hasStopped = false
        while !hasStopped { try turn(blocking: true) }
    }

    func stop() { hasStopped = true }

    /// One round: waits for events (or only looks), then runs what is due.
    func turn(blocking: Bool) throws(SystemError) {
        armTimer()
        var events = [mlr_event](repeating: mlr_event(), count: 32)
        let timeout: Int32 = blocking && soon.isEmpty ? -1 : 0
        let got = mlr_epoll_wait(epoll.rawValue, &events, 32, timeout)
        if got < 0, got != -EINTR { try check(got, "wait for events") }
        for event in events.prefix(max(0, Int(got))) {
            // Looked up anew each time: an earlier handler of this round may have cancelled it.
            watches[event.token]?(Readiness(rawValue: event.events))
        }
        let now = Self.now
        while let due = timers.popDue(at: now) { due() }
        let waiting = soon
        soon = []
        for body in waiting { body() }
    }

    private func armTimer() {
        let deadline = timers.earliest() ?? 0
        if deadline == armedDeadline { return }
        // A timer in the past is armed too: timerfd then fires at once.
        if mlr_timerfd_set(timer.rawValue, deadline) == 0 { armedDeadline = deadline }
    }
}
