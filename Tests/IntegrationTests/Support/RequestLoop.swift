import Foundation
import LinuxSystem
import Synchronization

/// Requests to one port from several threads, one after the other on each, until it is ended.
final class RequestLoop: Sendable {
    struct Tally {
        /// Answers by status.
        var answers: [Int: Int] = [:]
        /// Connections that could not be made, by the kernel's word.
        var refused: [String] = []
        /// Requests that were sent and got no whole answer.
        var broken: [String] = []
        /// The longest that a request took, in milliseconds.
        var longest: Int64 = 0

        var succeeded: Int { answers[200] ?? 0 }
    }

    private struct State {
        var tally = Tally()
        var ends = false
        var running = 0
    }

    private let state = Mutex(State())

    init(port: Int, path: String = "/", threads: Int = 2) {
        state.withLock { $0.running = threads }
        for _ in 0..<threads {
            Thread { [self] in
                let request = HTTPRequest(port: port, path: path, seconds: 60)
                while state.withLock({ !$0.ends }) { note(request) }
                state.withLock { $0.running -= 1 }
            }.start()
        }
    }

    private func note(_ request: HTTPRequest) {
        let began = TestMachine.milliseconds
        let result = Result { () throws(HTTPRequest.Failure) in try request.send() }
        let took = TestMachine.milliseconds - began
        state.withLock { state in
            state.tally.longest = max(state.tally.longest, took)
            switch result {
            case .success(let answer): state.tally.answers[answer.status, default: 0] += 1
            case .failure(.connect(let errno)): state.tally.refused.append(errno.description)
            case .failure(.broken(let text)): state.tally.broken.append(text)
            }
        }
    }

    var tally: Tally { state.withLock { $0.tally } }

    /// Waits until so many more requests have succeeded.
    func waitForAnswers(_ count: Int, within seconds: Int = 60) -> Bool {
        let goal = tally.succeeded + count
        return TestMachine.eventually(within: seconds) { tally.succeeded >= goal }
    }

    /// Ends it and waits for the requests that are under way.
    func end() -> Tally {
        state.withLock { $0.ends = true }
        _ = TestMachine.eventually(within: 90) { state.withLock { $0.running == 0 } }
        return tally
    }
}
