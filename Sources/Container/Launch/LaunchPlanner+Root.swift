internal import OCISpec

extension LaunchPlanner {
    /// The container's view of files, from the first mount to leaving the host's behind.
    mutating func planRoot() {
        if linux.mountLabel != nil { requireModule("selinux", "linux.mountLabel") }
        let isolates = has(.mount)
        if isolates { add(.isolateMounts) }
        add(.attachRoot(inPlace: !isolates))
        for (index, mount) in spec.mounts.enumerated() { planMount(mount, path: "mounts[\(index)]") }
        planDevices()
        if let process = spec.process, process.terminal {
            add(.console(path: "/dev/console", owner: process.user.uid))
        }
        planHooks(directory: options.bundle)
        if let cwd = spec.process?.cwd, cwd != "/" { add(.directory(cwd)) }
        for path in linux.readonlyPaths { add(.readOnly(path)) }
        for path in linux.maskedPaths { add(.mask(path)) }
        for path in finishedLater { add(.mountReadOnly(path)) }
        add(.enterRoot(pivots: options.pivots && isolates))
        if !isolates {
            plan.warnings.append(
                "linux.namespaces: without a mount namespace the container's mounts are made on the host, until it is "
                    + "deleted, and nothing but chroot(2) keeps it from the host's files")
        } else if !options.pivots {
            warnOfHostBelow()
        }
        planRootAttributes()
    }

    /// A joined mount namespace that stays as it is, with the root it has: nothing is mounted there, not even a terminal, and the
    /// bundle may not be there.
    mutating func planOwnRoot() {
        add(.ownRoot)
        if let process = spec.process, process.terminal { add(.console(path: nil, owner: process.user.uid)) }
        planHooks(directory: "/")
        if let propagation { add(.rootPropagation(propagation)) }
    }

    /// Those of the host's side that run in the container's namespaces.
    private mutating func planHooks(directory: String) {
        guard let hooks = spec.hooks?.createContainer, !hooks.isEmpty else { return }
        add(.hooks(stage: "createContainer", directory: directory, hooks))
    }

    /// Without pivot_root(2) the host's mounts stay below the container's, and umount(2) is all it takes to see them.
    private mutating func warnOfHostBelow() {
        let capabilities = spec.process?.capabilities ?? .init()
        let name = Capability.sysAdmin.name
        guard (capabilities.permitted + capabilities.bounding).contains(name) else { return }
        plan.warnings.append(
            "process.capabilities: with \(name) the container can unmount its root and see the host's files below it, "
                + "since the root is not entered by pivot_root(2)")
    }

    private var propagation: Propagation? { linux.rootfsPropagation.flatMap(Propagation.init(rawValue:)) }

    private mutating func planRootAttributes() {
        if let propagation { add(.rootPropagation(propagation)) }
        if spec.root?.readonly == true { add(.rootReadOnly) }
    }

    /// Objects unless this host's kernel runs the security module.
    @discardableResult
    mutating func requireModule(_ module: String, _ path: String) -> Bool {
        if host.securityModules?.contains(module) == true { return true }
        let name = module == "selinux" ? "SELinux" : "AppArmor"
        object(path, "this host's kernel does not run \(name)")
        return false
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
        // A /dev that was bound in is the host's business, not to be written to: it has its devices already, which engines name
        // all the same, for their rules.
        let isBound = spec.mounts.contains { $0.destination == "/dev" && MountOptions($0.options).binds(type: $0.type) }
        let named = Set(linux.devices.map(\.path.cleanPath))
        for device in Self.standard where !isBound && !named.contains("/dev/\(device.name)") {
            addDevice(DeviceNode(path: "/dev/\(device.name)", major: device.major, minor: device.minor))
        }
        for device in linux.devices where !isBound || !device.path.cleanPath.hasPrefix("/dev/") {
            addDevice(
                DeviceNode(
                    path: device.path, type: device.type == "u" ? "c" : device.type,
                    major: UInt32(clamping: device.major ?? 0), minor: UInt32(clamping: device.minor ?? 0),
                    mode: device.fileMode.map { $0 & 0o7777 } ?? 0o666, uid: device.uid ?? 0, gid: device.gid ?? 0))
        }
        for (name, target) in Self.links where !isBound { add(.link(path: "/dev/\(name)", target: target)) }
    }

    /// A device node, or where the kernel allows none to be made the host's own, shown at the same path.
    private mutating func addDevice(_ node: DeviceNode) {
        if node.type == "p" || (!has(.user) && host.capabilities.contains(.mknod)) { return add(.node(node)) }
        // Read-only keeps the owner and mode of the host's node; reading and writing the device itself stays possible.
        var bind = BindMount(
            source: node.path, target: node.path, isRecursive: false,
            attributes: MountAttributes(set: MountAttributes.readOnly))
        bind.device = node
        add(.bind(bind))
    }
}
