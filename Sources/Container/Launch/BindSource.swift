internal import CLaunch
internal import CLinux
internal import Glibc
internal import LinuxSystem

/// The source of a bind mount: a detached mount with its final attributes, made while the host's files are in reach; or
/// what the player needs to make it itself, where only a user namespace gives the right to.
struct BindSource {
    /// Nil leaves it to the player.
    private(set) var mount: SharedDescriptor?
    let layout: UnsafePointer<mlr_bind>
    private(set) var namespace: SharedDescriptor?

    init(_ bind: BindMount, locks: SharedDescriptor?, in arena: PlayerArena) throws(SystemError) {
        var bind = bind
        if let device = bind.device { bind.source = try Self.node(device) }
        namespace = try bind.idMapping.map { mapping throws(SystemError) in try mapping.opened() }
        // The clone is a peer of the host's mount: what is mounted there would come in, and go out, unasked.
        let propagation = bind.propagation.isEmpty ? [.rprivate] : bind.propagation
        var layout = mlr_bind()
        layout.source = arena.string(bind.source)
        layout.user_namespace = namespace?.rawValue ?? -1
        layout.recursive = bind.isRecursive
        layout.maps_deep = bind.idMapping?.isRecursive ?? false
        layout.is_link = !bind.followsSource
        layout.set = bind.attributes.set
        layout.clear = bind.attributes.clear
        layout.deep_set = bind.recursiveAttributes.set
        layout.deep_clear = bind.recursiveAttributes.clear
        layout.fill(propagation)
        self.layout = UnsafePointer(arena.copy([layout]))
        mount = try Self.open(self.layout, bind.source, locks)
    }

    /// The root file system of a container that starts from a directory of the host.
    init(
        root path: String, propagation: Propagation?, locks: SharedDescriptor?, in arena: PlayerArena
    ) throws(SystemError) {
        var layout = mlr_bind()
        layout.source = arena.string(path)
        layout.user_namespace = -1
        layout.recursive = true
        // Whatever it is to be inside, it must not be a peer of the host's mount, where the container's mounts would show.
        switch propagation {
        case .slave, .rslave: layout.fill([.rslave])
        default: layout.fill([.rprivate])
        }
        self.layout = UnsafePointer(arena.copy([layout]))
        mount = try Self.open(self.layout, path, locks)
    }

    private static func open(
        _ layout: UnsafePointer<mlr_bind>, _ path: String, _ locks: SharedDescriptor?
    ) throws(SystemError) -> SharedDescriptor? {
        var failed: UnsafePointer<CChar>?
        let tree =
            if let locks { mlr_open_bind_in(locks.rawValue, layout, &failed) } else { mlr_open_bind(layout, &failed) }
        if tree >= 0 { return SharedDescriptor(taking: tree) }
        let operation = failed.map { String(cString: $0) } ?? "open"
        if tree == -EINVAL, operation == "open", locks != nil, !layout.pointee.recursive {
            throw SystemError(
                "leave out what is mounted below, and uncover what that hides, for a container with CAP_SYS_ADMIN (rbind takes "
                    + "it along) at", path: path, .invalidArgument)
        }
        // To clone a mount takes CAP_SYS_ADMIN, which others than root have in the container's user namespace only.
        if tree == -EPERM, operation == "open", geteuid() != 0 { return nil }
        throw SystemError(operation, path: path, Errno(rawValue: -tree))
    }

    /// The host's node of a device: at the container's path, or wherever the kernel's own names lead to.
    private static func node(_ device: DeviceNode) throws(SystemError) -> String {
        let directory = device.type == "b" ? "block" : "char"
        let kind = device.type == "b" ? UInt32(S_IFBLK) : UInt32(S_IFCHR)
        for path in [device.path, "/dev/\(directory)/\(device.major):\(device.minor)"] {
            guard let status = try? File.status(path), status.mode & UInt32(S_IFMT) == kind,
                status.special_major == device.major, status.special_minor == device.minor
            else { continue }
            return path
        }
        throw SystemError(
            "find the host's node of the device \(device.major):\(device.minor), which cannot be made here, at",
            path: device.path, .noSuchDevice)
    }
}

extension mlr_bind {
    fileprivate mutating func fill(_ kinds: [Propagation]) {
        let flags = kinds.prefix(3).map(\.flags) + [0, 0, 0]
        propagation = (flags[0], flags[1], flags[2])
    }
}

extension IDMapping {
    /// A user namespace with these mappings.
    func opened() throws(SystemError) -> SharedDescriptor {
        if let namespace { return SharedDescriptor(try File.open(namespace, O_RDONLY)) }
        return SharedDescriptor(try UserNamespace.make(uid: uid, gid: gid))
    }
}
