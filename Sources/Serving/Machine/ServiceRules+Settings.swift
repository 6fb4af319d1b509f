public import OCISpec

extension ServiceRules {
    /// The rules of a service with these settings and this image.
    ///
    /// An explicit probe is asked for ever. With `auto`, the start finds the server's contract, and after that nothing
    /// wakes up for a replica that is well: its end is seen at once, and a request that could not be delivered makes
    /// the machine ask. An idle service costs no processor time.
    public init(_ settings: ServiceSettings, image: ImageConfiguration) throws(BuildError) {
        let port = ContainerBuilder.servicePort(image, settings)
        func check(_ probe: Probe, _ setting: String) throws(BuildError) -> ProbeCheck {
            guard let check = probe.check(defaultPort: port) else {
                throw BuildError(
                    setting, "the probe \(probe.text) names no port, and the service has none",
                    remedy: "name the port, such as http:/health:8000, or publish one with -p")
            }
            return check
        }
        let readiness: Readiness
        switch settings.ready {
        case .none: readiness = .whenRunning
        case .automatic:
            let candidates = ProbeCandidate.candidates(image: image, settings: settings)
            readiness = candidates.isEmpty ? .whenRunning : .candidates(candidates)
        default: readiness = .check(try check(settings.ready, "ready"))
        }
        let liveness: Liveness
        switch settings.live {
        case .none: liveness = .none
        case .automatic: liveness = settings.ready == .automatic ? .onSuspicion : .none
        default: liveness = .check(try check(settings.live, "live"))
        }
        self.init(
            replicas: settings.replicas, restart: settings.restart, readiness: readiness, liveness: liveness,
            stopSignal: try ContainerBuilder.stopSignal(image, settings).number, stopTimeout: settings.stopTimeout,
            drainTimeout: settings.drainTimeout)
        if let timeout = settings.startupTimeout {
            startup.hardDeadline = timeout
            startup.quietDeadline = max(startup.quietDeadline, timeout)
        }
    }
}
