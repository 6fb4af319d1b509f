internal import Glibc
internal import LinuxSystem
internal import OCISpec

/// The second stage of a layer's way into the store, on a thread of its own: takes the archive's bytes off the ring,
/// hashes them for the diff ID and builds the EROFS image.
final class LayerSink: @unchecked Sendable {
    private let ring: BlockRing
    private let builder: LayerBuilder
    private let identifier: [UInt8]
    private var hasher: ContentHasher
    private var thread: pthread_t?
    private var failure: StoreError?

    init(ring: BlockRing, builder: LayerBuilder, identifier: [UInt8], expectedDiffID: Digest?) {
        self.ring = ring
        self.builder = builder
        self.identifier = identifier
        hasher = ContentHasher(like: expectedDiffID)
    }

    /// Starts the thread, with all signals blocked: those belong to the program, not to this library.
    func start() throws(StoreError) {
        var all = sigset_t()
        var before = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_SETMASK, &all, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        let argument = Unmanaged.passRetained(self)
        var started = pthread_t()
        let result = pthread_create(
            &started, nil,
            { raw in
                guard let raw else { return nil }
                Unmanaged<LayerSink>.fromOpaque(raw).takeRetainedValue().run()
                return nil
            }, argument.toOpaque())
        guard result == 0 else {
            argument.release()
            throw .system(SystemError("start a thread", Errno(rawValue: result)))
        }
        thread = started
    }

    /// Waits for the thread. After this what it found can be read.
    func join() {
        guard let thread else { return }
        pthread_join(thread, nil)
        self.thread = nil
    }

    /// Why the layer was not built; after ``join()``.
    var error: StoreError? { failure }

    /// The digest of the archive; after ``join()``.
    var diffID: Digest { hasher.digest() }

    private func run() {
        do throws(StoreError) {
            while let block = ring.next() {
                hasher.update(block)
                try builder.consume(block)
                ring.release()
            }
            if ring.isComplete { try builder.finish(identifier: identifier) }
        } catch {
            failure = error
            ring.abort()
        }
    }
}
