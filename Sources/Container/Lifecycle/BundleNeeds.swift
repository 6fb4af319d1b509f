internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import OCISpec

/// What one configuration needs of a host.
struct BundleNeeds {
    let spec: RuntimeSpec
    let bundle: String
    let host: HostFacts
    let cgroups: ContainerDirectory.CgroupManager

    typealias Item = Preflight.Item

    func items() -> [Item] { planned() + files() + programs() + limits() + resources() + namespaces() }

    /// What the planner says: the same words that `create` would fail with.
    private func planned() -> [Item] {
        do throws(PlanError) {
            let plan = try LaunchPlanner.plan(spec, host: host, options: .init(bundle: bundle))
            return [Item("config.json", .present)] + plan.warnings.map { Item("config.json", .limited, $0) }
        } catch {
            return error.problems.map { Item($0.path.isEmpty ? "config.json" : $0.path, .missing, $0.message) }
        }
    }

    private func absolute(_ path: String) -> String { path.hasPrefix("/") ? path : "\(bundle)/\(path)" }

    private func files() -> [Item] {
        var items: [Item] = []
        func look(_ need: String, _ path: String) {
            if access(path, F_OK) < 0 { items.append(Item(need, .missing, "\(path) is not there")) }
        }
        if let root = spec.root { look("root.path", absolute(root.path)) }
        for (index, mount) in spec.mounts.enumerated() {
            let options = MountOptions(mount.options)
            if options.isRemount { continue }
            if options.binds(type: mount.type) {
                if let source = mount.source { look("mounts[\(index)].source", absolute(source)) }
            } else if let type = mount.type, type != "cgroup", type != "cgroup2", !host.fileSystems.contains(type) {
                items.append(
                    Item(
                        "mounts[\(index)].type", .missing, "the file system \(type) is not there; try: modprobe \(type)"
                    ))
            }
        }
        for (index, namespace) in (spec.linux?.namespaces ?? []).enumerated() {
            if let path = namespace.path { look("linux.namespaces[\(index)].path", path) }
        }
        return items
    }

    private func programs() -> [Item] {
        guard let hooks = spec.hooks else { return [] }
        let lists = [
            ("prestart", hooks.prestart), ("createRuntime", hooks.createRuntime),
            ("createContainer", hooks.createContainer), ("poststart", hooks.poststart), ("poststop", hooks.poststop),
        ]
        return lists.flatMap { name, list in
            list.enumerated().compactMap { index, hook in
                access(hook.path, X_OK) == 0
                    ? nil : Item("hooks.\(name)[\(index)].path", .missing, "\(hook.path) cannot be executed")
            }
        }
    }

    /// Raising a limit above this process's own takes CAP_SYS_RESOURCE of the host.
    private func limits() -> [Item] {
        if host.capabilities.contains(.sysResource) { return [] }
        return (spec.process?.rlimits ?? []).enumerated().compactMap { index, limit in
            var present = mlr_limit()
            guard let number = RuntimeSpec.ResourceLimit.numbers[limit.type],
                mlr_prlimit(0, Int32(number), nil, &present) >= 0, limit.hard > present.hard
            else { return nil }
            return Item(
                "process.rlimits[\(index)]", .missing,
                "\(limit.type) of \(limit.hard) is above this process's \(present.hard), which takes CAP_SYS_RESOURCE")
        }
    }

    // MARK: Control groups

    private func resources() -> [Item] {
        guard cgroups != .disabled, let resources = spec.linux?.resources else { return [] }
        let hierarchy: CgroupHierarchy
        let settings: [CgroupSetting]
        do throws(CgroupError) {
            hierarchy = try CgroupHierarchy(host.cgroups)
            settings = try CgroupLimits.settings(for: resources) { _ in nil }
        } catch { return [Item("linux.resources", .missing, error.description)] }
        var items = CgroupLimits.unsupported(resources).map {
            Item("linux.resources.\($0.field)", .missing, $0.reason)
        }
        var seen: Set<String> = []
        for setting in settings where !setting.optional && !setting.holdsWithoutFile {
            if setting.controller == "cgroup" || host.controllers?.contains(setting.controller) == true { continue }
            guard seen.insert(setting.field).inserted else { continue }
            let absence = CgroupAbsence.find(
                controller: setting.controller, file: setting.file, of: Cgroup(path: hierarchy.mountPoint),
                in: hierarchy)
            items.append(Item("linux.resources.\(setting.field)", .missing, absence.error(for: setting).description))
        }
        return items
    }

    private func namespaces() -> [Item] {
        (spec.linux?.namespaces ?? []).enumerated().compactMap { index, namespace in
            File.exists("/proc/self/ns/\(namespace.kind.link)")
                ? nil
                : Item(
                    "linux.namespaces[\(index)]", .missing, "this kernel has no \(namespace.kind.rawValue) namespace")
        }
    }
}
