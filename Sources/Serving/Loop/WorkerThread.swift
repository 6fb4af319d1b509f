internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import Synchronization

/// Results of worker threads on their way to the loop; the only part of it that other threads may touch.
final class LoopMailbox: Sendable {
    struct Letter: Sendable {
        let ticket: UInt64
        let result: any Sendable
    }

    private let event: SharedDescriptor
    private let letters = Mutex<[Letter]>([])

    init() throws(SystemError) {
        event = SharedDescriptor(taking: try check(mlr_eventfd(), "create an event descriptor"))
    }

    var descriptor: Int32 { event.rawValue }

    func post(_ letter: Letter) {
        letters.withLock { $0.append(letter) }
        var one: UInt64 = 1
        _ = write(event.rawValue, &one, 8)
    }

    func takeAll() -> [Letter] {
        letters.withLock { waiting in
            defer { waiting = [] }
            return waiting
        }
    }
}

/// A thread for one piece of blocking work. No pool: an idle supervisor should own no thread but its first.
enum WorkerThread {
    private final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    static func start(_ body: @escaping @Sendable () -> Void) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        pthread_attr_setstacksize(&attributes, 512 * 1024)
        let context = Unmanaged.passRetained(Body(body)).toOpaque()
        var thread = pthread_t()
        let failure = pthread_create(
            &thread, &attributes,
            { context in
                Unmanaged<Body>.fromOpaque(context!).takeRetainedValue().run()
                return nil
            }, context)
        // Without a thread the work is done here: slower, and never lost.
        if failure != 0 { Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run() }
    }
}
