internal import CLaunch
internal import CLinux
internal import Glibc
internal import LinuxSystem

extension PlayerProgram {
    func encode(_ mount: FileSystemMount) throws(SystemError) -> mlr_step {
        let namespace = try mount.idMapping.map { mapping throws(SystemError) in keep(try mapping.opened()) }
        return make(MLR_STEP_MOUNT) {
            $0.path = arena.string(mount.target)
            $0.text = arena.string(mount.type)
            $0.source = mount.source.map(arena.string)
            $0.list = options(mount.options)
            $0.a = mount.attributes.set
            $0.b = mount.propagation.first?.flags ?? 0
            $0.c = mount.propagation.dropFirst().first?.flags ?? 0
            $0.descriptor = namespace ?? -1
            $0.flags =
                flag(mount.isStrict, MLR_TARGET_IS_STRICT) | flag(mount.takesMode, MLR_MOUNT_TAKES_MODE)
                | flag(mount.copiesUp, MLR_MOUNT_COPIES_UP) | flag(!mount.followsTarget, MLR_TARGET_IS_LINK)
                | flag(mount.countsVersions, MLR_MOUNT_IS_OLD)
            if mount.countsVersions {
                $0.d = mount.attributes.oldFlags | 1 << 23
                $0.data = UnsafeRawPointer(arena.string(mount.options.map(\.text).joined(separator: ",")))
            }
            if mount.isFinishedLater {
                let slot = arena.copy([Int32(-1)])
                slots[mount.target] = slot
                $0.slot = slot
            }
        }
    }

    func encode(_ remount: Remount) -> mlr_step {
        make(MLR_STEP_REMOUNT) {
            $0.path = arena.string(remount.target)
            $0.list = options(remount.options)
            $0.a = remount.attributes.set
            $0.b = remount.attributes.clear
            $0.c = remount.propagation.first?.flags ?? 0
            $0.d = remount.propagation.dropFirst().first?.flags ?? 0
            $0.flags = flag(!remount.followsTarget, MLR_TARGET_IS_LINK)
        }
    }

    func encode(_ bind: BindMount) throws(SystemError) -> mlr_step {
        if bind.copiesLink, let target = try? File.readLink(bind.source) {
            return make(MLR_STEP_LINK) {
                $0.path = arena.string(bind.target)
                $0.text = arena.string(target)
            }
        }
        let source = try BindSource(bind, locks: try lockedMounts(), in: arena)
        return make(MLR_STEP_BIND) {
            $0.path = arena.string(bind.target)
            $0.flags =
                flag(!bind.followsTarget, MLR_TARGET_IS_LINK) | flag(bind.isStrict, MLR_TARGET_IS_STRICT)
            use(source, in: &$0)
        }
    }

    func openRoot(_ step: inout mlr_step) throws(SystemError) {
        switch request.root {
        case .mount(let mount): step.descriptor = keep(mount)
        case .path(let path):
            let propagation = request.plan.steps.lazy.compactMap { step in
                if case .rootPropagation(let propagation) = step { propagation } else { nil }
            }.first
            let locks = try lockedMounts()
            use(try BindSource(root: path, propagation: propagation, locks: locks, in: arena), in: &step)
        case nil: throw SystemError("open the root file system", .invalidArgument)
        }
    }

    private func use(_ source: BindSource, in step: inout mlr_step) {
        if let mount = source.mount { step.descriptor = keep(mount) }
        if let namespace = source.namespace { _ = keep(namespace) }
        step.data = UnsafeRawPointer(source.layout)
    }

    /// A value starts with "=", so that an empty one is not taken for a flag.
    private func options(_ options: [FileSystemMount.Option]) -> UnsafePointer<UnsafePointer<CChar>?> {
        arena.strings(options.flatMap { [$0.name, $0.value.map { "=\($0)" } ?? ""] })
    }

    private func flag<Flag: RawRepresentable<UInt32>>(_ isSet: Bool, _ flag: Flag) -> UInt32 {
        isSet ? flag.rawValue : 0
    }
    private func flag(_ isSet: Bool, _ flag: Int) -> UInt32 { isSet ? UInt32(flag) : 0 }
}
