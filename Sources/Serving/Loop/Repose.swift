internal import LinuxSystem

/// Makes a program small when it comes to rest: some time after the last piece of work, once, without a timer that ticks.
final class Repose {
    private static let delay: UInt64 = 5_000_000_000

    private let loop: EventLoop
    private let release: () -> Void
    private var isArmed = false
    private var lastWork: EventLoop.Instant = 0

    init(_ loop: EventLoop, release: @escaping () -> Void = ProcessMemory.release) {
        self.loop = loop
        self.release = release
    }

    /// Something is being done that leaves more behind than a probe does.
    func disturb() {
        lastWork = EventLoop.now
        if isArmed { return }
        isArmed = true
        arm()
    }

    private func arm() {
        loop.at(lastWork + Self.delay) { [weak self] in self?.due() }
    }

    private func due() {
        if EventLoop.now < lastWork + Self.delay { return arm() }
        isArmed = false
        release()
    }
}
