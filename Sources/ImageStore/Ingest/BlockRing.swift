internal import Glibc

/// A bounded ring of buffers between the thread that receives and inflates a layer and the one that unpacks it.
/// One producer, one consumer; both work on the ring's own memory, nothing is copied or counted on the way.
final class BlockRing: @unchecked Sendable {
    /// Small enough that a block is still in the processor's cache when the consumer gets it.
    static let blockSize = 256 << 10
    static let blockCount = 8

    private let memory: UnsafeMutableRawPointer
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var lengths = [Int](repeating: 0, count: BlockRing.blockCount)
    /// Blocks ever filled and ever emptied.
    private var filled = 0
    private var emptied = 0
    private var end = End.open

    enum End {
        case open
        /// The producer has given everything.
        case complete
        /// One side gave up.
        case aborted
    }

    init() {
        memory = .allocate(byteCount: Self.blockSize * Self.blockCount, alignment: 4096)
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(changed, nil)
    }

    deinit {
        pthread_cond_destroy(changed)
        pthread_mutex_destroy(mutex)
        changed.deallocate()
        mutex.deallocate()
        memory.deallocate()
    }

    // MARK: Producer

    /// The next block to fill, once one is free; nil when the consumer gave up.
    func acquire() -> UnsafeMutableRawBufferPointer? {
        locked {
            while filled - emptied == Self.blockCount, end == .open { pthread_cond_wait(changed, mutex) }
            return end == .open ? block(filled) : nil
        }
    }

    /// Hands the acquired block over with `length` bytes in it.
    func publish(_ length: Int) {
        locked {
            lengths[filled % Self.blockCount] = length
            filled += 1
            pthread_cond_signal(changed)
        }
    }

    /// Tells the consumer that nothing more comes.
    func complete() { finish(.complete) }

    // MARK: Consumer

    /// The next block to empty, once there is one; nil when all were taken or the producer gave up.
    func next() -> UnsafeRawBufferPointer? {
        locked {
            while filled == emptied, end == .open { pthread_cond_wait(changed, mutex) }
            guard end != .aborted, emptied < filled else { return nil }
            let block = UnsafeRawBufferPointer(block(emptied))
            return UnsafeRawBufferPointer(rebasing: block[..<lengths[emptied % Self.blockCount]])
        }
    }

    /// Gives the block back that ``next()`` returned.
    func release() {
        locked {
            emptied += 1
            pthread_cond_signal(changed)
        }
    }

    // MARK: Both

    /// Makes the other side stop at its next call.
    func abort() { finish(.aborted) }

    /// Whether everything was handed over.
    var isComplete: Bool { locked { end == .complete } }

    private func finish(_ how: End) {
        locked {
            if end == .open || how == .aborted { end = how }
            pthread_cond_broadcast(changed)
        }
    }

    private func block(_ number: Int) -> UnsafeMutableRawBufferPointer {
        let offset = number % Self.blockCount * Self.blockSize
        return UnsafeMutableRawBufferPointer(start: memory + offset, count: Self.blockSize)
    }

    private func locked<Result>(_ body: () -> Result) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body()
    }
}
