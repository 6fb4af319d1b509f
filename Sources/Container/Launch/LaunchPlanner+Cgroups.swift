internal import OCISpec

extension LaunchPlanner {
    /// `cgroup` and `cgroup2` mean the same: the container's own groups, in whatever versions the host has.
    mutating func planCgroups(_ mount: RuntimeSpec.Mount, _ options: MountOptions, path: String) {
        if host.cgroups.unifiedMount == nil { return planLegacyCgroups(mount, options, path: path) }
        var attributes = options.attributes
        attributes.formUnion(options.recursiveAttributes)
        if has(.cgroup) {
            var cgroups = FileSystemMount(
                type: "cgroup2", source: "cgroup2", target: mount.destination, options: options.data,
                attributes: attributes, propagation: options.propagation)
            cgroups.followsTarget = options.followsTarget
            return add(.mount(cgroups))
        }
        // Without a cgroup namespace a new mount would show, and let root change, the groups of the whole host.
        guard let directory = self.options.cgroup else {
            return planEmptyCgroups(
                mount, options, "\(path): the container has neither a cgroup nor a cgroup namespace")
        }
        add(.bind(own(directory, at: mount.destination, attributes, options.propagation)))
    }

    private func own(
        _ directory: String, at target: String, _ attributes: MountAttributes, _ propagation: [Propagation]
    ) -> BindMount {
        BindMount(
            source: directory, target: target, isRecursive: false, attributes: attributes, propagation: propagation)
    }

    /// Version 1: a directory for each hierarchy, as on the host, with links for controllers that share one.
    private mutating func planLegacyCgroups(_ mount: RuntimeSpec.Mount, _ options: MountOptions, path: String) {
        var hierarchies: [String: [String]] = [:]
        for case (let controller, let point?) in host.cgroups.legacyControllers {
            hierarchies[point, default: []].append(controller)
        }
        if hierarchies.isEmpty {
            return planEmptyCgroups(mount, options, "\(path): this host has no control groups mounted")
        }
        if !has(.cgroup), self.options.legacyCgroups.isEmpty {
            return planEmptyCgroups(
                mount, options, "\(path): the container has neither cgroups nor a cgroup namespace")
        }
        var attributes = options.attributes
        attributes.formUnion(options.recursiveAttributes)
        var top = FileSystemMount(
            type: "tmpfs", source: "tmpfs", target: mount.destination,
            options: [.init("size", "64k"), .init("mode", "755")],
            attributes: MountAttributes(
                set: MountAttributes.noSetID | MountAttributes.noDevices | MountAttributes.noExecution))
        // Links and directories are made in it first.
        top.isFinishedLater = true
        finishedLater.append(mount.destination)
        add(.mount(top))
        for (point, controllers) in hierarchies.sorted(by: { $0.key < $1.key }) {
            let name = String(point.split(separator: "/").last ?? "")
            let target = "\(mount.destination)/\(name)"
            planHierarchy(controllers.sorted(), at: target, attributes)
            for controller in controllers.sorted() where controller != name {
                add(.link(path: "\(mount.destination)/\(controller)", target: name))
            }
        }
    }

    private mutating func planHierarchy(_ controllers: [String], at target: String, _ attributes: MountAttributes) {
        if has(.cgroup) {
            return add(
                .mount(
                    FileSystemMount(
                        type: "cgroup", source: "cgroup", target: target, options: controllers.map { .init($0) },
                        attributes: attributes)))
        }
        guard let directory = controllers.compactMap({ options.legacyCgroups[$0] }).first else { return }
        add(.bind(own(directory, at: target, attributes, [])))
    }

    private mutating func planEmptyCgroups(_ mount: RuntimeSpec.Mount, _ options: MountOptions, _ reason: String) {
        plan.warnings.append("\(reason), so \(mount.destination) stays empty")
        add(
            .mount(
                FileSystemMount(
                    type: "tmpfs", source: "tmpfs", target: mount.destination,
                    options: [.init("size", "4k"), .init("mode", "755")],
                    attributes: MountAttributes(set: options.attributes.set | MountAttributes.readOnly))))
    }
}
