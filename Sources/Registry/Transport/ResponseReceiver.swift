internal import AsyncHTTPClient
internal import NIOCore
internal import NIOHTTP1
internal import Synchronization

/// Stands between async-http-client's delegate calls on an event loop and one reading task: holds a bounded number of
/// bytes, stops reading from the socket while they are full, and notices when the server falls silent.
///
/// The silence that counts is the server's: while the reader is behind, no clock runs.
final class ResponseReceiver: HTTPClientResponseDelegate {
    typealias Response = Void
    typealias Outcome = Result<ByteBuffer?, any Error>

    /// The server was silent, or as good as silent, for this long.
    struct Silence: Error, Sendable {
        let duration: Duration
        let isBeforeHead: Bool
        /// What came nevertheless.
        var bytes = 0
    }

    private struct State {
        var head: HTTPResponseHead?
        var headWaiter: CheckedContinuation<Result<HTTPResponseHead, any Error>, Never>?
        var parts = CircularBuffer<ByteBuffer>()
        var buffered = 0
        var partWaiter: CheckedContinuation<Outcome, Never>?
        /// Completed to let the event loop read on.
        var room: EventLoopPromise<Void>?
        var end: Result<Void, any Error>?
        var task: HTTPClient.Task<Void>?
        var watchdog: RepeatedTask?
        var lastSign = NIODeadline.now()
        /// Body bytes since `windowBegan`: one byte now and then is no download.
        var windowBytes = 0
        var windowBegan = NIODeadline.now()

        mutating func beginWindow() {
            windowBytes = 0
            windowBegan = .now()
        }
    }

    private let state = Mutex(State())
    private let responseTimeout: TimeAmount
    private let stallTimeout: TimeAmount
    /// Enough to keep the socket busy while the reader hashes, small beside everything else in memory.
    private static let capacity = 512 << 10
    /// Fewer bytes than this within the time for a stall are one, unless the answer ends.
    private static let trickle = 16 << 10

    init(responseTimeout: Duration, stallTimeout: Duration) {
        self.responseTimeout = TimeAmount(responseTimeout)
        self.stallTimeout = TimeAmount(stallTimeout)
    }

    // MARK: The reading side

    /// Binds the request that reports here, and starts to watch it.
    func attach(_ task: HTTPClient.Task<Void>) {
        let interval = max(min(responseTimeout, stallTimeout) / 4, .milliseconds(10))
        let watchdog = task.eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) {
            [weak self] repeated in
            guard let self else { return repeated.cancel() }
            self.look()
        }
        let isOver = state.withLock { state in
            state.task = task
            state.watchdog = watchdog
            return state.end != nil
        }
        if isOver {
            watchdog.cancel()
            task.cancel()
        }
        // A request that fails before it has begun is told to nobody else.
        task.futureResult.whenFailure { self.finish(.failure($0)) }
    }

    func head() async -> Result<HTTPResponseHead, any Error> {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let ready: Result<HTTPResponseHead, any Error>? = state.withLock { state in
                    if let head = state.head { return .success(head) }
                    if case .failure(let error) = state.end { return .failure(error) }
                    state.headWaiter = continuation
                    return nil
                }
                if let ready { continuation.resume(returning: ready) }
            }
        } onCancel: {
            finish(.failure(CancellationError()))
        }
    }

    /// The next bytes, nil at the end. What had arrived before a failure is handed out first.
    func next() async -> Outcome {
        if let ready = takeReady(orWait: nil) { return ready }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                if let ready = takeReady(orWait: continuation) { continuation.resume(returning: ready) }
            }
        } onCancel: {
            finish(.failure(CancellationError()))
        }
    }

    private func takeReady(orWait waiter: CheckedContinuation<Outcome, Never>?) -> Outcome? {
        let (outcome, room): (Outcome?, EventLoopPromise<Void>?) = state.withLock { state in
            if let part = state.parts.popFirst() {
                state.buffered -= part.readableBytes
                guard state.buffered <= Self.capacity / 2, let room = state.room else { return (.success(part), nil) }
                state.room = nil
                state.lastSign = .now()
                state.beginWindow()
                return (.success(part), room)
            }
            switch state.end {
            case .success: return (.success(nil), nil)
            case .failure(let error): return (.failure(error), nil)
            case nil:
                state.partWaiter = waiter
                return (nil, nil)
            }
        }
        room?.succeed()
        return outcome
    }

    /// Closes the connection unless the answer is complete.
    func abandon() { finish(.failure(CancellationError())) }

    // MARK: The event loop's side

    // A server that takes what it is sent is not silent.
    func didSendRequestPart(task: HTTPClient.Task<Void>, _ part: IOData) { state.withLock { $0.lastSign = .now() } }

    func didSendRequest(task: HTTPClient.Task<Void>) { state.withLock { $0.lastSign = .now() } }

    func didReceiveHead(task: HTTPClient.Task<Void>, _ head: HTTPResponseHead) -> EventLoopFuture<Void> {
        let waiter = state.withLock { state in
            state.head = head
            state.lastSign = .now()
            state.beginWindow()
            return state.headWaiter.take()
        }
        waiter?.resume(returning: .success(head))
        return task.eventLoop.makeSucceededVoidFuture()
    }

    func didReceiveBodyPart(task: HTTPClient.Task<Void>, _ buffer: ByteBuffer) -> EventLoopFuture<Void> {
        let room: EventLoopPromise<Void>?
        let waiter: CheckedContinuation<Outcome, Never>?
        (waiter, room) = state.withLock { state in
            state.lastSign = .now()
            state.windowBytes += buffer.readableBytes
            if let waiter = state.partWaiter.take() { return (waiter, nil) }
            guard state.end == nil else { return (nil, nil) }
            state.parts.append(buffer)
            state.buffered += buffer.readableBytes
            guard state.buffered >= Self.capacity else { return (nil, nil) }
            let room = task.eventLoop.makePromise(of: Void.self)
            state.room = room
            return (nil, room)
        }
        waiter?.resume(returning: .success(buffer))
        return room?.futureResult ?? task.eventLoop.makeSucceededVoidFuture()
    }

    func didFinishRequest(task: HTTPClient.Task<Void>) throws { finish(.success(())) }

    func didReceiveError(task: HTTPClient.Task<Void>, _ error: any Error) { finish(.failure(error)) }

    /// The first end counts: a cancelled request reports its cancellation a second time.
    private func finish(_ end: Result<Void, any Error>) {
        let ended = state.withLock { state -> State? in
            guard state.end == nil else { return nil }
            state.end = end
            let ended = state
            state.headWaiter = nil
            state.partWaiter = nil
            state.room = nil
            state.watchdog = nil
            return ended
        }
        guard let ended else { return }
        ended.watchdog?.cancel()
        ended.room?.succeed()
        switch end {
        case .success: ended.partWaiter?.resume(returning: .success(nil))
        case .failure(let error):
            ended.headWaiter?.resume(returning: .failure(error))
            ended.partWaiter?.resume(returning: .failure(error))
            ended.task?.cancel()
        }
    }

    private func look() {
        let silence = state.withLock { state -> Silence? in
            guard state.end == nil, state.room == nil else { return nil }
            let now = NIODeadline.now()
            let limit = state.head == nil ? responseTimeout : stallTimeout
            let duration = Duration.nanoseconds(limit.nanoseconds)
            if now - state.lastSign >= limit { return Silence(duration: duration, isBeforeHead: state.head == nil) }
            guard state.head != nil, now - state.windowBegan >= limit else { return nil }
            if state.windowBytes < Self.trickle {
                return Silence(duration: duration, isBeforeHead: false, bytes: state.windowBytes)
            }
            state.beginWindow()
            return nil
        }
        if let silence { finish(.failure(silence)) }
    }
}

extension TimeAmount {
    fileprivate static func / (amount: TimeAmount, divisor: Int64) -> TimeAmount {
        .nanoseconds(amount.nanoseconds / divisor)
    }
}
