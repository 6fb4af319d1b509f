internal import Glibc
internal import LinuxSystem

/// Writes one piece at a time on a thread of its own, so that the next one is filled while the disk works.
final class BackgroundWriter: @unchecked Sendable {
    private let file: ImageDescriptor
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var thread: JoinedThread?
    /// Being written, or about to be.
    private var piece: (bytes: UnsafeRawBufferPointer, offset: Int64)?
    private var isClosing = false
    private var failure: SystemError?

    init(_ file: ImageDescriptor) throws(SystemError) {
        self.file = file
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(changed, nil)
        thread = try JoinedThread { self.run() }
    }

    deinit {
        pthread_cond_destroy(changed)
        pthread_mutex_destroy(mutex)
        changed.deallocate()
        mutex.deallocate()
    }

    /// Waits for the piece before, then has this one written. Its bytes must stay as they are until the next call.
    func submit(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(SystemError) {
        try drain()
        locked {
            piece = (bytes, offset)
            pthread_cond_broadcast(changed)
        }
    }

    /// Waits until nothing is being written; throws what went wrong, each time.
    func drain() throws(SystemError) {
        let failure = locked { () -> SystemError? in
            while piece != nil { pthread_cond_wait(changed, mutex) }
            return self.failure
        }
        if let failure { throw failure }
    }

    /// Ends the thread after the piece it is writing. The writer must not be used after that.
    func close() {
        locked {
            isClosing = true
            pthread_cond_broadcast(changed)
        }
        thread?.join()
        thread = nil
    }

    private func run() {
        while true {
            let next = locked { () -> (bytes: UnsafeRawBufferPointer, offset: Int64)? in
                while piece == nil, !isClosing { pthread_cond_wait(changed, mutex) }
                return piece
            }
            guard let next else { return }
            var failure: SystemError?
            do throws(SystemError) { try file.append(next.bytes, at: next.offset) } catch { failure = error }
            locked {
                piece = nil
                if let failure { self.failure = failure }
                pthread_cond_broadcast(changed)
            }
        }
    }

    private func locked<Result>(_ body: () -> Result) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body()
    }
}
