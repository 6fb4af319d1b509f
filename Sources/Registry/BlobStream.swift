public import NIOCore
public import OCISpec
internal import Synchronization

/// The bytes of one blob as they arrive, for one reader, once. The reader sets the pace: while it is busy, at most
/// half a mebibyte waits in memory and the registry is not read from. A connection that breaks or stalls is replaced
/// by another that goes on at the same byte; only when that fails several times in a row does the stream throw. Where one
/// connection is slow, ``RangeSplitting`` says how several share the rest; then what has arrived early waits in memory.
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
    /// How often the rest was split among several connections.
    public var splits: Int { counters.withLock { $0.splits } }
    /// Who sent something of it, beside the registry itself.
    var mirrors: [RegistryEndpoint] { source.hosts.mirrors }

    private struct Counters {
        var received: Int64 = 0
        var resumes = 0
        var splits = 0
    }

    private let source: BlobSource
    private let retries: RetryPolicy
    private let splitting: RangeSplitting
    private let counters = Mutex(Counters())
    private let first: Mutex<BlobSource.Opening?>

    init(
        source: BlobSource, first: BlobSource.Opening, retries: RetryPolicy, splitting: RangeSplitting = .never
    ) {
        self.source = source
        self.first = Mutex(first)
        self.retries = retries
        self.splitting = splitting
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
        private var meter = ConnectionMeter()
        /// The rest of the blob in pieces, once the connection has shown to be slow; read from its start on.
        private var assembly: PieceAssembly?
        private var piece: (end: Int64, parts: AsyncThrowingStream<ByteBuffer, any Error>.Iterator)?
        private var splitsLeft = Self.mostSplits
        private let isSpent: Bool
        /// Failures since the last time that enough bytes arrived to call it progress.
        private var failures: [RegistryError] = []
        private var positionOfFailure: Int64 = 0

        /// A server that breaks off after every few bytes does not keep the stream alive for ever.
        private static let progress: Int64 = 1 << 20
        /// A registry whose pieces break again and again is read in one piece.
        private static let mostSplits = 3

        fileprivate init(stream: BlobStream, opening: BlobSource.Opening?, isSpent: Bool) {
            self.stream = stream
            self.opening = opening
            self.isSpent = isSpent
            surplus = opening?.surplus ?? 0
            splitsLeft = stream.splitting.connections > 1 ? Self.mostSplits : 0
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
                    close()
                    throw .cancelled("the download of \(stream.descriptor.digest)")
                }
                do throws(RegistryError) {
                    return try await part(isolation: actor)
                } catch {
                    close()
                    try await recover(from: error, isolation: actor)
                }
            }
        }

        private mutating func close() {
            opening = nil
            assembly?.cancel()
            assembly = nil
            piece = nil
        }

        private mutating func part(isolation actor: isolated (any Actor)?) async throws(RegistryError) -> ByteBuffer? {
            let position = stream.received
            if let assembly, position == assembly.start, piece == nil { turn(to: assembly) }
            if piece != nil { return try await partOfPiece(at: position, isolation: actor) }
            if opening == nil {
                if position == stream.size { return nil }
                let reopened = try await stream.source.open(at: position)
                surplus = reopened.surplus
                opening = reopened
                meter = ConnectionMeter()
            }
            guard let opening else { return nil }
            while true {
                let asked = ContinuousClock.now
                guard var buffer = try await opening.body.next() else { break }
                meter.count(buffer.readableBytes, waited: ContinuousClock.now - asked)
                if surplus > 0 {
                    let passed = Swift.min(surplus, Int64(buffer.readableBytes))
                    buffer.moveReaderIndex(forwardBy: Int(passed))
                    surplus -= passed
                }
                if buffer.readableBytes == 0 { continue }
                try check(position + Int64(buffer.readableBytes), host: opening.host)
                if let assembly, position + Int64(buffer.readableBytes) > assembly.start {
                    return partAcross(assembly, position, buffer)
                }
                splitIfSlow(at: position + Int64(buffer.readableBytes))
                return count(buffer)
            }
            guard position == stream.size else {
                throw RegistryError(
                    .network, "\(opening.host) ended the blob after \(position) of \(stream.size) bytes",
                    remedy: "try again, or push the image again", isTransient: true)
            }
            return nil
        }

        private func count(_ buffer: ByteBuffer) -> ByteBuffer {
            stream.counters.withLock { $0.received += Int64(buffer.readableBytes) }
            return buffer
        }

        // MARK: Several connections

        private mutating func splitIfSlow(at position: Int64) {
            let splitting = stream.splitting
            let start = position + splitting.piece
            guard assembly == nil, splitsLeft > 0, stream.size - start > splitting.piece, meter.isSlow(splitting) else {
                return
            }
            splitsLeft -= 1
            assembly = PieceAssembly(source: stream.source, splitting: splitting, from: start)
        }

        /// The connection has come to where the pieces begin, with more bytes in hand. They are cut off if the pieces
        /// take over; if not, the connection goes on as if nothing had been tried.
        private mutating func partAcross(
            _ assembly: PieceAssembly, _ position: Int64, _ buffer: ByteBuffer
        ) -> ByteBuffer {
            var buffer = buffer
            if assembly.isAnswered == true {
                let wanted = Int(assembly.start - position)
                buffer = buffer.getSlice(at: buffer.readerIndex, length: wanted) ?? buffer
                turn(to: assembly)
            } else {
                assembly.cancel()
                self.assembly = nil
                splitsLeft = 0
            }
            return count(buffer)
        }

        private mutating func turn(to assembly: PieceAssembly) {
            guard assembly.isAnswered == true, let next = assembly.nextPiece() else {
                assembly.cancel()
                self.assembly = nil
                splitsLeft = 0
                return
            }
            opening = nil
            stream.counters.withLock { $0.splits += 1 }
            piece = (next.range.upperBound, next.parts.makeAsyncIterator())
        }

        private mutating func partOfPiece(
            at position: Int64, isolation actor: isolated (any Actor)?
        ) async throws(RegistryError) -> ByteBuffer? {
            while var current = piece {
                let part: ByteBuffer?
                do { part = try await current.parts.next(isolation: actor) } catch let error as RegistryError {
                    // Whatever a piece has met, one connection from here on may still do.
                    if ![.network, .timeout].contains(error.kind) { splitsLeft = 0 }
                    throw error.asTransient(error.kind != .cancelled)
                } catch {
                    throw .cancelled("the download of \(stream.descriptor.digest)")
                }
                if let part {
                    piece = current
                    return count(part)
                }
                // A cancelled reader sees an end that is none.
                if Task.isCancelled { throw .cancelled("the download of \(stream.descriptor.digest)") }
                piece = assembly?.nextPiece().map { ($0.range.upperBound, $0.parts.makeAsyncIterator()) }
            }
            guard position == stream.size else {
                throw RegistryError(
                    .network, "the parts of the blob ended after \(position) of \(stream.size) bytes",
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
