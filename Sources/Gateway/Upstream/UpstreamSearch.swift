internal import LinuxSystem
internal import NIOCore

/// The way of one request to a connection: wait for a replica, take one of its idle connections or make one, and after
/// a connection that could not be made try one other time.
///
/// Nothing of the request has been sent before the search is over, so that trying again is always safe.
final class UpstreamSearch {
    enum Outcome {
        case connected(UpstreamSocket, Replica)
        case refused(HeldRequest.Refusal)
        case unreachable(Replica, SystemError)
    }

    /// How long a lone replica is given before it is tried again: long enough for the supervisor to say that it is
    /// gone, in which case the request is held instead of failing.
    private static let secondChance: TimeAmount = .milliseconds(250)

    private let service: Service
    private let port: UInt16
    private let reuse: ((Replica) -> Bool)?
    private let since = NIODeadline.now()
    private var attempts = 0
    private var request: HeldRequest?
    private var granted: Replica?
    private var dial: UpstreamDial?
    private var pause: Scheduled<Void>?
    private var completion: ((Outcome) -> Void)?

    /// - Parameters:
    ///   - reuse: takes an idle connection to a replica if there is one, and with it the duty to release the replica;
    ///     the search is over when it says true
    ///   - completion: called once in every other case, unless the search is cancelled
    init(
        _ service: Service, port: UInt16, reuse: ((Replica) -> Bool)? = nil, completion: @escaping (Outcome) -> Void
    ) {
        self.service = service
        self.port = port
        self.reuse = reuse
        self.completion = completion
    }

    var hasEnded: Bool { completion == nil }

    /// After `.connected` the caller must release the replica at the service.
    func start() { seek(avoiding: nil) }

    /// The client left: gives back whatever was got.
    func cancel() {
        completion = nil
        pause?.cancel()
        dial?.cancel()
        if let request { service.cancel(request) }
        request = nil
        giveBack()
    }

    private func seek(avoiding avoided: Replica?) {
        let request = HeldRequest(
            since: since,
            granted: { [self] replica in
                self.request = nil
                granted = replica
                connect(to: replica)
            },
            refused: { [self] refusal in
                self.request = nil
                finish(.refused(refusal))
            })
        request.avoided = avoided
        self.request = request
        service.seek(request)
    }

    private func connect(to replica: Replica) {
        attempts += 1
        if let reuse, reuse(replica) {
            granted = nil
            completion = nil
            return
        }
        dial = UpstreamDial.start(replica, port: port, on: service.loop) { [self] result in
            dial = nil
            switch result {
            case .success(let socket): finish(.connected(socket, replica))
            case .failure(let error): failed(replica, error)
            }
        }
        // It may have ended within start.
        if dial?.hasEnded == true { dial = nil }
    }

    private func failed(_ replica: Replica, _ error: SystemError) {
        service.upstreamFailed(replica, error.description)
        guard attempts < 2 else {
            giveBack()
            return finish(.unreachable(replica, error))
        }
        service.statistics.retries += 1
        giveBack()
        let avoided = service.hasRoom(avoiding: replica) ? replica : nil
        pause = service.loop.assumeIsolated().scheduleTask(in: avoided == nil ? Self.secondChance : .zero) { [self] in
            pause = nil
            seek(avoiding: avoided)
        }
    }

    private func giveBack() {
        guard let replica = granted else { return }
        granted = nil
        service.release(replica)
    }

    private func finish(_ outcome: Outcome) {
        let completion = completion
        self.completion = nil
        // From here on it is the caller's to release.
        granted = nil
        completion?(outcome)
    }
}
