internal import Glibc
internal import OCISpec
internal import Serving

/// What commands say of services, from what mlrund answers.
enum ServiceText {
    /// One line of narration for an event of a start.
    static func narrate(_ event: JSON) {
        guard let text = event["text"]?.string else { return }
        Output.error(text)
    }

    /// The service's name, then a URL a published port.
    static func started(_ service: JSON) -> [String] {
        [service["name"]?.string ?? ""] + (service["ports"]?.array ?? []).compactMap { $0["url"]?.string }
    }

    /// `0.0.0.0:8000->8000/http` a published port.
    static func ports(_ service: JSON) -> String {
        (service["ports"]?.array ?? []).map { port in
            let address = port["hostIP"]?.string ?? ""
            let host = "\(address.contains(":") ? "[\(address)]" : address):\(port["hostPort"]?.int ?? 0)"
            return "\(host)->\(port["containerPort"]?.int ?? 0)/\(port["protocol"]?.string ?? "")"
        }.joined(separator: ", ")
    }

    /// The start report, a line a phase.
    static func timing(_ service: JSON) -> [String] {
        guard let phases = service["startReport"]?.array else { return [] }
        var table = Table(["PHASE", "TIME"])
        for phase in phases {
            table.add([phase["phase"]?.string ?? "", HumanUnits.duration(phase["seconds"]?.double ?? 0)])
            // Layers are hashed, inflated and written while they arrive, so these have no time of their own.
            if phase["phase"]?.string == "pull" {
                table.add(["verify", "within pull"])
                table.add(["unpack", "within pull"])
            }
        }
        return table.text.split(separator: "\n").map(String.init)
    }
}

/// The time of day.
enum Clock {
    static var seconds: Int64 { Int64(time(nil)) }
}

extension JSON {
    /// Any number as a double.
    var double: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .unsigned(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }
}

extension Timestamp {
    static var now: Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }
}
