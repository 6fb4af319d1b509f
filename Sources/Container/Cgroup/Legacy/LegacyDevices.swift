internal import LinuxSystem
internal import OCISpec

/// Limits the devices of a group by the devices controller of cgroup v1.
enum LegacyDevices {
    /// Puts these rules in force in place of those that were. Nothing that both allow is out of reach in between.
    static func apply(
        _ rules: [RuntimeSpec.Resources.DeviceRule], to group: Cgroup,
        withoutPermission policy: DeviceFilter.WithoutPermission = .refuse
    ) throws(CgroupError) {
        func write(_ text: String, _ allow: Bool, _ group: Cgroup) throws(CgroupError) {
            try put(text, allow, group, policy)
        }
        // Shape and numbers are checked as for version 2.
        _ = try DeviceProgram(rules)
        let lines = rules.map { ($0.allow, line($0)) }
        // Rules that begin with "nothing" name all that is allowed. Any others change what is, one after the other.
        guard let reset = rules.lastIndex(where: { !$0.allow && DeviceRules.isForAll($0) }) else {
            for (allow, text) in lines { try write(text, allow, group) }
            return
        }
        let wanted = lines[(reset + 1)...]
        let present = try group.read("devices.list").split(separator: "\n").map(String.init)
        if present.contains(where: { $0.hasPrefix("a ") }) {
            try write("a", false, group)
        } else {
            let kept = Set(wanted.filter(\.0).map(\.1))
            for (allow, text) in wanted where allow { try write(text, true, group) }
            for text in present where !kept.contains(text) { try write(text, false, group) }
        }
        for (allow, text) in wanted { try write(text, allow, group) }
    }

    private static func put(
        _ text: String, _ allow: Bool, _ group: Cgroup, _ policy: DeviceFilter.WithoutPermission
    ) throws(CgroupError) {
        let file = allow ? "devices.allow" : "devices.deny"
        guard let errno = group.write(text, to: file) else { return }
        // What a parent does not allow stays denied.
        if errno == .notPermitted, policy == .skip { return }
        throw CgroupError(
            .limit(field: "devices", controller: "devices"),
            "cannot set devices: writing \"\(text)\" to \(group.path)/\(file): \(errno)",
            remedy: errno == .notPermitted
                ? "a parent group does not allow this device: ask for less, or choose another cgroupsPath" : nil)
    }

    /// As devices.list writes it.
    static func line(_ rule: RuntimeSpec.Resources.DeviceRule) -> String {
        let access = rule.access.flatMap { $0.isEmpty ? nil : $0 } ?? "rwm"
        let type = rule.type ?? "a"
        if type == "a" { return access.utf8.count < 3 ? "a *:* \(access)" : "a" }
        func number(_ value: Int64?) -> String { value.flatMap { $0 < 0 ? nil : String($0) } ?? "*" }
        return "\(type == "u" ? "c" : type) \(number(rule.major)):\(number(rule.minor)) \(access)"
    }
}
