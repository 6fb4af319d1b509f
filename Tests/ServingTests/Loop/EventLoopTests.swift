import CLinux
import Glibc
import LinuxSystem
import Testing

@testable import Serving

@Suite("the event loop")
struct EventLoopTests {
    @Test("timers fall due in the order of their deadlines, equal ones in the order they were set")
    func timersInOrder() throws {
        let loop = try EventLoop()
        let start = EventLoop.now
        var order: [Int] = []
        loop.at(start + 20_000_000) {
            order.append(3)
            loop.stop()
        }
        loop.at(start + 10_000_000) { order.append(1) }
        loop.at(start + 10_000_000) { order.append(2) }
        let cancelled = loop.at(start + 5_000_000) { order.append(99) }
        loop.cancel(cancelled)
        try loop.run()
        #expect(order == [1, 2, 3])
        #expect(EventLoop.now >= start + 20_000_000)
    }

    @Test("a timer in the past fires at once")
    func pastTimer() throws {
        let loop = try EventLoop()
        loop.at(1) { loop.stop() }
        try loop.run()
    }

    @Test("a queue of timers gives its memory back when most of them are cancelled")
    func cancelledTimersGo() {
        var queue = TimerQueue<Int>()
        var tickets: [UInt64] = []
        for number in 0..<1000 { tickets.append(queue.add(deadline: UInt64(number), number)) }
        for ticket in tickets.dropLast() { queue.cancel(ticket) }
        #expect(queue.popDue(at: 998) == nil)
        #expect(queue.earliest() == 999)
        #expect(queue.popDue(at: 999) == 999)
        #expect(queue.earliest() == nil)
    }

    @Test("blocking work runs on another thread and its result arrives on the loop's")
    func workComesBack() throws {
        let loop = try EventLoop()
        let mine = mlr_gettid()
        var results: [Int32] = []
        for _ in 0..<8 {
            loop.work {
                mlr_gettid()
            } then: { thread in
                #expect(mlr_gettid() == mine)
                #expect(thread != mine)
                results.append(thread)
                if results.count == 8 { loop.stop() }
            }
        }
        try loop.run()
        #expect(results.count == 8)
    }

    @Test("a handler that cancels another descriptor's watch keeps it from being called in the same round")
    func cancelWithinRound() throws {
        let loop = try EventLoop()
        let first = try DescriptorPair.pipe()
        let second = try DescriptorPair.pipe()
        var calls = 0
        var watches: [EventLoop.Watch] = []
        let handler: (Readiness) -> Void = { _ in
            calls += 1
            for watch in watches { loop.cancel(watch) }
        }
        watches.append(try loop.watch(first.first.rawValue, for: .read, handler))
        watches.append(try loop.watch(second.first.rawValue, for: .read, handler))
        try File.writeAll([1], to: first.second.rawValue)
        try File.writeAll([1], to: second.second.rawValue)
        try loop.turn(blocking: true)
        try loop.turn(blocking: false)
        #expect(calls == 1)
    }

    @Test("an idle loop does not wake up")
    func idle() throws {
        let loop = try EventLoop()
        var turns = 0
        loop.after(300_000_000) { loop.stop() }
        while turns < 10, loop.isRunning(afterTurns: &turns) { try loop.turn(blocking: true) }
        #expect(turns <= 2)
    }
}

extension EventLoop {
    /// Counts a round; false once ``stop()`` was called.
    fileprivate func isRunning(afterTurns turns: inout Int) -> Bool {
        if hasStopped { return false }
        turns += 1
        return true
    }
}
