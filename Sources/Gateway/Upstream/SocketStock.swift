internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import NIOCore

/// Unconnected sockets that reach one replica: made by its agent, or by this process for one on the host's network.
///
/// Once somebody has wanted a socket, one more than asked for is kept at hand, so that the next connection does not
/// wait for the agent.
final class SocketStock {
    typealias Taker = (Result<Int32, SystemError>) -> Void

    /// More questions than this are not put at once: they must never fill the agent's socket.
    private static let mostQuestions = 32
    private static let spareCount = 1

    private let agent: SocketAgent?
    private var takers = CircularBuffer<Taker>()
    private var spares: [Int32] = []
    private var questions = 0
    private var failure: SystemError?

    init(_ agent: SocketAgent?) { self.agent = agent }

    deinit { for spare in spares { _ = Glibc.close(spare) } }

    /// Hands a socket over, at once or when the agent has answered. The taker must close it.
    func take(_ taker: @escaping Taker) {
        guard let agent else { return taker(Self.ownSocket()) }
        if let failure { return taker(.failure(failure)) }
        if let spare = spares.popLast() {
            taker(.success(spare))
        } else {
            takers.append(taker)
        }
        askAhead(agent)
    }

    /// An answer that the control thread has read.
    func deliver(_ answer: AgentAnswer) {
        switch answer {
        case .socket(let socket):
            questions = max(0, questions - 1)
            if let taker = takers.popFirst() {
                taker(.success(socket))
            } else if failure == nil, spares.count < Self.spareCount {
                spares.append(socket)
            } else {
                // The answer to a question of a gateway before this one.
                _ = Glibc.close(socket)
            }
            if let agent, failure == nil, !takers.isEmpty { askAhead(agent) }
        case .failed(let errno):
            questions = max(0, questions - 1)
            takers.popFirst()?(.failure(SystemError("create a socket in the replica's network", errno)))
            if let agent, failure == nil, !takers.isEmpty { askAhead(agent) }
        case .ended:
            fail(SystemError("reach the replica's socket agent", .brokenPipe))
        }
    }

    func close() { fail(SystemError("reach a replica that was removed", .noSuchProcess)) }

    private func askAhead(_ agent: SocketAgent) {
        let wanted = min(takers.count + Self.spareCount - spares.count, Self.mostQuestions)
        do throws(SystemError) {
            while questions < wanted {
                try agent.ask()
                questions += 1
            }
        } catch {
            // A full queue means that answers are on their way, which will ask again.
            if error.errno != .wouldBlock || questions == 0 { fail(error) }
        }
    }

    private func fail(_ error: SystemError) {
        failure = error
        for spare in spares { _ = Glibc.close(spare) }
        spares = []
        while let taker = takers.popFirst() { taker(.failure(error)) }
    }

    private static func ownSocket() -> Result<Int32, SystemError> {
        let socket = mlr_socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(MLR_SOCK_NONBLOCK), 0)
        if socket < 0 { return .failure(SystemError("create a socket", Errno(rawValue: -socket))) }
        return .success(socket)
    }
}
