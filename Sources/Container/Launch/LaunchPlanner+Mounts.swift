internal import OCISpec

extension LaunchPlanner {
    mutating func planMount(_ mount: RuntimeSpec.Mount, path: String) {
        let options = MountOptions(mount.options)
        if options.isRemount { return planRemount(mount, options, path: path) }
        if mount.destination == "/" {
            return object("\(path).destination", "is the container's root itself; name another directory in root.path")
        }
        checkPropagation(options, path: path)
        if options.binds(type: mount.type) { return planBind(mount, options, path: path) }
        guard let type = mount.type, !type.isEmpty else {
            return object("\(path).type", "is missing, and no option says bind")
        }
        if options.copiesUp, type != "tmpfs" {
            object("\(path).options", "\"tmpcopyup\" has a meaning for tmpfs only, and the type is \"\(type)\"")
        }
        for (name, isSet) in [("src-nofollow", !options.followsSource), ("copy-symlink", options.copiesLink)]
        where isSet {
            object("\(path).options", "\"\(name)\" has a meaning for bind mounts only")
        }
        if type == "cgroup" || type == "cgroup2" { return planCgroups(mount, options, path: path) }
        if let source = hostMountInstead(type) { return planHostMount(source, mount, options) }
        var system = fileSystem(type, mount, options)
        system.idMapping = idMapping(of: mount, options, path: path)
        if system.idMapping != nil, has(.user) {
            // Whoever maps must control both the mapping and the file system's user namespace, and nobody does.
            object("\(path).options", "in a user namespace only bind mounts can be idmapped, not a new \(type)")
        }
        if type == "tmpfs" {
            system.takesMode = !options.data.contains { $0.name == "mode" }
            system.copiesUp = options.copiesUp
            // Directories and nodes may have to be made in it, whatever the order of the mounts.
            if system.attributes.set & MountAttributes.readOnly != 0 {
                system.attributes.set &= ~MountAttributes.readOnly
                system.isFinishedLater = true
                finishedLater.append(mount.destination)
            }
        }
        add(.mount(system))
    }

    private mutating func checkPropagation(_ options: MountOptions, path: String) {
        // A slave that is then shared is the one pair of which neither takes the other back.
        let kinds = options.propagation
        if kinds.count < 2
            || kinds.count == 2 && kinds[0].bit == Propagation.slave.bit && kinds[1].bit == Propagation.shared.bit
        {
            return
        }
        let names = kinds.map(\.rawValue).joined(separator: ", ")
        object("\(path).options", "several kinds of propagation (\(names)) contradict each other")
    }

    private func fileSystem(_ type: String, _ mount: RuntimeSpec.Mount, _ options: MountOptions) -> FileSystemMount {
        // One mount has no mounts below it: what is asked for all of them is asked for this one.
        var attributes = options.attributes
        attributes.formUnion(options.recursiveAttributes)
        // Whoever exchanges /proc or /sys for a link would get the masks of these put somewhere else.
        let strict = type == "proc" || type == "sysfs"
        var system = FileSystemMount(
            type: type, source: mount.source ?? type, target: mount.destination,
            options: options.superblock.map { .init($0.name) } + options.data, attributes: attributes,
            propagation: options.propagation, isStrict: strict)
        system.followsTarget = options.followsTarget
        system.countsVersions = options.countsVersions
        // These have labels of the kernel's own choice.
        if let label = linux.mountLabel, !["proc", "sysfs", "mqueue", "cgroup", "cgroup2"].contains(type) {
            system.options.append(.init("context", label))
        }
        return system
    }

    private mutating func idMapping(
        of mount: RuntimeSpec.Mount, _ options: MountOptions, path: String
    ) -> IDMapping? {
        guard options.idMapped || !mount.uidMappings.isEmpty || !mount.gidMappings.isEmpty else { return nil }
        let deep = options.idMappedRecursively
        if !mount.uidMappings.isEmpty {
            return IDMapping(uid: mount.uidMappings, gid: mount.gidMappings, isRecursive: deep)
        }
        if let joined = linux.namespaces.first(where: { $0.kind == .user })?.path {
            return IDMapping(namespace: joined, isRecursive: deep)
        }
        if linux.uidMappings.isEmpty || linux.gidMappings.isEmpty {
            object("\(path).options", "idmap needs mappings of the mount or of a user namespace")
        }
        return IDMapping(uid: linux.uidMappings, gid: linux.gidMappings, isRecursive: deep)
    }

    /// Of `tmpfs` and the like: mounts that are there already, from the image's own mounts or an earlier entry.
    private mutating func planRemount(_ mount: RuntimeSpec.Mount, _ options: MountOptions, path: String) {
        checkPropagation(options, path: path)
        var attributes = options.attributes
        attributes.formUnion(options.recursiveAttributes)
        let changes = options.superblock.map { FileSystemMount.Option($0.name) } + options.data
        if options.isBind, let first = changes.first {
            object("\(path).options", "\"\(first.text)\" is no option of a bind mount")
        }
        let others = [
            ("tmpcopyup", options.copiesUp), ("idmap", options.idMapped), ("iversion", options.countsVersions),
            ("copy-symlink", options.copiesLink), ("src-nofollow", !options.followsSource),
        ]
        for (name, isSet) in others where isSet {
            object("\(path).options", "\"\(name)\" is decided when a mount is made, not by a remount")
        }
        if attributes.set & MountAttributes.readOnly != 0 { finishedLater.removeAll { $0 == mount.destination } }
        add(
            .remount(
                Remount(
                    target: mount.destination, options: changes, attributes: attributes,
                    propagation: options.propagation, followsTarget: options.followsTarget)))
    }

    /// A user namespace that does not own the namespace behind these file systems may not mount them anew.
    private func hostMountInstead(_ type: String) -> String? {
        guard has(.user) else { return nil }
        switch type {
        case "proc" where !has(.pid): return "/proc"
        case "sysfs" where !creates(.network): return "/sys"
        case "mqueue" where !has(.ipc): return "/dev/mqueue"
        default: return nil
        }
    }

    private mutating func planHostMount(_ source: String, _ mount: RuntimeSpec.Mount, _ options: MountOptions) {
        var attributes = options.attributes
        attributes.formUnion(options.recursiveAttributes)
        var bind = BindMount(
            source: source, target: mount.destination, isRecursive: true, recursiveAttributes: attributes,
            propagation: options.propagation)
        bind.isStrict = true
        add(.bind(bind))
    }

    private mutating func planBind(_ mount: RuntimeSpec.Mount, _ options: MountOptions, path: String) {
        guard let source = mount.source, !source.isEmpty else { return object("\(path).source", "is missing") }
        // What a file system does by default it may not do here, but a bind mount leaves that as it is.
        for text in options.superblock.filter(\.isChange).map(\.name) + (options.countsVersions ? ["iversion"] : [])
            + (options.copiesUp ? ["tmpcopyup"] : [])
        {
            object("\(path).options", "\"\(text)\" is no option of a bind mount: it belongs to a whole file system")
        }
        // Callers give one list of options to all of their mounts, and mount(2) reads these of new file systems only.
        for option in options.data {
            plan.warnings.append("\(path).options: \"\(option.text)\" is left out: a bind mount takes no such option")
        }
        var bind = BindMount(
            source: source.hasPrefix("/") ? source : "\(self.options.bundle)/\(source)", target: mount.destination,
            isRecursive: options.isRecursive, attributes: options.attributes,
            recursiveAttributes: options.recursiveAttributes, propagation: options.propagation)
        bind.followsSource = options.followsSource
        bind.followsTarget = options.followsTarget
        bind.copiesLink = options.copiesLink
        bind.idMapping = idMapping(of: mount, options, path: path)
        add(.bind(bind))
    }
}
