/// The rules of serving as one pure function: state and event in, state and actions out.
///
/// It never looks at a clock, a file or a process; time and chance come in with each event, everything it wants done
/// goes out as an action. Messages about an earlier launch of a replica change nothing.
public enum ServiceMachine {
    /// - Parameter random: from 0 to 1, drawn anew for every call; spreads the restarts.
    public static func step(
        _ state: ServiceState, _ event: ServiceEvent, at now: MonotonicTime, random: Double
    ) -> (ServiceState, [ServiceAction]) {
        var turn = Turn(state, now, random)
        turn.handle(event)
        return turn.finish(from: state)
    }

    /// Goes on after the supervisor was started again: tells the gateway all routes, arms the timers, probes again.
    ///
    /// - Parameter afterBoot: the host was started in between, so that no process is left and the monotonic clock
    ///   began anew. Without it the driver sends `exited` for each replica whose process it does not find.
    public static func resume(
        _ state: ServiceState, at now: MonotonicTime, random: Double, afterBoot: Bool
    ) -> (ServiceState, [ServiceAction]) {
        var turn = Turn(state, now, random)
        turn.resume(afterBoot: afterBoot)
        return turn.finish(from: state, resuming: true)
    }
}
