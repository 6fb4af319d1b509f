/// One guess at what a server answers to: how it says that it is ready, and how that it is alive.
public struct ProbeCandidate: Sendable, Hashable {
    /// The server or rule it belongs to, such as `vLLM` or `HEALTHCHECK of the image`.
    public var name: String
    /// What to ask for readiness.
    public var ready: ProbeCheck
    /// What to ask for liveness.
    public var live: ProbeCheck
    /// How long an answer may take; nil for ``ProbeTiming``'s.
    public var timeout: Duration?

    public init(_ name: String, ready: ProbeCheck, live: ProbeCheck, timeout: Duration? = nil) {
        self.name = name
        self.ready = ready
        self.live = live
        self.timeout = timeout
    }
}
