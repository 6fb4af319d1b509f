internal import CLinux
internal import Glibc
public import LinuxSystem
internal import OCISpec

extension ImageStore {
    /// The most layers overlayfs stacks.
    static let mostLayers = 500

    /// Mounts an image's root file system: its layers stacked by overlayfs, below a writable directory unless it is
    /// read-only.
    ///
    /// - Parameters:
    ///   - scratch: A directory for what is written: `upper/` and `work/` are made in it, and `upper/` found there is
    ///   used
    ///     again. Nil, like `readOnly`, for a root that cannot be written.
    ///   - idMapping: The layers are seen through this user namespace. What is written lands on disk as the mapped ids.
    ///   - volatile: Nothing is flushed at unmount: for what is thrown away after a crash of the machine.
    /// - Returns: A detached mount; it lives as long as the descriptor or a place it is attached to.
    public func mountRoot(
        of image: ImageRecord, scratch: String?, idMapping: OwnerMapping?, readOnly: Bool, volatile: Bool
    ) throws(StoreError) -> OwnedDescriptor {
        try mountRoot(
            of: image, scratch: scratch, idMapping: idMapping, readOnly: readOnly, volatile: volatile,
            support: MountSupport())
    }

    func mountRoot(
        of image: ImageRecord, scratch: String?, idMapping: OwnerMapping?, readOnly: Bool, volatile: Bool,
        support: MountSupport
    ) throws(StoreError) -> OwnedDescriptor {
        let distinct = Set(image.layers.map(\.digest)).count
        if distinct > Self.mostLayers { throw .image(.tooManyLayers(image: image.reference, count: distinct)) }
        let layers = try mountLayers(of: image, support: support)
        // Overlayfs refuses a layer that appears twice, and the upper occurrence hides all of the lower.
        var seen: Set<Digest> = []
        let stack = layers.reversed().filter { seen.insert($0.layer.digest).inserted }
        guard let top = stack.first else { throw .image(.noLayers(image: image.reference)) }
        do throws(SystemError) {
            var lowers: [SharedDescriptor] = []
            for mount in stack {
                lowers.append(
                    try idMapping.map { mapping throws(SystemError) in try mapped(mount, mapping) } ?? mount.directory)
            }
            var overlay = OverlayMount(lowers: lowers, temporaries: directories.state, support: support)
            overlay.lowersAreDetached = idMapping != nil
            overlay.isReadOnly = readOnly || scratch == nil
            if let scratch, !readOnly {
                overlay.upper = try makeUpper(in: scratch, like: top.directory, idMapping)
                overlay.isVolatile = volatile
            } else if lowers.count == 1 {
                // Overlayfs wants two layers where nothing is written. A bare mount of the one would show its
                // whiteouts.
                overlay.lowers.append(try emptyDirectory())
            }
            return try overlay.mount()
        } catch {
            throw .image(.cannotMountRoot(image: image.reference, error))
        }
    }

    /// A detached copy of a layer's mount, seen through a user namespace.
    private func mapped(_ mount: LayerMount, _ mapping: OwnerMapping) throws(SystemError) -> SharedDescriptor {
        let copy = try check(
            mlr_open_tree(
                mount.directory.rawValue, "", UInt32(MLR_OPEN_TREE_CLONE | MLR_AT_EMPTY_PATH)),
            "copy the mount", path: mount.path)
        let shared = SharedDescriptor(taking: copy)
        try check(
            mlr_mount_setattr(
                copy, "", UInt32(MLR_AT_EMPTY_PATH), UInt64(MLR_MOUNT_ATTR_IDMAP), 0, 0,
                mapping.userNamespace.rawValue),
            "map the ids of the mount", path: mount.path)
        return shared
    }

    /// `upper/` with the owner and mode the root directory of the container is to have, and an empty `work/`.
    private func makeUpper(
        in scratch: String, like top: SharedDescriptor, _ mapping: OwnerMapping?
    ) throws(SystemError) -> OverlayMount.Upper {
        let upper = "\(scratch)/upper"
        let work = "\(scratch)/work"
        try File.makeDirectories(scratch, mode: 0o700)
        // Overlayfs empties it anyway, and one that was used with `volatile` must not be there when it is used again.
        try File.removeTree(work)
        try File.makeDirectories(work, mode: 0o700)
        if !File.exists(upper) {
            let root = try File.status(of: top.rawValue)
            // A name of its own first: an upper that exists has its owner.
            let fresh = "\(upper).new"
            try File.removeTree(fresh)
            try File.makeDirectories(fresh, mode: 0o700)
            if chown(fresh, mapping?.rootUID ?? root.uid, mapping?.rootGID ?? root.gid) < 0 {
                throw SystemError("change the owner of", path: fresh, Errno(rawValue: errno))
            }
            if chmod(fresh, root.mode & 0o7777) < 0 {
                throw SystemError("change the mode of", path: fresh, Errno(rawValue: errno))
            }
            try File.rename(fresh, to: upper)
        }
        return OverlayMount.Upper(
            directory: SharedDescriptor(try File.open(upper, MLR_O_PATH | O_DIRECTORY | O_NOFOLLOW)),
            work: SharedDescriptor(try File.open(work, MLR_O_PATH | O_DIRECTORY | O_NOFOLLOW)))
    }

    private func emptyDirectory() throws(SystemError) -> SharedDescriptor {
        let path = "\(directories.state)/empty"
        try File.makeDirectories(path)
        return SharedDescriptor(try File.open(path, MLR_O_PATH | O_DIRECTORY | O_NOFOLLOW))
    }
}
