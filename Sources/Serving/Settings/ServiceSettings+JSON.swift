public import OCISpec

extension ServiceSettings {
    private static let members: Set<String> = [
        "name", "image", "arguments", "entrypoint", "environment", "workingDirectory", "user", "hostname", "labels",
        "ports", "network", "networkName", "volumes", "tmpfs", "devices", "cdiDevices", "readOnlyRoot", "limits",
        "limitPolicy",
        "ulimits", "usernsHost", "capAdd", "capDrop", "security", "init", "ready", "live", "startupTimeout", "restart",
        "stopSignal", "stopTimeout", "drainTimeout", "replicas",
    ]

    /// Reads what ``json`` writes. A member that is not known is an error: it would be a wish that is ignored.
    public init(_ cursor: JSONCursor) throws(JSONError) {
        for member in try cursor.members() where !Self.members.contains(member.name) {
            throw member.cursor.failure("is not known to this version of mlrun")
        }
        self.init(
            name: try cursor.required("name").string(), image: try ImageIdentity(cursor.required("image")))
        arguments = try cursor.optional("arguments")?.strings() ?? []
        entrypoint = try cursor.optional("entrypoint")?.strings()
        environment = try cursor.optional("environment")?.strings() ?? []
        workingDirectory = try cursor.optional("workingDirectory")?.string()
        user = try cursor.optional("user")?.string()
        hostname = try cursor.optional("hostname")?.string()
        labels = try cursor.optional("labels")?.stringMap() ?? [:]
        ports = try cursor.texts("ports", PublishedPort.init(parsing:))
        network = try cursor.word("network") ?? .private
        networkName = try cursor.optional("networkName")?.string()
        volumes = try cursor.texts("volumes", VolumeMount.init(parsing:))
        temporaryFileSystems = try cursor.texts("tmpfs", TemporaryFileSystem.init(parsing:))
        devices = try cursor.texts("devices", DeviceMapping.init(parsing:))
        cdiDevices = try cursor.list("cdiDevices") { device throws(JSONError) in
            let text = try device.string()
            guard let name = CDIName(text) else { throw device.failure("\"\(text)\" is no name of a CDI device") }
            return name
        }
        readOnlyRoot = try cursor.optional("readOnlyRoot")?.bool() ?? false
        limits =
            try cursor.optional("limits").map { cursor throws(JSONError) in try ResourceLimits(cursor) }
            ?? ResourceLimits()
        limitPolicy = try cursor.word("limitPolicy") ?? .strict
        ulimits = try cursor.texts("ulimits", ResourceUlimit.init(parsing:))
        usesHostUserNamespace = try cursor.optional("usernsHost")?.bool() ?? false
        addedCapabilities = try cursor.optional("capAdd")?.strings() ?? []
        droppedCapabilities = try cursor.optional("capDrop")?.strings() ?? []
        security =
            try cursor.optional("security").map { cursor throws(JSONError) in try SecurityOptions(cursor) }
            ?? SecurityOptions()
        usesInit = try cursor.optional("init")?.bool() ?? false
        ready = try cursor.text("ready", Probe.init(parsing:)) ?? .automatic
        live = try cursor.text("live", Probe.init(parsing:)) ?? .automatic
        startupTimeout = try cursor.duration("startupTimeout")
        restart = try cursor.text("restart", RestartPolicy.init(parsing:)) ?? .unlessStopped
        stopSignal = try cursor.optional("stopSignal")?.string()
        stopTimeout = try cursor.duration("stopTimeout") ?? .seconds(15)
        drainTimeout = try cursor.duration("drainTimeout") ?? .seconds(120)
        replicas = try cursor.optional("replicas")?.integer() ?? 1
    }

    /// What was asked for; defaults are left out where leaving out means the default.
    public var json: JSON {
        var object = JSONObject([("name", .string(name)), ("image", image.json)])
        object.setList("arguments", arguments)
        object["entrypoint"] = entrypoint.map { .array($0.map(JSON.string)) }
        object.setList("environment", environment)
        object["workingDirectory"] = workingDirectory.map(JSON.string)
        object["user"] = user.map(JSON.string)
        object["hostname"] = hostname.map(JSON.string)
        if !labels.isEmpty { object["labels"] = JSON(labels) }
        object.setList("ports", ports.map(\.text))
        object["network"] = .string(network.rawValue)
        object["networkName"] = networkName.map(JSON.string)
        object.setList("volumes", volumes.map(\.text))
        object.setList("tmpfs", temporaryFileSystems.map(\.text))
        object.setList("devices", devices.map(\.text))
        object.setList("cdiDevices", cdiDevices.map(\.description))
        object["readOnlyRoot"] = .bool(readOnlyRoot)
        object["limits"] = limits.json
        object["limitPolicy"] = .string(limitPolicy.rawValue)
        object.setList("ulimits", ulimits.map(\.text))
        object["usernsHost"] = .bool(usesHostUserNamespace)
        object.setList("capAdd", addedCapabilities)
        object.setList("capDrop", droppedCapabilities)
        object["security"] = security.json
        object["init"] = .bool(usesInit)
        object["ready"] = .string(ready.text)
        object["live"] = .string(live.text)
        object["startupTimeout"] = startupTimeout?.json
        object["restart"] = .string(restart.text)
        object["stopSignal"] = stopSignal.map(JSON.string)
        object["stopTimeout"] = stopTimeout.json
        object["drainTimeout"] = drainTimeout.json
        object["replicas"] = .integer(Int64(replicas))
        return .object(object)
    }
}

extension ServiceSettings.ImageIdentity {
    init(_ cursor: JSONCursor) throws(JSONError) {
        self.init(
            reference: try cursor.required("reference").string(),
            manifestDigest: try cursor.optional("manifestDigest").map { cursor throws(JSONError) in try Digest(cursor)
            },
            configDigest: try cursor.optional("configDigest").map { cursor throws(JSONError) in try Digest(cursor) })
    }

    var json: JSON {
        var object = JSONObject([("reference", .string(reference))])
        object["manifestDigest"] = manifestDigest.map { .string($0.description) }
        object["configDigest"] = configDigest.map { .string($0.description) }
        return .object(object)
    }
}

extension ServiceSettings.SecurityOptions {
    init(_ cursor: JSONCursor) throws(JSONError) {
        self.init()
        if let member = try cursor.optional("seccomp") {
            switch member.value {
            case .string("default"): seccomp = .standard
            case .string("unconfined"): seccomp = .unconfined
            case .object: seccomp = .profile(member.value)
            default: throw member.failure("is neither \"default\" nor \"unconfined\" nor a profile")
            }
        }
        noNewPrivileges = try cursor.optional("noNewPrivileges")?.bool() ?? true
        apparmorProfile = try cursor.optional("apparmorProfile")?.string()
        selinuxLabel = try cursor.optional("selinuxLabel")?.string()
    }

    var json: JSON {
        var object = JSONObject()
        switch seccomp {
        case .standard: object["seccomp"] = "default"
        case .unconfined: object["seccomp"] = "unconfined"
        case .profile(let profile): object["seccomp"] = profile
        }
        object["noNewPrivileges"] = .bool(noNewPrivileges)
        object["apparmorProfile"] = apparmorProfile.map(JSON.string)
        object["selinuxLabel"] = selinuxLabel.map(JSON.string)
        return .object(object)
    }
}

extension JSONObject {
    mutating func setList(_ name: String, _ values: [String]) {
        if !values.isEmpty { self[name] = .array(values.map(JSON.string)) }
    }
}

extension JSONCursor {
    /// A member in the form in which users write it.
    func text<Value>(_ name: String, _ read: (String) throws(SettingError) -> Value) throws(JSONError) -> Value? {
        guard let member = try optional(name) else { return nil }
        return try member.parsed(read)
    }

    func texts<Value>(_ name: String, _ read: (String) throws(SettingError) -> Value) throws(JSONError) -> [Value] {
        guard let member = try optional(name) else { return [] }
        return try member.array { element throws(JSONError) in try element.parsed(read) }
    }

    private func parsed<Value>(_ read: (String) throws(SettingError) -> Value) throws(JSONError) -> Value {
        let text = try string()
        do throws(SettingError) { return try read(text) } catch { throw failure("\(error); \(error.remedy)") }
    }

    func word<Value: RawRepresentable & CaseIterable>(_ name: String) throws(JSONError) -> Value?
    where Value.RawValue == String {
        guard let member = try optional(name) else { return nil }
        let text = try member.string()
        guard let value = Value(rawValue: text) else {
            let words = Value.allCases.map(\.rawValue).joined(separator: ", ")
            throw member.failure("is \"\(text)\", not one of \(words)")
        }
        return value
    }

    func duration(_ name: String) throws(JSONError) -> Duration? {
        guard let member = try optional(name) else { return nil }
        return try Duration(member)
    }
}
