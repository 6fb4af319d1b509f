public import OCISpec

extension ContainerCgroup {
    /// Changes the limits of a container that may run: those that the document sets, and no others. Memory is never taken
    /// away from under a process: see ``Cgroup/prepare(memory:)``. Device rules are replaced in one step if there are any.
    ///
    /// What can be refused is refused before anything changes.
    /// - Returns: what the specification lets one go on without.
    public func update(
        _ resources: RuntimeSpec.Resources, on host: HostCgroups, inUserNamespace: Bool = false,
        fieldPrefix: String = ""
    ) throws(CgroupError) -> [String] {
        do throws(CgroupError) {
            if isNone {
                guard let field = Self.firstLimit(resources, countsDevices: true) else { return [] }
                throw CgroupError(
                    .limit(field: field, controller: "none"), "cannot set \(field): the container has no cgroup",
                    remedy: "create it with one: leave --cgroup-manager=disabled out")
            }
            // Rules that make no sense must not be found when half of the limits are in force.
            if !resources.devices.isEmpty { _ = try DeviceProgram(resources.devices) }
            var warnings: [String] = []
            if legacy.isEmpty {
                try unified?.prepare(memory: resources.memory)
                warnings += try applyUnified(resources, on: host)
            } else {
                warnings += try LegacyCgroups.apply(resources, to: self, on: host, isLive: true)
            }
            if let unit, let unified { try SystemdManager.update(unit, unified, resources) }
            try filterDevices(resources.devices, inUserNamespace: inUserNamespace)
            return warnings
        } catch {
            throw error.about(fieldPrefix)
        }
    }
}
