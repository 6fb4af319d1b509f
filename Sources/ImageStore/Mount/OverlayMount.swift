internal import CLinux
internal import Glibc
internal import LinuxSystem

/// One overlayfs mount in the making. Every directory is passed by descriptor or through `/proc/self/fd`, so that
/// neither length nor colons of a path matter, and nothing is resolved twice.
struct OverlayMount {
    struct Upper {
        let directory: SharedDescriptor
        let work: SharedDescriptor
    }

    /// Uppermost first.
    var lowers: [SharedDescriptor]
    var lowersAreDetached = false
    var upper: Upper?
    var isReadOnly = false
    var isVolatile = false
    /// Where mount points for a moment can be made.
    let temporaries: String
    let support: MountSupport

    init(lowers: [SharedDescriptor], temporaries: String, support: MountSupport) {
        self.lowers = lowers
        self.temporaries = temporaries
        self.support = support
    }

    /// A detached mount, by the best interface this kernel has.
    func mount() throws(SystemError) -> OwnedDescriptor {
        if support.detachedLowers || !lowersAreDetached {
            do throws(SystemError) { return try mountStack(lowers) } catch {
                // Kernels before 6.15 take attached mounts only.
                guard lowersAreDetached, error.errno == .invalidArgument else { throw error }
            }
        }
        return try withAttached(lowers) { attached throws(SystemError) in try mountStack(attached) }
    }

    private func mountStack(_ lowers: [SharedDescriptor]) throws(SystemError) -> OwnedDescriptor {
        if support.lowerByDescriptor {
            do throws(SystemError) { return try configured(lowers, byDescriptor: true) } catch {
                // Kernels before 6.5 configure overlayfs through an older interface, which takes no descriptors at all.
                let refusals: Set<Errno> = [.invalidArgument, .badDescriptor, .notSupported]
                guard refusals.contains(error.errno) else { throw error }
            }
        }
        if support.lowerByPath {
            do throws(SystemError) { return try configured(lowers, byDescriptor: false) } catch {
                guard error.errno == .invalidArgument else { throw error }
            }
        }
        let list = lowers.map(name).joined(separator: ":")
        if list.utf8.count <= support.longestOption {
            let context = try FileSystemContext("overlay")
            try context.set("source", "mlrun")
            try context.set("lowerdir", list)
            return try finish(context)
        }
        return try mountByPage(list)
    }

    private func configured(_ lowers: [SharedDescriptor], byDescriptor: Bool) throws(SystemError) -> OwnedDescriptor {
        let context = try FileSystemContext("overlay")
        try context.set("source", "mlrun")
        for lower in lowers {
            if byDescriptor {
                try context.set("lowerdir+", descriptor: lower.rawValue)
            } else {
                try context.set("lowerdir+", name(lower))
            }
        }
        return try finish(context)
    }

    private func finish(_ context: borrowing FileSystemContext) throws(SystemError) -> OwnedDescriptor {
        if let upper {
            try context.set("upperdir", name(upper.directory))
            try context.set("workdir", name(upper.work))
            if isVolatile { try context.set("volatile") }
        }
        return try context.mount(isReadOnly ? MLR_MOUNT_ATTR_RDONLY : 0)
    }

    /// mount(2) at a directory for a moment, since its options may be a page long.
    private func mountByPage(_ list: String) throws(SystemError) -> OwnedDescriptor {
        var options = "lowerdir=\(list)"
        if let upper {
            options += ",upperdir=\(name(upper.directory)),workdir=\(name(upper.work))"
            if isVolatile { options += ",volatile" }
        }
        if options.utf8.count > 4095 { throw SystemError("pass all layers to overlayfs", .messageTooLong) }
        let place = try TemporaryMountPoint(in: temporaries)
        try check(
            mlr_mount("mlrun", place.path, "overlay", isReadOnly ? UInt(MLR_MS_RDONLY) : 0, options),
            "mount overlay on", path: place.path)
        return OwnedDescriptor(
            taking: try check(
                mlr_open_tree(AT_FDCWD, place.path, UInt32(MLR_OPEN_TREE_CLONE)), "copy the mount", path: place.path))
    }

    /// Runs `body` while detached mounts are attached somewhere; overlayfs keeps copies of its own.
    private func withAttached(
        _ mounts: [SharedDescriptor], _ body: ([SharedDescriptor]) throws(SystemError) -> OwnedDescriptor
    ) throws(SystemError) -> OwnedDescriptor {
        var places: [TemporaryMountPoint] = []
        var attached: [SharedDescriptor] = []
        for mount in mounts {
            let place = try TemporaryMountPoint(in: temporaries)
            let moved = mlr_move_mount(
                mount.rawValue, "", AT_FDCWD, place.path, UInt32(MLR_MOVE_MOUNT_F_EMPTY_PATH))
            // A directory that was never a mount is passed as it is.
            if moved < 0, moved != -EINVAL { try check(moved, "attach a mount at", path: place.path) }
            places.append(place)
            attached.append(
                moved < 0 ? mount : SharedDescriptor(try File.open(place.path, MLR_O_PATH | O_DIRECTORY)))
        }
        let result = try body(attached)
        withExtendedLifetime(places) {}
        return result
    }

    private func name(_ directory: SharedDescriptor) -> String { "/proc/self/fd/\(directory.rawValue)" }
}

/// A directory to mount on for a moment: what is mounted there is detached, and the directory removed, with the last
/// reference.
private final class TemporaryMountPoint {
    let path: String

    init(in directory: String) throws(SystemError) {
        path = "\(directory)/mount.\(File.randomName())"
        try File.makeDirectories(path, mode: 0o700)
    }

    deinit {
        _ = mlr_umount(path, Int32(MLR_MNT_DETACH))
        _ = rmdir(path)
    }
}
