internal import CLinux
internal import Container
internal import Glibc
internal import ImageStore
internal import LinuxSystem
internal import OCISpec

/// What clients ask, and how it is answered.
extension Supervisor {
    func handle(_ message: JSON, _ reply: ControlReply) {
        context.repose.disturb()
        do throws(JSONError) {
            let request = try ControlRequest(JSONCursor(message))
            do throws(ControlError) { try perform(request, reply) } catch { reply.fail(error) }
        } catch {
            reply.fail(
                ControlError(
                    "the request is not understood: \(error)",
                    remedy: "mlrun and mlrund may be of different versions: restart mlrund"))
        }
    }

    private func perform(_ request: ControlRequest, _ reply: ControlReply) throws(ControlError) {
        switch request {
        case .ping:
            reply.succeed([
                "version": .string(Self.version), "pid": .integer(Int64(getpid())),
                "root": .string(context.directories.root), "state": .string(context.directories.state),
            ])
        case .start(let settings, let phases, let waits): try start(settings, phases, waits, reply)
        case .stop(let name, let timeout, let force):
            let service = try service(name)
            stop(service, timeout: timeout, force: force) { reply.succeed(["name": .string(name)]) }
        case .kill(let name, let signal): try kill(try service(name), signal, reply)
        case .remove(let name, let force):
            if services[name] == nil, force, removeRemains(of: name, reply) { return }
            try remove(try service(name), force: force, reply)
        case .restart(let name, let timeout, let waits): try restart(try service(name), timeout, waits, reply)
        case .list: reply.succeed(.array(services.values.sorted { $0.name < $1.name }.map(\.summary)))
        case .inspect(let name): reply.succeed(try service(name).details)
        case .events(let name, let since, let follow): try events(name, since: since, follow: follow, reply)
        case .statistics(let name): statistics(name, reply)
        case .wait(let name):
            let service = try service(name)
            whenAtRest(service) {
                let code = service.state.replicas.last?.lastDeath?.exitCode ?? 0
                reply.succeed(["name": .string(name), "exitCode": .integer(Int64(code))])
            }
        case .shutdown(let stopsServices): shutdown(stopsServices, reply)
        }
    }

    private func service(_ name: String) throws(ControlError) -> ServiceRunner {
        if let service = services[name] {
            try checkStays(name)
            return service
        }
        throw ControlError("there is no service \(name)", remedy: "mlrun ps -a shows all services", exitCode: 1)
    }

    private func checkStays(_ name: String) throws(ControlError) {
        guard removing.contains(name) else { return }
        throw ControlError(
            "the service \(name) is being removed", remedy: "wait a moment, or use another name", exitCode: 1)
    }

    // MARK: Start

    /// Everything that can be wrong is found before anything changes.
    private func start(
        _ settings: ServiceSettings, _ phases: [ControlRequest.StartStep], _ waits: Bool, _ reply: ControlReply
    ) throws(ControlError) {
        let problems = settings.problems()
        if !problems.isEmpty {
            throw ControlError(
                "the settings are not valid: \(problems.map(\.description).joined(separator: "; "))",
                remedy: "correct them and start again")
        }
        try ReplicaNetwork.check(settings)
        try checkStays(settings.name)
        let old = services[settings.name]
        if let old, !old.state.isAtRest {
            throw ControlError(
                "the service \(settings.name) is there already and is \(old.state.status.rawValue)",
                remedy: "mlrun stop \(settings.name) first, or give another --name")
        }
        let image = try ServiceRunner.findImage(settings, context.directories)
        let rules = try ServiceRunner.rules(settings, image)
        try rehearse(settings, image)
        // The replicas of an old one give theirs back, but only after the new ones' are taken.
        try context.slots.makeRoom(for: settings.replicas)
        let listeners = try context.gateway.publish(settings.name, settings.ports)
        // A port that the kernel chose stays the service's.
        var settings = settings
        settings.ports = listeners.map(\.port)
        let service: ServiceRunner
        do throws(ControlError) {
            var state = ServiceState(name: settings.name, rules: rules)
            if let old {
                // Numbers are never used twice, so that the log tells the replicas apart.
                state.nextNumber = old.state.nextNumber
                try forgetReplicas(of: old)
            }
            do throws(SystemError) {
                service = try ServiceRunner(context, settings, image, state, phases: phases)
            } catch {
                throw ControlError(error)
            }
        } catch {
            context.gateway.unpublish(settings.name)
            throw error
        }
        add(service)
        service.persist()
        if waits { awaitReady(service, reply) }
        service.handle(.startRequested(failFast: waits))
        if !waits { reply.succeed(service.startResult) }
    }

    /// Builds the container without making it, and tries its limits.
    private func rehearse(_ settings: ServiceSettings, _ image: ImageRecord) throws(ControlError) {
        let facts = context.host.buildFacts(
            ReplicaID("\(settings.name)-1"), slot: 0, taken: [], devices: settings.limits.ioDevices)
        let build: ContainerBuild
        do throws(BuildError) { build = try ContainerBuilder.build(image.configuration, settings, facts) } catch {
            throw ControlError(error.message, remedy: error.remedy)
        }
        try ContainerAssembly.rehearseLimits(of: build.spec, settings, context.host)
    }

    /// Tells the steps of a start as events, and answers when it has succeeded or failed.
    private func awaitReady(_ service: ServiceRunner, _ reply: ControlReply) {
        var ticket = 0
        ticket = service.observe { [unowned service] observation in
            switch observation {
            case .notice(let notice):
                reply.event(["kind": .string(notice.kind.rawValue), "text": .string(notice.text)])
            case .settled:
                if service.state.readyCount > 0 {
                    service.stopObserving(ticket)
                    reply.succeed(service.startResult)
                } else if service.state.isAtRest, !service.state.replicas.isEmpty {
                    service.stopObserving(ticket)
                    if service.state.desired == .running
                        || service.state.replicas.contains(where: { $0.phase == .failed })
                    {
                        self.context.gateway.unpublish(service.name)
                        reply.fail(service.startFailure)
                    } else {
                        reply.fail(ControlError("\(service.name) was stopped before it was ready", exitCode: 1))
                    }
                }
            }
        }
        reply.onAbandoned = { service.stopObserving(ticket) }
    }

    // MARK: Stop

    /// Ends a service and calls `done` when nothing is left of it: its cgroups are empty and removed, its ports free.
    private func stop(
        _ service: ServiceRunner, timeout: Duration?, force: Bool, done: @escaping () -> Void
    ) {
        var portsAreFree = false
        var isEmpty = false
        let usual = service.state.rules
        if let timeout {
            var rules = usual
            rules.stopTimeout = timeout
            service.handle(.rulesChanged(rules))
        }
        context.gateway.unpublish(service.name) {
            portsAreFree = true
            if isEmpty { done() }
        }
        service.handle(.stopRequested(force: force))
        whenAtRest(service) {
            if timeout != nil { service.handle(.rulesChanged(usual)) }
            isEmpty = true
            if portsAreFree { done() }
        }
    }

    private func whenAtRest(_ service: ServiceRunner, _ done: @escaping () -> Void) {
        if service.state.isAtRest { return done() }
        var ticket = 0
        ticket = service.observe { [unowned service] observation in
            guard case .settled = observation, service.state.isAtRest else { return }
            service.stopObserving(ticket)
            done()
        }
    }

    private func kill(_ service: ServiceRunner, _ signal: String, _ reply: ControlReply) throws(ControlError) {
        guard let signal = SignalName(signal) else {
            throw ControlError(
                "\"\(signal)\" is no signal", remedy: "use a name such as TERM, or a number", exitCode: 1)
        }
        if service.state.isAtRest {
            throw ControlError("the service \(service.name) does not run", exitCode: 1)
        }
        service.handle(.signalRequested(signal.number))
        reply.succeed(["name": .string(service.name)])
    }

    private func remove(_ service: ServiceRunner, force: Bool, _ reply: ControlReply) throws(ControlError) {
        guard service.state.isAtRest || force else {
            throw ControlError(
                "the service \(service.name) is \(service.state.status.rawValue)",
                remedy: "mlrun stop \(service.name) first, or mlrun rm --force \(service.name)", exitCode: 1)
        }
        stop(service, timeout: nil, force: true) { [self] in removeFiles(of: service, reply) }
    }

    /// Takes the writable layers from a service at rest, and deletes them by and by.
    private func forgetReplicas(of service: ServiceRunner) throws(ControlError) {
        let removed = RemovedFiles(context.directories)
        for replica in service.replicas.values {
            replica.release(loop)
            // Only where taking it down has failed before is there anything left to give back.
            try ReplicaNetwork.release(replica.files)
            let place: String?
            do throws(SystemError) { place = try removed.take(replica.files.directory) } catch {
                throw ControlError(error)
            }
            context.slots.free(replica.record.slot)
            guard let place else { continue }
            loop.work {
                do throws(SystemError) { try File.removeTree(place) } catch { Diagnostics.note("\(error)") }
            } then: { _ in
            }
        }
        service.replicas = [:]
    }

    private func restart(
        _ service: ServiceRunner, _ timeout: Duration?, _ waits: Bool, _ reply: ControlReply
    ) throws(ControlError) {
        try ReplicaNetwork.check(service.settings)
        _ = try context.gateway.publish(service.name, service.settings.ports)
        if let timeout {
            var rules = service.state.rules
            rules.stopTimeout = timeout
            service.handle(.rulesChanged(rules))
        }
        service.handle(.restartRequested)
        if timeout != nil, let rules = try? ServiceRunner.rules(service.settings, service.image) {
            // The timer of the stop that has begun keeps its time.
            service.handle(.rulesChanged(rules))
        }
        if waits { awaitReady(service, reply) } else { reply.succeed(service.startResult) }
    }

    // MARK: Watching

    private func events(
        _ name: String?, since: Int64?, follow: Bool, _ reply: ControlReply
    ) throws(ControlError) {
        func isWanted(_ event: JSON) -> Bool { name == nil || event["service"]?.string == name }
        if let since {
            do throws(SystemError) {
                for event in try context.events.events(since: since) where isWanted(event) { reply.event(event) }
            } catch {
                throw ControlError(error)
            }
        }
        if !follow { return reply.succeed() }
        let ticket = context.events.follow { event in if isWanted(event) { reply.event(event) } }
        reply.onAbandoned = { [context] in context.events.unfollow(ticket) }
    }

    private func statistics(_ name: String?, _ reply: ControlReply) {
        context.gateway.statistics { result in
            switch result {
            case .failure(let error): reply.fail(error)
            case .success(let items):
                let services = items.filter { item in
                    item["item"]?.string == "service" && (name == nil || item["service"]?.string == name)
                }
                reply.succeed(.array(services))
            }
        }
    }

    private func shutdown(_ stopsServices: Bool, _ reply: ControlReply) {
        var left = 1
        let finish: () -> Void = { [self] in
            left -= 1
            guard left == 0 else { return }
            endWhatServesNobody()
            reply.succeed()
            // The answer leaves before the sockets close.
            loop.soon { self.end() }
        }
        if stopsServices {
            for service in services.values where !service.state.isAtRest {
                left += 1
                stop(service, timeout: nil, force: false, done: finish)
            }
        }
        finish()
    }
}
