internal import LinuxSystem
internal import OCISpec

/// The second stage of a layer's way into the store, on a thread of its own: takes the archive's bytes off the ring,
/// hashes them for the diff ID and builds the EROFS image.
final class LayerSink: @unchecked Sendable {
    private let ring: BlockRing
    private let builder: LayerBuilder
    private let identifier: [UInt8]
    private var hasher: ContentHasher
    private var thread: JoinedThread?
    private var failure: StoreError?

    init(ring: BlockRing, builder: LayerBuilder, identifier: [UInt8], expectedDiffID: Digest?) {
        self.ring = ring
        self.builder = builder
        self.identifier = identifier
        hasher = ContentHasher(like: expectedDiffID)
    }

    /// Starts the thread.
    func start() throws(StoreError) {
        do throws(SystemError) { thread = try JoinedThread { self.run() } } catch { throw .system(error) }
    }

    /// Waits for the thread. After this what it found can be read.
    func join() { thread?.join() }

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
