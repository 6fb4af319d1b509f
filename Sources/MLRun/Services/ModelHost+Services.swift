internal import ImageStore
internal import LinuxSystem
public import OCISpec
public import Serving

extension ModelHost {
    /// Starts a service from an image in the store, and mlrund when it does not run yet.
    ///
    /// - Parameters:
    ///   - settings: what to serve and how; its image must be in the store (see ``image(_:policy:platform:report:)``).
    ///   - untilReady: wait until the service answers its readiness probe; otherwise only until it is accepted.
    ///   - pulled: what pulling took, for the start report.
    ///   - report: hears of each step on the way.
    /// - Returns: what is known of the service now.
    /// - Throws: ``MLRunError`` when the settings are refused, or when the service fails before it is ready.
    public func start(
        _ settings: ServiceSettings, untilReady: Bool = true, pulled: PullTiming? = nil,
        report: @escaping @Sendable (JSON) -> Void = { _ in }
    ) async throws(MLRunError) -> JSON {
        let directories = self.directories
        let supervisor = self.supervisor
        do throws(ControlError) {
            try await blocking { () throws(ControlError) in
                _ = try Supervisor.ensureRunning(directories, executable: supervisor)
            }
        } catch {
            throw .unavailable(error)
        }
        return try await ask(.start(settings, phases: pulled?.steps ?? [], waits: untilReady)) { event in
            report(event)
            return true
        }
    }

    /// Whether this host can give what the settings ask for, as far as that is known without the image: limits, and the network.
    /// Worth asking before an image of many gigabytes is pulled.
    ///
    /// - Throws: ``MLRunError`` which names what cannot be had. Only root can try limits; nobody else is told anything.
    public func check(_ settings: ServiceSettings) throws(MLRunError) {
        do throws(ControlError) { try HostCheck.check(settings, directories) } catch {
            throw MLRunError(error)
        }
    }

    /// Asks the running supervisor for something.
    ///
    /// - Parameters:
    ///   - startsSupervisor: starts it when it does not run and there are services for it to take over.
    ///   - onEvent: hears of events before the answer; false ends the call with ``JSON/null``.
    /// - Throws: ``MLRunError`` when mlrund does not run, or refuses.
    public func ask(
        _ request: ControlRequest, startsSupervisor: Bool = false,
        onEvent: @escaping @Sendable (JSON) -> Bool = { _ in true }
    ) async throws(MLRunError) -> JSON {
        let directories = self.directories
        let executable = supervisor
        return try await blocking { () throws(MLRunError) in
            let hasServices = startsSupervisor && (try? ServiceFiles.names(directories))?.isEmpty == false
            let client: ControlClient
            do throws(ControlError) {
                client =
                    hasServices
                    ? try Supervisor.ensureRunning(directories, executable: executable)
                    : try ControlClient(directories)
            } catch {
                throw .unavailable(error)
            }
            do throws(ControlError) { return try client.call(request, onEvent: onEvent) } catch {
                throw MLRunError(error)
            }
        }
    }

    /// Stops a service: it gets no new requests, finishes those it has, is asked to end, and killed when it does not.
    /// Returns when nothing of it is left.
    ///
    /// - Parameter timeout: replaces the service's own time between the stop signal and the kill.
    public func stop(_ name: String, timeout: Duration? = nil) async throws(MLRunError) {
        _ = try await ask(.stop(name: name, timeout: timeout, force: false), startsSupervisor: true)
    }

    /// Forgets a stopped service with its logs and what it wrote; with `force` also one that runs, which is killed.
    public func remove(_ name: String, force: Bool = false) async throws(MLRunError) {
        _ = try await ask(.remove(name: name, force: force), startsSupervisor: true)
    }

    /// All services as mlrund lists them. Where there are any but no mlrund, it is started: what nobody supervises is neither
    /// probed nor restarted.
    ///
    /// - Throws: ``MLRunError`` when mlrund cannot be started or asked.
    public func services() async throws(MLRunError) -> [JSON] {
        let names: [String]
        do throws(SystemError) { names = try ServiceFiles.names(directories) } catch { throw MLRunError(error) }
        return names.isEmpty ? [] : try await ask(.list, startsSupervisor: true).array ?? []
    }

    /// Everything that is known of a service; nil when there is none of this name. Starts mlrund as ``services()`` does.
    public func service(_ name: String) async throws(MLRunError) -> JSON? {
        guard File.exists(ServiceFiles(directories, name: name).record) else { return nil }
        return try await ask(.inspect(name: name), startsSupervisor: true)
    }

    /// What happens to all services from now on, until the sequence is given up.
    public func events() -> AsyncThrowingStream<JSON, any Error> {
        AsyncThrowingStream { continuation in
            let task = Task {
                do {
                    _ = try await ask(.events(name: nil, since: nil, follow: true), startsSupervisor: true) { event in
                        if case .terminated = continuation.yield(event) { return false }
                        return true
                    }
                    continuation.finish()
                } catch {
                    continuation.finish(throwing: error)
                }
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }

    /// The replicas that run, read from their records, so that it is known also while no mlrund runs.
    ///
    /// - Parameter services: only of these; empty for all.
    /// - Throws: ``MLRunError`` when a service that was named is not there.
    public func runningReplicas(of services: [String] = []) throws(MLRunError) -> [ReplicaRecord] {
        let known: [String]
        do throws(SystemError) { known = try ServiceFiles.names(directories) } catch { throw MLRunError(error) }
        for name in services where !known.contains(name) {
            throw MLRunError(
                .invalidArgument, "there is no service \(name)", remedy: "`mlrun ps --all` lists them", exitCode: 1)
        }
        return known.filter { services.isEmpty || services.contains($0) }
            .flatMap { ReplicaRecord.running(ServiceFiles(directories, name: $0)) }
    }
}

extension MLRunError {
    fileprivate static func unavailable(_ error: ControlError) -> MLRunError {
        MLRunError(
            .supervisorUnavailable, error.message, remedy: error.remedy, exitCode: error.exitCode, underlying: error)
    }
}

extension PullTiming {
    /// Receiving, verifying and unpacking are one pass, so only its whole time is known.
    fileprivate var steps: [ControlRequest.StartStep] {
        [
            ControlRequest.StartStep(.resolve, seconds: resolve.fractionalSeconds),
            ControlRequest.StartStep(.pull, seconds: layers.fractionalSeconds),
        ]
    }
}
