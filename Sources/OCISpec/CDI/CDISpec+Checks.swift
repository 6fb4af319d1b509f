extension CDISpec {
    /// The versions of the specification there are.
    static let versions = ["0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0"]

    /// What the types of members do not say.
    func check(_ cursor: JSONCursor) throws(JSONError) {
        func failure(_ path: String, _ message: String) -> JSONError { JSONError(path: path, message: message) }
        let version = cdiVersion.hasPrefix("v") ? String(cdiVersion.dropFirst()) : cdiVersion
        guard let given = Self.versions.firstIndex(of: version) else {
            throw failure(
                "cdiVersion",
                "\"\(cdiVersion)\" is no version of the specification; known are \(Self.versions.joined(separator: ", "))"
            )
        }
        if let problem = CDIName.kindProblem(kind) { throw failure("kind", problem) }
        var names: Set<String> = []
        for (index, device) in devices.enumerated() {
            let place = "devices[\(index)]"
            if let problem = CDIName.deviceProblem(device.name) { throw failure("\(place).name", problem) }
            guard names.insert(device.name).inserted else {
                throw failure("\(place).name", "there are two devices \"\(device.name)\"")
            }
            if device.containerEdits.isEmpty { throw failure("\(place).containerEdits", "changes nothing") }
            try device.containerEdits.check("\(place).containerEdits")
        }
        try containerEdits.check("containerEdits")
        if let needed = neededVersion(), let least = Self.versions.firstIndex(of: needed.version), least > given {
            throw failure(
                "cdiVersion", "\(needed.field) takes at least version \(needed.version), but this is \(version)")
        }
    }

    /// The lowest version that has all of what is used, and what of it needs that version; nil for any.
    private func neededVersion() -> (version: String, field: String)? {
        let edits = [containerEdits] + devices.map(\.containerEdits)
        if edits.contains(where: { !$0.netDevices.isEmpty }) { return ("1.1.0", "netDevices") }
        if edits.contains(where: { $0.intelRdt?.schemata.isEmpty == false }) { return ("1.1.0", "intelRdt.schemata") }
        if edits.contains(where: { $0.intelRdt?.enableMonitoring == true }) {
            return ("1.1.0", "intelRdt.enableMonitoring")
        }
        if edits.contains(where: { $0.intelRdt != nil }) { return ("0.7.0", "intelRdt") }
        if edits.contains(where: { !$0.additionalGids.isEmpty }) { return ("0.7.0", "additionalGids") }
        if !annotations.isEmpty || devices.contains(where: { !$0.annotations.isEmpty }) {
            return ("0.6.0", "annotations")
        }
        if kind.split(separator: "/").last?.contains(".") == true { return ("0.6.0", "a dot in the class of kind") }
        if edits.contains(where: { $0.deviceNodes.contains { $0.hostPath != nil } }) { return ("0.5.0", "hostPath") }
        if devices.contains(where: { $0.name.utf8.first.map { (0x30...0x39).contains($0) } == true }) {
            return ("0.5.0", "a device's name that begins with a digit")
        }
        if edits.contains(where: { $0.mounts.contains { $0.type != nil } }) { return ("0.4.0", "the type of a mount") }
        return nil
    }
}

extension CDISpec.Edits {
    func check(_ path: String) throws(JSONError) {
        try Self.check(env, "\(path).env")
        for (index, node) in deviceNodes.enumerated() { try node.check("\(path).deviceNodes[\(index)]") }
        for (index, hook) in hooks.enumerated() { try hook.check("\(path).hooks[\(index)]") }
        for (index, mount) in mounts.enumerated() {
            let place = "\(path).mounts[\(index)]"
            try Self.checkPath(mount.containerPath, "\(place).containerPath")
            // What is mounted may be no file, as with the type tmpfs.
            if mount.hostPath.isEmpty { throw JSONError(path: "\(place).hostPath", message: "is empty") }
        }
        var hosts: Set<String> = []
        var inside: Set<String> = []
        for (index, device) in netDevices.enumerated() {
            let place = "\(path).netDevices[\(index)]"
            if device.hostInterfaceName.isEmpty || device.name.isEmpty {
                throw JSONError(path: place, message: "has no name")
            }
            guard hosts.insert(device.hostInterfaceName).inserted, inside.insert(device.name).inserted else {
                throw JSONError(path: place, message: "names an interface a second time")
            }
        }
        if let closID = intelRdt?.closID, closID != "/" {
            let isName = !closID.contains("/") && !closID.contains("\n") && closID != "." && closID != ".."
            if !isName || closID.utf8.count >= 4096 {
                throw JSONError(path: "\(path).intelRdt.closID", message: "\"\(closID)\" is no name of a directory")
            }
        }
    }

    fileprivate static func check(_ environment: [String], _ path: String) throws(JSONError) {
        for (index, variable) in environment.enumerated() {
            guard let sign = variable.utf8.firstIndex(of: UInt8(ascii: "=")), sign != variable.startIndex,
                !variable.utf8.contains(0)
            else {
                throw JSONError(path: "\(path)[\(index)]", message: "\"\(variable)\" is not of the form NAME=VALUE")
            }
        }
    }

    fileprivate static func checkPath(_ text: String, _ path: String) throws(JSONError) {
        guard text.hasPrefix("/"), !text.utf8.contains(0), !text.split(separator: "/").contains("..") else {
            throw JSONError(path: path, message: "\"\(text)\" is no absolute path without \"..\"")
        }
    }
}

extension CDISpec.DeviceNode {
    func check(_ place: String) throws(JSONError) {
        try CDISpec.Edits.checkPath(path, "\(place).path")
        if let hostPath { try CDISpec.Edits.checkPath(hostPath, "\(place).hostPath") }
        if let type, !["b", "c", "u", "p"].contains(type) {
            throw JSONError(path: "\(place).type", message: "\"\(type)\" is no kind of device; use b, c, u or p")
        }
        for (name, number) in [("major", major), ("minor", minor)] {
            if let number, UInt32(exactly: number) == nil {
                throw JSONError(path: "\(place).\(name)", message: "is out of range (0 to \(UInt32.max))")
            }
        }
        if let permissions, permissions != "none", permissions.contains(where: { !"rwm".contains($0) }) {
            throw JSONError(
                path: "\(place).permissions", message: "\"\(permissions)\" has other letters than rwm, and is not none")
        }
        if let fileMode, fileMode > 0o7777 {
            throw JSONError(path: "\(place).fileMode", message: "has more than permission bits")
        }
    }
}

extension CDISpec.Hook {
    static let names: Set<String> = [
        "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop",
    ]

    func check(_ place: String) throws(JSONError) {
        guard Self.names.contains(hookName) else {
            throw JSONError(
                path: "\(place).hookName",
                message: "\"\(hookName)\" is no hook; known are \(Self.names.sorted().joined(separator: ", "))")
        }
        try CDISpec.Edits.checkPath(path, "\(place).path")
        try CDISpec.Edits.check(env, "\(place).env")
        if let timeout, timeout <= 0 { throw JSONError(path: "\(place).timeout", message: "is not positive") }
    }
}
