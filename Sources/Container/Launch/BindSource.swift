internal import CLinux
internal import Glibc
internal import LinuxSystem

/// The source of a bind mount as a detached mount with its final attributes, made while the host's files are in reach.
struct BindSource {
    let mount: SharedDescriptor
    let isDirectory: Bool

    init(_ bind: BindMount) throws(SystemError) {
        let recursive = bind.isRecursive ? UInt32(MLR_AT_RECURSIVE) : 0
        let flags = UInt32(MLR_OPEN_TREE_CLONE) | recursive
        let tree = OwnedDescriptor(
            taking: try check(mlr_open_tree(AT_FDCWD, bind.source, flags), "open", path: bind.source))
        isDirectory = try File.status(of: tree.rawValue).mode & UInt32(S_IFMT) == UInt32(S_IFDIR)
        if let mapping = bind.idMapping {
            let namespace = try UserNamespace.make(uid: mapping.uid, gid: mapping.gid)
            let deep = mapping.isRecursive ? UInt32(MLR_AT_RECURSIVE) : 0
            try Self.set(
                tree.rawValue, deep, set: UInt64(MLR_MOUNT_ATTR_IDMAP), userNamespace: namespace.rawValue,
                "map the owners of", bind.source)
        }
        if !bind.attributes.isEmpty {
            try Self.set(
                tree.rawValue, 0, set: bind.attributes.set, clear: bind.attributes.clear, "set the attributes of",
                bind.source)
        }
        if !bind.recursiveAttributes.isEmpty {
            try Self.set(
                tree.rawValue, UInt32(MLR_AT_RECURSIVE), set: bind.recursiveAttributes.set,
                clear: bind.recursiveAttributes.clear, "set the attributes of", bind.source)
        }
        // The clone is a peer of the host's mount: what is mounted there would come in, and go out, unasked.
        let propagation = bind.propagation ?? .rprivate
        try Self.set(
            tree.rawValue, propagation.isRecursive ? UInt32(MLR_AT_RECURSIVE) : 0, propagation: propagation.bit,
            "set the propagation of", bind.source)
        mount = SharedDescriptor(tree)
    }

    private static func set(
        _ tree: Int32, _ flags: UInt32, set: UInt64 = 0, clear: UInt64 = 0, propagation: UInt64 = 0,
        userNamespace: Int32 = -1, _ operation: String, _ path: String
    ) throws(SystemError) {
        let all = flags | UInt32(MLR_AT_EMPTY_PATH)
        try check(mlr_mount_setattr(tree, "", all, set, clear, propagation, userNamespace), operation, path: path)
    }
}
