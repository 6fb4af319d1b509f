public import NIOCore
public import OCISpec
internal import Synchronization

/// The bytes of one blob as they arrive, for one reader, once. The reader sets the pace: while it is busy, at most
/// half a mebibyte waits in memory and the registry is not read from. A connection that breaks or stalls is replaced
/// by another that goes on at the same byte; only when that fails several times in a row does the stream throw.
///
/// The connection is closed when the reading task is cancelled, or when the stream and its iterator are released.
public final class BlobStream: AsyncSequence, Sendable {
    /// A piece of the blob, of any size.
    public typealias Element = ByteBuffer
    /// Thrown once no further connection is tried.
    public typealias Failure = RegistryError

    /// Bytes in all.
    public var size: Int64 { source.descriptor.size }
    /// What was asked for.
    public var descriptor: Descriptor { source.descriptor }
    /// Bytes handed out so far.
    public var received: Int64 { counters.withLock { $0.received } }
    /// How often a broken or stalled connection was replaced.
    public var resumes: Int { counters.withLock { $0.resumes } }

    private struct Counters {
        var received: Int64 = 0
        var resumes = 0
    }

    private let source: BlobSource
    private let retries: RetryPolicy
    private let counters = Mutex(Counters())
    private let first: Mutex<BlobSource.Opening?>

    init(source: BlobSource, first: BlobSource.Opening, retries: RetryPolicy) {
        self.source = source
        self.first = Mutex(first)
        self.retries = retries
    }

    /// The only iterator that yields something: a second one ends at once with an error.
    public func makeAsyncIterator() -> Iterator {
        let opening = first.withLock { $0.take() }
        return Iterator(stream: self, opening: opening, isSpent: opening == nil)
    }

    /// Reads the blob, piece by piece.
    public struct Iterator: AsyncIteratorProtocol {
        private let stream: BlobStream
        private var opening: BlobSource.Opening?
        private var surplus: Int64
        private let isSpent: Bool
        /// Failures since the last time that enough bytes arrived to call it progress.
        private var failures: [RegistryError] = []
        private var positionOfFailure: Int64 = 0

        /// A server that breaks off after every few bytes does not keep the stream alive for ever.
        private static let progress: Int64 = 1 << 20

        fileprivate init(stream: BlobStream, opening: BlobSource.Opening?, isSpent: Bool) {
            self.stream = stream
            self.opening = opening
            self.isSpent = isSpent
            surplus = opening?.surplus ?? 0
        }

        /// The next piece; nil once the whole blob was handed out. Throws ``RegistryError``.
        public mutating func next() async throws(RegistryError) -> ByteBuffer? {
            try await next(isolation: nil)
        }

        /// The next piece; nil once the whole blob was handed out. Throws ``RegistryError``.
        public mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws(RegistryError) -> ByteBuffer? {
            if isSpent { throw RegistryError(.unsupported, "the stream of a blob can be read only once") }
            while true {
                if Task.isCancelled {
                    opening = nil
                    throw .cancelled("the download of \(stream.descriptor.digest)")
                }
                do throws(RegistryError) {
                    return try await part(isolation: actor)
                } catch {
                    opening = nil
                    try await recover(from: error, isolation: actor)
                }
            }
        }

        private mutating func part(isolation actor: isolated (any Actor)?) async throws(RegistryError) -> ByteBuffer? {
            let position = stream.received
            if opening == nil {
                if position == stream.size { return nil }
                let reopened = try await stream.source.open(at: position)
                surplus = reopened.surplus
                opening = reopened
            }
            guard let opening else { return nil }
            while var buffer = try await opening.body.next() {
                if surplus > 0 {
                    let passed = Swift.min(surplus, Int64(buffer.readableBytes))
                    buffer.moveReaderIndex(forwardBy: Int(passed))
                    surplus -= passed
                }
                if buffer.readableBytes == 0 { continue }
                try check(position + Int64(buffer.readableBytes), host: opening.host)
                stream.counters.withLock { $0.received += Int64(buffer.readableBytes) }
                return buffer
            }
            guard position == stream.size else {
                throw RegistryError(
                    .network, "\(opening.host) ended the blob after \(position) of \(stream.size) bytes",
                    remedy: "try again, or push the image again", isTransient: true)
            }
            return nil
        }

        private func check(_ position: Int64, host: String) throws(RegistryError) {
            guard position > stream.size else { return }
            throw RegistryError(
                .server,
                "\(host) sends more than the \(stream.size) bytes that the manifest says \(stream.descriptor.digest) has",
                remedy: "push the image again, or ask the registry's operator")
        }

        /// Returns after a pause if another connection is worth a try.
        private mutating func recover(
            from error: RegistryError, isolation actor: isolated (any Actor)?
        ) async throws(RegistryError) {
            let what = "download \(stream.descriptor.digest)"
            let position = stream.received
            if position - positionOfFailure >= Self.progress { failures = [] }
            positionOfFailure = position
            // A refused connection says nothing for good: this host was there a moment ago.
            let isWorthIt = error.isTransient || error.kind == .network
            failures.append(error.asTransient(isWorthIt))
            if let final = stream.retries.verdict(failures) {
                throw final.inContext("cannot \(what) (\(position) of \(stream.size) bytes received)")
            }
            try await stream.retries.sleep(
                stream.retries.pause(after: failures.count, asked: error.retryAfter), what)
            stream.counters.withLock { $0.resumes += 1 }
        }
    }
}
