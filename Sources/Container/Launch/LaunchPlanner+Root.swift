internal import OCISpec

extension LaunchPlanner {
    /// The container's view of files, from the first mount to leaving the host's behind.
    mutating func planRoot() {
        add(.isolateMounts)
        add(.attachRoot)
        for (index, mount) in spec.mounts.enumerated() { planMount(mount, path: "mounts[\(index)]") }
        planDevices()
        if let process = spec.process, process.terminal {
            add(.console(path: "/dev/console", owner: process.user.uid))
        }
        if let hooks = spec.hooks, !hooks.createContainer.isEmpty {
            add(.hooks(stage: "createContainer", hooks.createContainer))
        }
        if let cwd = spec.process?.cwd, cwd != "/" { add(.directory(cwd)) }
        for path in linux.readonlyPaths { add(.readOnly(path)) }
        for path in linux.maskedPaths { add(.mask(path)) }
        add(.enterRoot)
        planRootAttributes()
    }

    private mutating func planRootAttributes() {
        if let name = linux.rootfsPropagation {
            if let propagation = Propagation(rawValue: name) {
                add(.rootPropagation(propagation))
            } else {
                object("linux.rootfsPropagation", "\"\(name)\" is no propagation (private, slave, shared, unbindable)")
            }
        }
        if spec.root?.readonly == true { add(.rootReadOnly) }
        if linux.mountLabel != nil { refuseLabel("linux.mountLabel", module: "selinux") }
    }

    mutating func refuseLabel(_ path: String, module: String) {
        let name = module == "selinux" ? "SELinux" : "AppArmor"
        guard host.securityModules?.contains(module) == true else {
            return object(path, "this host's kernel does not run \(name)")
        }
        if path == "linux.mountLabel" { object(path, "labels of mounts are not supported") }
    }

    // MARK: Mounts

    private mutating func planMount(_ mount: RuntimeSpec.Mount, path: String) {
        let options = MountOptions(mount.options)
        for option in options.refused { object("\(path).options", "\"\(option)\" is not supported") }
        if options.isBind || mount.type == "bind" || mount.type == "none" {
            return planBind(mount, options, path: path)
        }
        guard let type = mount.type, !type.isEmpty else {
            return object("\(path).type", "is missing, and no option says bind")
        }
        if options.idMapped || !mount.uidMappings.isEmpty {
            return object("\(path).uidMappings", "only a bind mount can map the owners of files")
        }
        if type == "cgroup" || type == "cgroup2" { return planCgroups(mount, options, path: path) }
        if let source = hostMountInstead(type) { return planHostMount(source, mount, options) }
        add(.mount(fileSystem(type, mount, options)))
        if !options.recursiveAttributes.isEmpty {
            object("\(path).options", "recursive attributes have a meaning for bind mounts only")
        }
    }

    private func fileSystem(
        _ type: String, _ mount: RuntimeSpec.Mount, _ options: MountOptions
    ) -> FileSystemMount {
        // Whoever exchanges /proc or /sys for a link would get the masks of these put somewhere else.
        let strict = type == "proc" || type == "sysfs"
        return FileSystemMount(
            type: type, source: mount.source ?? type, target: mount.destination, options: options.data,
            attributes: options.attributes, propagation: options.propagation, isStrict: strict)
    }

    /// A user namespace that does not own the namespace behind these file systems may not mount them anew.
    private func hostMountInstead(_ type: String) -> String? {
        guard creates(.user) else { return nil }
        switch type {
        case "proc" where !creates(.pid): return "/proc"
        case "sysfs" where !creates(.network): return "/sys"
        case "mqueue" where !creates(.ipc): return "/dev/mqueue"
        default: return nil
        }
    }

    private mutating func planHostMount(_ source: String, _ mount: RuntimeSpec.Mount, _ options: MountOptions) {
        add(
            .bind(
                BindMount(
                    source: source, target: mount.destination, isRecursive: true,
                    recursiveAttributes: options.attributes, propagation: options.propagation)))
    }

    private mutating func planCgroups(_ mount: RuntimeSpec.Mount, _ options: MountOptions, path: String) {
        if host.cgroups.unifiedMount == nil {
            return planEmptyCgroups(mount, options, "\(path): this host has no cgroup2 hierarchy")
        }
        if has(.cgroup) {
            var cgroups = fileSystem("cgroup2", mount, options)
            cgroups.source = "cgroup2"
            return add(.mount(cgroups))
        }
        // Without a cgroup namespace a new mount would show, and let root change, the groups of the whole host.
        guard let directory = self.options.cgroup else {
            return planEmptyCgroups(
                mount, options, "\(path): the container has neither a cgroup nor a cgroup namespace")
        }
        add(
            .bind(
                BindMount(
                    source: directory, target: mount.destination, isRecursive: false, attributes: options.attributes,
                    propagation: options.propagation)))
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

    private mutating func planBind(_ mount: RuntimeSpec.Mount, _ options: MountOptions, path: String) {
        guard let source = mount.source, !source.isEmpty else { return object("\(path).source", "is missing") }
        for option in options.data {
            let text = option.value.map { "\(option.name)=\($0)" } ?? option.name
            object("\(path).options", "\"\(text)\" is no option of a bind mount")
        }
        var bind = BindMount(
            source: source.hasPrefix("/") ? source : "\(self.options.bundle)/\(source)", target: mount.destination,
            isRecursive: options.isRecursive, attributes: options.attributes,
            recursiveAttributes: options.recursiveAttributes, propagation: options.propagation)
        if options.idMapped || !mount.uidMappings.isEmpty {
            let own = !mount.uidMappings.isEmpty
            let uid = own ? mount.uidMappings : linux.uidMappings
            let gid = own ? mount.gidMappings : linux.gidMappings
            if uid.isEmpty || gid.isEmpty {
                object("\(path).options", "idmap needs mappings of the mount or of a user namespace")
            }
            bind.idMapping = BindMount.IDMapping(uid: uid, gid: gid, isRecursive: options.idMappedRecursively)
        }
        add(.bind(bind))
    }

    // MARK: Devices

    private static let standard: [(name: String, major: UInt32, minor: UInt32)] = [
        ("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0),
    ]
    private static let links = [
        ("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"), ("ptmx", "pts/ptmx"),
    ]

    private mutating func planDevices() {
        let isHostDev = spec.mounts.contains { $0.destination == "/dev" && $0.type == "bind" }
        if isHostDev {
            // A /dev that was bound in is the host's business, not to be written to.
            for index in linux.devices.indices {
                object("linux.devices[\(index)]", "cannot be made in a /dev that is bound from the host")
            }
            return
        }
        let named = Set(linux.devices.map(\.path))
        for device in Self.standard where !named.contains("/dev/\(device.name)") {
            addDevice(DeviceNode(path: "/dev/\(device.name)", major: device.major, minor: device.minor))
        }
        for device in linux.devices {
            addDevice(
                DeviceNode(
                    path: device.path, type: device.type == "u" ? "c" : device.type,
                    major: UInt32(clamping: device.major ?? 0), minor: UInt32(clamping: device.minor ?? 0),
                    mode: device.fileMode.map { $0 & 0o7777 } ?? 0o666, uid: device.uid ?? 0, gid: device.gid ?? 0))
        }
        for (name, target) in Self.links { add(.link(path: "/dev/\(name)", target: target)) }
    }

    /// A device node, or where the kernel allows none to be made the host's own, shown at the same path.
    private mutating func addDevice(_ node: DeviceNode) {
        if node.type == "p" || (!has(.user) && host.capabilities.contains(.mknod)) { return add(.node(node)) }
        // Read-only keeps the owner and mode of the host's node; reading and writing the device itself stays possible.
        add(
            .bind(
                BindMount(
                    source: node.path, target: node.path, isRecursive: false,
                    attributes: MountAttributes(set: MountAttributes.readOnly))))
    }
}
