internal import LinuxSystem
public import OCISpec

extension Cgroup {
    /// Sets limits (runtime-spec, config-linux.md, `linux.resources`), in a new group or in one that runs.
    ///
    /// Device rules are no matter of files: see ``DeviceFilter``.
    /// - Returns: one warning for each limit that could not be set, under ``LimitPolicy/bestEffort``.
    /// - Throws: ``CgroupError`` of kind `limit` unless the policy is ``LimitPolicy/bestEffort``, of kind `value` for
    ///   nonsense in any case. Then the group is as it was before.
    public func apply(
        _ resources: RuntimeSpec.Resources, in hierarchy: CgroupHierarchy, policy: LimitPolicy
    ) throws(CgroupError) -> [String] {
        var warnings: [String] = []
        func refuse(_ error: CgroupError) throws(CgroupError) {
            if policy != .bestEffort { throw error }
            warnings.append("going on without a limit: \(error.cause)")
        }

        for item in CgroupLimits.unsupported(resources) {
            try refuse(
                CgroupError(
                    .limit(field: item.field, controller: item.controller),
                    "cannot set \(item.field): \(item.reason)", remedy: "leave \(item.field) out"))
        }
        let settings = try CgroupLimits.settings(for: resources, killsWholeGroup: policy != .mandatory) { file in
            try? readIfPresent(file)
        }
        if resources.memory?.checkBeforeUpdate == true { try prepare(memory: resources.memory) }

        var present: [CgroupSetting] = []
        for setting in settings {
            if has(setting.file) {
                present.append(setting)
            } else if !setting.holdsWithoutFile, !setting.optional, !holdsWithoutSwap(setting) {
                let absence = CgroupAbsence.find(
                    controller: setting.controller, file: setting.file, of: self, in: hierarchy)
                // What kept the controller away may be over by now.
                if has(setting.file) {
                    present.append(setting)
                } else {
                    try refuse(absence.error(for: setting, policy: policy))
                }
            }
        }
        var undo: [(file: String, value: String)] = []
        for setting in present {
            let before = undoing(setting)
            if let errno = write(setting.value, to: setting.file) {
                // In reverse, since some files accept a value only beside a fitting one of another.
                if policy != .bestEffort { for old in undo.reversed() { _ = write(old.value, to: old.file) } }
                try refuse(writeError(setting, errno))
            } else if let before {
                undo.append((setting.file, before))
            }
        }
        return warnings
    }

    /// What to write to a file to have it as it is now.
    private func undoing(_ setting: CgroupSetting) -> String? {
        guard let text = try? readIfPresent(setting.file) else { return nil }
        let lines = text.split(separator: "\n")
        // Files with a line for each device take, and show, the device first.
        guard let key = setting.value.split(separator: " ").first, key.contains(":") || setting.file == "rdma.max"
        else {
            return lines.count == 1 ? String(lines[0]) : nil
        }
        if let line = lines.first(where: { $0.hasPrefix("\(key) ") }) { return String(line) }
        switch setting.file {
        case "io.max": return "\(key) rbps=max wbps=max riops=max wiops=max"
        case "io.weight", "io.bfq.weight": return "\(key) default"
        case "rdma.max": return "\(key) hca_handle=max hca_object=max"
        default: return nil
        }
    }

    /// Without swap space no swap can be used, whatever the kernel accounts.
    private func holdsWithoutSwap(_ setting: CgroupSetting) -> Bool {
        guard setting.file == "memory.swap.max", has("memory.max") else { return false }
        guard let swaps = try? File.readText("/proc/swaps") else { return false }
        return swaps.split(separator: "\n").count <= 1
    }

    func writeError(_ setting: CgroupSetting, _ errno: Errno) -> CgroupError {
        let cause = "cannot set \(setting.field): writing \"\(setting.value)\" to \(path)/\(setting.file): \(errno)"
        let remedy: String?
        switch errno {
        case .invalidArgument, Errno(rawValue: 34): remedy = "the kernel does not accept this value: check its range"
        case .noSuchDevice: remedy = "the host has no such device, or its driver does not support this limit"
        case .accessDenied, .notPermitted: remedy = "run as root, or delegate the group: systemd-run -p Delegate=yes"
        case .busy: remedy = "the group uses more than the new value allows"
        case .notSupported: remedy = "the device's I/O scheduler does not support this limit, or the group is threaded"
        default: remedy = nil
        }
        return CgroupError(.limit(field: setting.field, controller: setting.controller), cause, remedy: remedy)
    }
}
