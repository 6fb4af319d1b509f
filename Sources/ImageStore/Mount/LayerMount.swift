internal import CLinux
internal import Glibc
public import LinuxSystem
internal import OCISpec
internal import Synchronization

/// A layer's EROFS image, mounted once for everybody. The mount stays when this value goes; it cannot be unmounted
/// before.
public struct LayerMount: Sendable {
    /// Which layer.
    public let layer: LayerRecord
    /// Where it is attached: below ``MLRunDirectories/layerMounts``.
    public let path: String
    /// O_PATH descriptor of its root directory.
    public let directory: SharedDescriptor
}

extension ImageStore {
    /// EROFS_SUPER_MAGIC_V1.
    private static let erofsMagic: Int64 = 0xE0F5_E1E2

    /// Mounts every layer of an image that is not mounted yet, and returns all of them, lowest first.
    ///
    /// Needs CAP_SYS_ADMIN. File-backed with `directio` where the kernel has it (6.12 on): otherwise the file and the
    /// mounted file system would both cache the data. Through a loop device before.
    public func mountLayers(of image: ImageRecord) throws(StoreError) -> [LayerMount] {
        try mountLayers(of: image, support: MountSupport())
    }

    func mountLayers(of image: ImageRecord, support: MountSupport) throws(StoreError) -> [LayerMount] {
        if let mounts = try mountedLayers(of: image) { return mounts }
        // One lock for all: whoever deletes a layer holds it too, so what is found in the store stays until it is
        // mounted.
        return try whileMountsStandStill { () throws(StoreError) in
            do throws(SystemError) { try makePrivateMountDirectory() } catch { throw .system(error) }
            let mounts = mountTogether(image, support)
            var result: [LayerMount] = []
            for layer in image.layers { result.append(try mounts[layer.digest]!.get()) }
            return result
        }
    }

    /// Each mount waits for the disk to give the head of its file: some wait at once.
    private func mountTogether(
        _ image: ImageRecord, _ support: MountSupport
    ) -> [Digest: Result<LayerMount, StoreError>] {
        var seen: Set<Digest> = []
        let layers = image.layers.filter { seen.insert($0.digest).inserted }
        let mounts = Mutex<[Digest: Result<LayerMount, StoreError>]>([:])
        JoinedThread.workOff(layers, threads: 4) { layer in
            let mount: Result<LayerMount, StoreError>
            do throws(StoreError) { mount = .success(try findOrMount(layer, image, support)) } catch {
                mount = .failure(error)
            }
            mounts.withLock { $0[layer.digest] = mount }
        }
        return mounts.withLock { $0 }
    }

    private func findOrMount(
        _ layer: LayerRecord, _ image: ImageRecord, _ support: MountSupport
    ) throws(StoreError) -> LayerMount {
        let path = mountPoint(layer.digest)
        do throws(SystemError) {
            if let directory = try mountedLayer(path) {
                return LayerMount(layer: layer, path: path, directory: directory)
            }
        } catch {
            throw .system(error)
        }
        let stored = try intactLayer(layer.digest, of: image)
        do throws(SystemError) { return try mountLayer(layer, support) } catch {
            try refuseDamaged(stored, of: image)
            throw .image(.cannotMountLayer(layer.digest, error))
        }
    }

    /// All layers of an image, lowest first; nil unless every one is mounted. Held open, none can be unmounted.
    private func mountedLayers(of image: ImageRecord) throws(StoreError) -> [LayerMount]? {
        var mounts: [LayerMount] = []
        do throws(SystemError) {
            for layer in image.layers {
                let path = mountPoint(layer.digest)
                guard let directory = try mountedLayer(path) else { return nil }
                mounts.append(LayerMount(layer: layer, path: path, directory: directory))
            }
        } catch {
            throw .system(error)
        }
        return mounts
    }

    private func mountPoint(_ digest: Digest) -> String { "\(directories.layerMounts)/\(digest.hex)" }

    /// Runs `body` while nobody else mounts or unmounts layers.
    func whileMountsStandStill<Result>(_ body: () throws(StoreError) -> Result) throws(StoreError) -> Result {
        let lock: FileLock
        do throws(SystemError) { lock = try FileLock("\(directories.locks)/mounts", exclusive: true) } catch {
            throw .system(error)
        }
        let result = try body()
        withExtendedLifetime(lock) {}
        return result
    }

    /// The root of a layer's mount; nil when nothing is mounted there.
    private func mountedLayer(_ path: String) throws(SystemError) -> SharedDescriptor? {
        do throws(SystemError) {
            let directory = try File.open(path, MLR_O_PATH | O_DIRECTORY | O_NOFOLLOW)
            guard mlr_fstatfs_type(directory.rawValue) == Self.erofsMagic else { return nil }
            return SharedDescriptor(directory)
        } catch {
            if error.errno == .noSuchFile { return nil }
            throw error
        }
    }

    private func mountLayer(_ layer: LayerRecord, _ support: MountSupport) throws(SystemError) -> LayerMount {
        let path = mountPoint(layer.digest)
        if mkdir(path, 0o700) < 0, errno != EEXIST {
            throw SystemError("create the directory", path: path, Errno(rawValue: errno))
        }
        let mount = try erofsMount(of: layerFile(layer.digest), support)
        try check(
            mlr_move_mount(mount.rawValue, "", AT_FDCWD, path, UInt32(MLR_MOVE_MOUNT_F_EMPTY_PATH)),
            "attach the layer at", path: path)
        guard let directory = try mountedLayer(path) else {
            throw SystemError("find the layer mounted at", path: path, .noSuchDevice)
        }
        return LayerMount(layer: layer, path: path, directory: directory)
    }

    /// Makes the directory of the layer mounts a mount of its own that propagates nothing: otherwise every mount
    /// namespace on the machine would receive each layer and keep its file from being freed.
    private func makePrivateMountDirectory() throws(SystemError) {
        let path = directories.layerMounts
        try File.makeDirectories(path, mode: 0o700)
        let inner = try File.status(path, followingLinks: false)
        let outer = try File.status(File.parent(of: path))
        if inner.mount_id != outer.mount_id { return }
        try check(mlr_mount(path, path, nil, UInt(MLR_MS_BIND), nil), "mount on itself", path: path)
        try check(mlr_mount(nil, path, nil, UInt(MLR_MS_PRIVATE), nil), "make the mount private", path: path)
    }

    private func erofsMount(of file: String, _ support: MountSupport) throws(SystemError) -> OwnedDescriptor {
        if support.fileBacked {
            // Direct reads need a file system below that can do them, and mounting files at all a kernel that can.
            for direct in [true, false] {
                do throws(SystemError) { return try erofsMount(source: file, direct: direct) } catch {
                    switch error.errno {
                    case .invalidArgument, .notSupported: continue
                    case Errno(rawValue: ENOTBLK): break
                    default: throw error
                    }
                }
                break
            }
        }
        let backing = try File.open(file, O_RDONLY)
        var name = [CChar](repeating: 0, count: 64)
        let device = OwnedDescriptor(
            taking: try check(
                mlr_loop_attach(backing.rawValue, true, &name, name.count), "attach a loop device to", path: file))
        // The device goes by itself with its last user: the mount, when there is one.
        let mount = try erofsMount(
            source: String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self),
            direct: false)
        withExtendedLifetime(device) {}
        return mount
    }

    private func erofsMount(source: String, direct: Bool) throws(SystemError) -> OwnedDescriptor {
        let context = try FileSystemContext("erofs")
        // A path too long for an option is reached through its descriptor.
        let opened = source.utf8.count > 255 ? try File.open(source, MLR_O_PATH) : nil
        switch opened {
        case .some(let opened): try context.set("source", "/proc/self/fd/\(opened.rawValue)")
        case .none: try context.set("source", source)
        }
        try context.set("ro")
        if direct { try context.set("directio") }
        return try context.mount(MLR_MOUNT_ATTR_RDONLY | MLR_MOUNT_ATTR_NODEV)
    }

    /// Takes a layer's mount out of the way, under the lock of the mounts: who uses it keeps it, who comes later mounts
    /// anew.
    func detachLayer(_ digest: Digest) throws(SystemError) {
        let path = mountPoint(digest)
        if try mountedLayer(path) == nil { return }
        try check(mlr_umount(path, Int32(MLR_MNT_DETACH) | 8 /* UMOUNT_NOFOLLOW */), "unmount", path: path)
    }

    /// Unmounts a layer, under the lock of the mounts; false when somebody uses the mount.
    func unmountLayer(_ digest: Digest) throws(SystemError) -> Bool {
        let path = mountPoint(digest)
        if try mountedLayer(path) == nil { return true }
        let result = mlr_umount(path, 8 /* UMOUNT_NOFOLLOW */)
        if result == -EBUSY { return false }
        try check(result, "unmount", path: path)
        if rmdir(path) < 0, errno != ENOENT {
            throw SystemError("remove the directory", path: path, Errno(rawValue: errno))
        }
        return true
    }
}
