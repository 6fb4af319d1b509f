internal import NIOCore
internal import OCISpec
internal import Synchronization

/// The rest of a blob from some byte on, fetched in pieces over several connections and handed out in order. The first
/// piece is asked for alone; the others follow once the registry has answered it with the range that was asked for.
final class PieceAssembly: Sendable {
    private struct Piece: Sendable {
        let range: Range<Int64>
        let parts: AsyncThrowingStream<ByteBuffer, any Error>
        let task: Task<Void, Never>
    }

    private enum Trial { case pending, passed, failed }

    private struct State {
        var trial = Trial.pending
        /// The one whose bytes are wanted next at the front.
        var pieces: [Piece] = []
        var next: Int64
        var isOver = false
    }

    private let source: BlobSource
    private let splitting: RangeSplitting
    private let state: Mutex<State>

    /// Where the pieces begin.
    let start: Int64

    init(source: BlobSource, splitting: RangeSplitting, from start: Int64) {
        self.source = source
        self.splitting = splitting
        self.start = start
        state = Mutex(State(next: start))
        state.withLock { add(&$0, isTrial: true) }
    }

    deinit { cancel() }

    /// Closes all connections.
    func cancel() {
        let pieces = state.withLock { state in
            state.isOver = true
            defer { state.pieces = [] }
            return state.pieces
        }
        for piece in pieces { piece.task.cancel() }
    }

    /// Whether the first piece has been answered as it should; nil while it has not been answered.
    var isAnswered: Bool? {
        state.withLock { state in
            switch state.trial {
            case .pending: nil
            case .passed: true
            case .failed: false
            }
        }
    }

    /// The pieces, one after the other; nil after the last. A piece that is begun is taken out of the window, and the
    /// connection of the next one beyond it is opened.
    func nextPiece() -> (range: Range<Int64>, parts: AsyncThrowingStream<ByteBuffer, any Error>)? {
        state.withLock { state in
            guard !state.pieces.isEmpty else { return nil }
            let piece = state.pieces.removeFirst()
            fill(&state, room: splitting.connections - 1)
            return (piece.range, piece.parts)
        }
    }

    private func fill(_ state: inout State, room: Int) {
        guard !state.isOver, state.trial == .passed else { return }
        while state.pieces.count < room, state.next < source.descriptor.size { add(&state, isTrial: false) }
    }

    private func add(_ state: inout State, isTrial: Bool) {
        let range = state.next..<min(state.next + splitting.piece, source.descriptor.size)
        guard !range.isEmpty else { return }
        state.next = range.upperBound
        // Bounded by the length of the piece.
        let (parts, continuation) = AsyncThrowingStream.makeStream(of: ByteBuffer.self)
        let task = Task { [weak self, source] in
            do throws(RegistryError) {
                let body = try await source.open(range)
                if isTrial { self?.finishTrial(.passed) }
                var left = range.count
                while let part = try await body.next() {
                    left -= part.readableBytes
                    if left < 0 { throw source.surplus(of: range) }
                    continuation.yield(part)
                }
                if left > 0 { throw source.shortage(of: range, missing: left) }
                continuation.finish()
            } catch {
                if isTrial { self?.finishTrial(.failed) }
                continuation.finish(throwing: error)
            }
        }
        continuation.onTermination = { _ in task.cancel() }
        state.pieces.append(Piece(range: range, parts: parts, task: task))
    }

    private func finishTrial(_ trial: Trial) {
        state.withLock { state in
            guard state.trial == .pending else { return }
            state.trial = trial
            // The stream that is still read from is one of the connections.
            fill(&state, room: splitting.connections - 1)
        }
    }
}

extension BlobSource {
    fileprivate func surplus(of range: Range<Int64>) -> RegistryError {
        RegistryError(
            .server, "more than the bytes \(range.lowerBound) to \(range.upperBound - 1) of \(descriptor.digest) came",
            isTransient: true)
    }

    fileprivate func shortage(of range: Range<Int64>, missing: Int) -> RegistryError {
        RegistryError(
            .network,
            "the bytes \(range.lowerBound) to \(range.upperBound - 1) of \(descriptor.digest) ended \(missing) bytes early",
            isTransient: true)
    }
}
