internal import Container
internal import ImageStore
internal import LinuxSystem
internal import OCISpec

/// What is told of a service to those who ask.
extension ServiceRunner {
    /// A line of `ps`.
    var summary: JSON {
        let newest = state.replicas.last
        var object = JSONObject([
            ("name", .string(name)), ("status", .string(state.status.rawValue)),
            ("ready", .integer(Int64(state.readyCount))), ("replicas", .integer(Int64(state.rules.replicas))),
            ("image", .string(settings.image.reference)), ("imageID", .string(image.config.description)),
            ("restarts", .integer(Int64(state.replicas.reduce(0) { $0 + $1.restarts }))),
            ("ports", .array(ports)),
            (
                "labels",
                .object(
                    JSONObject(
                        settings.labels.sorted { $0.key < $1.key }.map {
                            (name: $0.key, value: .string($0.value))
                        }))
            ),
        ])
        let records = state.replicas.compactMap { replicas[$0.id]?.record }
        object["startedAt"] = records.compactMap(\.startedAt).max().map { .integer($0) }
        object["lastDeath"] = newest?.lastDeath.map { .string(sentence(newest?.id, $0)) }
        object["exitCode"] = newest?.lastDeath?.exitCode.map { .integer(Int64($0)) }
        return .object(object)
    }

    var ports: [JSON] {
        settings.ports.map { port in
            var object = JSONObject([
                ("hostIP", .string(port.hostIP ?? "0.0.0.0")), ("hostPort", .integer(Int64(port.hostPort))),
                ("containerPort", .integer(Int64(port.containerPort))), ("protocol", .string(port.transport.rawValue)),
            ])
            let scheme = port.transport == .http ? "http" : "tcp"
            object["url"] = .string("\(scheme)://\(port.localAddress):\(port.hostPort)")
            return .object(object)
        }
    }

    /// All steps of the start of the replica that was launched last.
    var startReport: [ControlRequest.StartStep] {
        callerPhases + (state.replicas.last.flatMap { replicas[$0.id] }?.record.phases ?? [])
    }

    /// All that `inspect` shows.
    var details: JSON {
        var object = summary.object ?? JSONObject()
        object["settings"] = settings.json
        object["state"] = state.json
        object["startReport"] = .array(startReport.map(\.json))
        object["log"] = .string(files.log)
        object["instances"] = .array(
            state.replicas.map { replica in
                var members = replicas[replica.id]?.record.json.object ?? JSONObject()
                members["status"] = .string(replica.status.rawValue)
                members["restarts"] = .integer(Int64(replica.restarts))
                members["lastDeath"] = replica.lastDeath.map { .string($0.sentence) }
                members["lastProbe"] = replica.lastProbeText.map { .string($0) }
                return .object(members)
            })
        return .object(object)
    }

    /// The answer to a start that came to its end.
    var startResult: JSON {
        [
            "name": .string(name), "status": .string(state.status.rawValue), "ports": .array(ports),
            "startReport": .array(startReport.map(\.json)),
        ]
    }

    /// Why a start came to nothing: the cause, the last lines of the log, and what to exit with.
    var startFailure: ControlError {
        let replica = state.replicas.last
        let runtime = replica.flatMap { replicas[$0.id] }
        if let error = runtime?.launchError { return error }
        let cause = replica?.lastDeath.map { $0.sentence } ?? "it did not start"
        var text = "\(name) failed to start: \(cause)"
        let lines = lastLines(20)
        if !lines.isEmpty { text += "\n" + lines.map { "  | \($0)" }.joined(separator: "\n") }
        return ControlError(
            text, remedy: "mlrun logs \(name) shows all it wrote, mlrun inspect \(name) what it was",
            exitCode: replica?.lastDeath?.exitCode.flatMap { $0 == 0 ? nil : $0 } ?? 1)
    }

    /// The report's sentence where there is one of this death.
    private func sentence(_ id: ReplicaID?, _ cause: DeathCause) -> String {
        let report = id.flatMap { replicas[$0] }?.record.deathReport
        return report.flatMap { $0.cause == cause ? $0.sentence : nil } ?? cause.sentence
    }

    func lastLines(_ count: Int) -> [String] {
        var lines: [String] = []
        try? LogReader(files.log, LogQuery(tail: count)).read { record in
            lines.append(record.message)
            return true
        }
        return lines
    }
}

extension DeathCause {
    /// As a shell gives it; nil where no process came to be.
    var exitCode: Int32? {
        switch self {
        case .exited(let status), .outOfMemory(let status), .ended(_, let status): status.shellCode
        case .launchFailed: nil
        }
    }
}
