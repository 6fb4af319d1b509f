import OCISpec

@testable import Container

extension FuzzTarget {
    static let cgroups = [updateResources, cdi, systemd]

    /// The document of `update --resources`, for both versions of cgroups and for systemd.
    private static let updateResources = FuzzTarget(name: "update-resources") { bytes throws(FuzzFinding) in
        guard let json = try? JSON(parsing: bytes), let resources = try? RuntimeSpec.Resources(JSONCursor(json)) else {
            return
        }
        let again = try? RuntimeSpec.Resources(JSONCursor(resources.json))
        try promise(again == resources, "reads differently once written: \(resources.json.text())")
        func isFile(_ name: String) -> Bool { !name.isEmpty && !name.contains("/") && name != ".." && name != "." }
        for present in [nil, "max\n", "5 7\n", "18446744073709551615\n"] as [String?] {
            if let settings = try? CgroupLimits.settings(for: resources, current: { _ in present }) {
                for setting in settings {
                    try promise(isFile(setting.file), "writes to \(setting.file)")
                    try promise(!setting.value.contains("\n"), "writes two lines at once to \(setting.file)")
                    // What `unified` says goes to the kernel as it is.
                    let isNegative = setting.value.split(separator: " ").contains { Int64($0).map { $0 < 0 } ?? false }
                    try promise(
                        setting.field.hasPrefix("unified") || !isNegative,
                        "writes \(setting.value) to \(setting.file)")
                }
                _ = try? SystemdProperties.limits(settings, version: 252)
            }
        }
        for present in [nil, "-1\n", "5\n", "9223372036854771712\n"] as [String?] {
            if let settings = try? LegacyLimits.settings(for: resources, current: { _, _ in present }) {
                for setting in settings { try promise(isFile(setting.file), "writes to \(setting.file)") }
            }
        }
        _ = CgroupLimits.unsupported(resources)
        _ = CgroupLimits.controllers(of: resources)
        _ = try? SystemdProperties.devices(resources.devices, drivers: "Character devices:\n  1 mem\n")
        if let program = try? DeviceProgram(resources.devices) {
            try promise(program.instructions.last?.code == 0x95, "a program that does not end")
        }
        for rule in resources.devices { _ = LegacyDevices.line(rule) }
    }

    /// A file of the Container Device Interface, in JSON or YAML.
    private static let cdi = FuzzTarget(name: "cdi") { bytes throws(FuzzFinding) in
        if let json = try? JSON(parsingYAML: bytes) {
            let again = try? JSON(parsing: json.bytes())
            try promise(again == json, "YAML reads as something that JSON cannot say: \(json.text())")
        }
        guard let spec = try? CDISpec(parsing: bytes) else { return }
        for device in spec.devices {
            try promise(CDIName("\(spec.kind)=\(device.name)") != nil, "\(device.name) cannot be asked for")
        }
        for edits in [spec.containerEdits] + spec.devices.map(\.containerEdits) {
            for node in edits.deviceNodes {
                try promise(node.path.hasPrefix("/") && !node.path.contains("/../"), "a node at \(node.path)")
            }
            for hook in edits.hooks { try promise(hook.path.hasPrefix("/"), "runs \(hook.path)") }
        }
    }

    /// What a bus sends, and values of `org.systemd.property.*` annotations.
    private static let systemd = FuzzTarget(name: "dbus") { bytes throws(FuzzFinding) in
        if let message = try? DBusMessage(bytes) {
            let again = try? DBusMessage(message.bytes)
            // Numbers that are none are not equal to themselves.
            if message == message { try promise(again == message, "the message reads differently once written") }
        }
        _ = try? DBusSignature.types(bytes.text)
        var text = GVariantText(bytes.text)
        _ = text.value()
        _ = try? CgroupPath.Unit(.init(id: "id", cgroupsPath: bytes.text), isOfUser: false)
        if let names = try? CgroupPath.components(
            .init(id: "id", cgroupsPath: bytes.text), own: "/a", isPrivileged: true)
        {
            try promise(!names.contains("..") && !names.contains("."), "a group at \(names)")
        }
    }
}
