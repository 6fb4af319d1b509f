internal import LinuxSystem
public import OCISpec

extension Cgroup {
    /// Sets limits (runtime-spec, config-linux.md, `linux.resources`), in a new group or in one that runs.
    ///
    /// Device rules are no matter of files: see ``DeviceFilter``.
    /// - Returns: one warning for each limit that could not be set, under ``LimitPolicy/bestEffort``.
    /// - Throws: ``CgroupError`` of kind `limit` under ``LimitPolicy/strict``, of kind `value` for nonsense under both.
    public func apply(
        _ resources: RuntimeSpec.Resources, in hierarchy: CgroupHierarchy, policy: LimitPolicy
    ) throws(CgroupError) -> [String] {
        var warnings: [String] = []
        func refuse(_ error: CgroupError) throws(CgroupError) {
            if policy == .strict { throw error }
            warnings.append("going on without a limit: \(error.cause)")
        }

        for item in CgroupLimits.unsupported(resources) {
            try refuse(
                CgroupError(
                    .limit(field: item.field, controller: item.controller),
                    "cannot set \(item.field): \(item.reason)", remedy: "leave \(item.field) out"))
        }
        let settings = try CgroupLimits.settings(for: resources) { file in try? readIfPresent(file) }
        if resources.memory?.checkBeforeUpdate == true { try checkUsage(settings) }

        for setting in settings {
            guard has(setting.file) else {
                if setting.holdsWithoutFile || setting.optional || holdsWithoutSwap(setting) { continue }
                let absence = CgroupAbsence.find(
                    controller: setting.controller, file: setting.file, of: self, in: hierarchy)
                try refuse(absence.error(for: setting))
                continue
            }
            if let errno = write(setting.value, to: setting.file) {
                try refuse(writeError(setting, errno))
            }
        }
        return warnings
    }

    /// `checkBeforeUpdate`: lowering a limit below what is in use would kill the container at once.
    private func checkUsage(_ settings: [CgroupSetting]) throws(CgroupError) {
        for setting in settings where setting.file == "memory.max" {
            guard let wanted = UInt64(setting.value), let text = try readIfPresent("memory.current"),
                let used = UInt64(text.filter { !$0.isWhitespace }), used > wanted
            else { continue }
            throw CgroupError(
                .limit(field: setting.field, controller: "memory"),
                "cannot lower \(setting.field) to \(wanted) bytes: \(used) bytes are in use",
                remedy: "choose a higher limit, or leave checkBeforeUpdate out to accept an out-of-memory kill")
        }
    }

    /// Without swap space no swap can be used, whatever the kernel accounts.
    private func holdsWithoutSwap(_ setting: CgroupSetting) -> Bool {
        guard setting.file == "memory.swap.max", has("memory.max") else { return false }
        guard let swaps = try? File.readText("/proc/swaps") else { return false }
        return swaps.split(separator: "\n").count <= 1
    }

    private func writeError(_ setting: CgroupSetting, _ errno: Errno) -> CgroupError {
        let cause = "cannot set \(setting.field): writing \"\(setting.value)\" to \(path)/\(setting.file): \(errno)"
        let remedy: String?
        switch errno {
        case .invalidArgument, Errno(rawValue: 34): remedy = "the kernel does not accept this value: check its range"
        case .noSuchDevice: remedy = "the host has no such device, or its driver does not support this limit"
        case .accessDenied, .notPermitted: remedy = "run as root, or delegate the group: systemd-run -p Delegate=yes"
        case .busy: remedy = "the group uses more than the new value allows"
        case .notSupported: remedy = "the device's I/O scheduler does not support this limit"
        default: remedy = nil
        }
        return CgroupError(.limit(field: setting.field, controller: setting.controller), cause, remedy: remedy)
    }
}
