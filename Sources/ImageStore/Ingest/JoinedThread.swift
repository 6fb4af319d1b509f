internal import Glibc
internal import LinuxSystem
internal import Synchronization

/// A thread that is waited for. All signals are blocked in it: those belong to the program, not to this library.
final class JoinedThread: @unchecked Sendable {
    private var thread: pthread_t?

    /// Starts `body`.
    init(_ body: @escaping @Sendable () -> Void) throws(SystemError) {
        var all = sigset_t()
        var before = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_SETMASK, &all, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        // What these threads call needs little of the 8 MiB that a thread gets by default.
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setstacksize(&attributes, 512 << 10)
        defer { pthread_attr_destroy(&attributes) }
        let argument = Unmanaged.passRetained(Body(body))
        var started = pthread_t()
        let result = pthread_create(
            &started, &attributes,
            { raw in
                guard let raw else { return nil }
                Unmanaged<Body>.fromOpaque(raw).takeRetainedValue().run()
                return nil
            }, argument.toOpaque())
        guard result == 0 else {
            argument.release()
            throw SystemError("start a thread", Errno(rawValue: result))
        }
        thread = started
    }

    /// Waits for the end of the thread.
    func join() {
        guard let thread else { return }
        pthread_join(thread, nil)
        self.thread = nil
    }

    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }
}

extension JoinedThread {
    /// Works off a list on up to so many threads at once, this one among them; returns when all of it is done. Where the machine
    /// has no more threads there are fewer.
    static func workOff<Item: Sendable>(
        _ items: [Item], threads: Int, _ work: @escaping @Sendable (Item) -> Void
    ) {
        let next = Mutex(0)
        let body: @Sendable () -> Void = {
            while true {
                let index = next.withLock { next in
                    defer { next += 1 }
                    return next
                }
                if index >= items.count { return }
                work(items[index])
            }
        }
        let others = (1..<max(min(threads, items.count), 1)).compactMap { _ in try? JoinedThread(body) }
        body()
        for thread in others { thread.join() }
    }
}
