public import OCISpec

extension ServiceSettings {
    /// Everything that is wrong with these settings by themselves, each with the place in ``json``; empty when they
    /// can be tried.
    public func problems() -> [JSONError] {
        var result: [JSONError] = []
        func problem(_ path: String, _ message: String) { result.append(JSONError(path: path, message: message)) }
        do throws(SettingError) { try ServiceName.check(name) } catch { problem("name", "\(error); \(error.remedy)") }
        if (try? ImageReference(parsing: image.reference)) == nil, !image.reference.contains(":") {
            problem("image.reference", "\"\(image.reference)\" is no image reference")
        }
        if let hostname, !Self.isHostname(hostname) {
            problem("hostname", "\"\(hostname)\" is no host name (letters, digits and '-', at most 63)")
        }
        if let workingDirectory, !workingDirectory.hasPrefix("/") {
            problem("workingDirectory", "\"\(workingDirectory)\" is not absolute")
        }
        for (index, variable) in environment.enumerated() where !variable.dropFirst().contains("=") {
            problem("environment[\(index)]", "\"\(variable)\" is not in the form NAME=value")
        }
        for path in Self.zeroBytes(in: json, path: "") {
            problem(path, "holds a zero byte, with which no program can be given it")
        }
        portProblems(problem)
        mountProblems(problem)
        limitProblems(problem)
        if let stopSignal, SignalName(stopSignal) == nil {
            problem("stopSignal", "\"\(stopSignal)\" is no signal; write a name or number such as SIGTERM or 15")
        }
        if let startupTimeout, startupTimeout <= .zero { problem("startupTimeout", "is not above 0") }
        if stopTimeout < .zero { problem("stopTimeout", "is negative") }
        if drainTimeout < .zero { problem("drainTimeout", "is negative") }
        if !(1...1024).contains(replicas) { problem("replicas", "\(replicas) is not from 1 to 1024") }
        if networkName != nil, network != .bridge { problem("networkName", "needs the network bridge") }
        if live != .automatic, live != .none, ready == .none, restart == .no {
            problem("live", "a liveness probe restarts the service, but its restart policy is no")
        }
        return result
    }

    private func portProblems(_ problem: (String, String) -> Void) {
        for (index, port) in ports.enumerated() where port.hostPort != 0 {
            if let first = ports[..<index].firstIndex(where: { $0.collides(with: port) }) {
                problem("ports[\(index)]", "port \(port.hostPort) of the host is also published by ports[\(first)]")
            }
        }
        if network == .host, replicas > 1 {
            problem("replicas", "with the host's network only one replica can listen on a port")
        }
        for (index, port) in ports.enumerated()
        where network == .host && port.hostPort == port.containerPort {
            problem(
                "ports[\(index)]",
                "with the host's network the service itself listens on \(port.containerPort); publish another host port"
            )
        }
    }

    private func mountProblems(_ problem: (String, String) -> Void) {
        let targets =
            volumes.enumerated().map { ("volumes[\($0)]", $1.target) }
            + temporaryFileSystems.enumerated().map { ("tmpfs[\($0)]", $1.target) }
            + devices.enumerated().map { ("devices[\($0)]", $1.target) }
        var seen: [String: String] = [:]
        for (path, target) in targets {
            if !target.hasPrefix("/") || target == "/" { problem(path, "the target \"\(target)\" is not absolute") }
            if target == "/proc" || target == "/sys" || target.hasPrefix("/proc/") || target.hasPrefix("/sys/") {
                problem(path, "the target \(target) belongs to the kernel")
            }
            if let other = seen[target] { problem(path, "has the same target as \(other)") }
            seen[target] = path
        }
        for (index, volume) in volumes.enumerated() where !volume.source.hasPrefix("/") {
            problem("volumes[\(index)]", "the source \"\(volume.source)\" is not absolute")
        }
    }

    private func limitProblems(_ problem: (String, String) -> Void) {
        let least: Int64 = 1 << 20
        if let memory = limits.memory, memory < least {
            problem("limits.memory", "\(memory) bytes are less than any process needs; write a unit, such as 512m")
        }
        if let swap = limits.memorySwap {
            if let memory = limits.memory {
                if swap != -1, swap < memory {
                    problem("limits.memorySwap", "is less than the memory limit, which it includes")
                }
            } else {
                problem("limits.memorySwap", "needs a memory limit too, since it includes it")
            }
        }
        if let cpus = limits.cpus, !(cpus >= 0.01 && cpus < 65536) { problem("limits.cpus", "is not from 0.01 up") }
        if let list = limits.cpusetCpus, ProcessorList(parsing: list) == nil {
            problem("limits.cpusetCpus", "\"\(list)\" is no list of processors such as 0-3,8")
        }
        if let list = limits.cpusetMems, ProcessorList(parsing: list) == nil {
            problem("limits.cpusetMems", "\"\(list)\" is no list of memory nodes such as 0-1")
        }
        if limits.pids == 0 || limits.pids < -1 { problem("limits.pids", "is neither above 0 nor -1") }
        if let shm = limits.sharedMemory, shm < 4096 { problem("limits.shm", "is less than 4096 bytes") }
        if let weight = limits.ioWeight, !(1...10000).contains(weight) {
            problem("limits.ioWeight", "\(weight) is not from 1 to 10000")
        }
        for (index, limit) in ulimits.enumerated() where !ResourceUlimit.names.contains(limit.name) {
            problem("ulimits[\(index)]", "\"\(limit.name)\" is no resource")
        }
    }

    /// The places of all texts that hold a zero byte. What is handed to the kernel ends there, so that it would mean
    /// something else than what was checked.
    static func zeroBytes(in json: JSON, path: String) -> [String] {
        switch json {
        case .string(let text): return text.utf8.contains(0) ? [path] : []
        case .array(let elements):
            return elements.enumerated().flatMap { zeroBytes(in: $0.element, path: "\(path)[\($0.offset)]") }
        case .object(let object):
            return object.members.flatMap { member -> [String] in
                let place = path.isEmpty ? member.name : "\(path).\(member.name)"
                if member.name.utf8.contains(0) { return [place.filter { $0 != "\0" }] }
                return zeroBytes(in: member.value, path: place)
            }
        case .null, .bool, .integer, .unsigned, .number: return []
        }
    }

    private static func isHostname(_ text: String) -> Bool {
        let labels = text.split(separator: ".", omittingEmptySubsequences: false)
        return text.utf8.count <= 63
            && labels.allSatisfy { label in
                label.first.map { $0 != "-" } ?? false && label.last != "-"
                    && label.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") }
            }
    }
}
