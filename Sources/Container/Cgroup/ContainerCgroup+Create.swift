internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import OCISpec

extension ContainerCgroup {
    /// Whether the environment allows version 1 hierarchies on hosts that have cgroup2 beside them. There they belong to
    /// whoever mounted them, so that nothing is made in them unasked.
    public static var wantsLegacyOnHybrid: Bool { getenv("MLRUN_CGROUP_V1").map { String(cString: $0) } == "1" }

    /// Makes the groups of a container and puts its limits and device rules in force, before any process is in them.
    /// On failure nothing is left of it.
    /// - Returns: the groups, and what the specification lets one go on without.
    public static func create(
        _ request: Request, on host: HostCgroups
    ) throws(CgroupError) -> (group: ContainerCgroup, warnings: [String]) {
        do throws(CgroupError) {
            switch request.manager {
            case .disabled:
                if let field = firstLimit(request.resources, countsDevices: false) {
                    throw CgroupError(
                        .limit(field: field, controller: "none"),
                        "cannot set \(field): --cgroup-manager=disabled makes no cgroup",
                        remedy: "leave \(field) out, or choose --cgroup-manager=cgroupfs")
                }
                return (.none, droppedRules(request))
            case .systemd: return try SystemdManager.create(request, on: host)
            case .cgroupfs: return try createDirectories(request, on: host)
            }
        } catch {
            throw error.about(request.fieldPrefix)
        }
    }

    /// The group that ``create(_:on:)`` would make as directories of cgroup v2; none for what others make and keep track of.
    static func planned(_ request: Request, on host: HostCgroups) throws(CgroupError) -> ContainerCgroup {
        guard request.manager == .cgroupfs, let mount = host.unifiedMount else { return .none }
        let components = try CgroupPath.components(request, own: host.ownGroup, isPrivileged: geteuid() == 0)
        var path = mount
        var missing: [String] = []
        for component in components {
            path += "/" + component
            if !File.exists(path) { missing.insert(path, at: 0) }
        }
        // One that is there belongs to somebody, until it turns out to be free to use.
        guard missing.first == path else { return .none }
        return ContainerCgroup(
            unified: Cgroup(path: path), path: "/" + components.joined(separator: "/"), made: Array(missing.dropFirst())
        )
    }

    private static func createDirectories(
        _ request: Request, on host: HostCgroups
    ) throws(CgroupError) -> (group: ContainerCgroup, warnings: [String]) {
        let usesLegacy = host.layout == .legacy || (host.layout == .hybrid && request.usesLegacyOnHybrid)
        do throws(CgroupError) {
            if host.layout == .none {
                throw CgroupError(
                    .unavailable, "no cgroup file system is mounted on this host",
                    remedy: "mount one: mount -t cgroup2 cgroup2 /sys/fs/cgroup")
            }
            return usesLegacy ? try LegacyCgroups.create(request, on: host) : try createUnified(request, on: host)
        } catch {
            // Root could have the group that is asked for; others are not to be kept from running where they are.
            if host.layout == .none, let path = request.cgroupsPath, !path.isEmpty, SystemdManager.isRootOfHost {
                throw CgroupError(
                    .unavailable, "linux.cgroupsPath: there can be no cgroup \"\(path)\": \(error.cause)",
                    remedy: "mount one: mount -t cgroup2 cgroup2 /sys/fs/cgroup, or go on without: "
                        + "--cgroup-manager=disabled")
            }
            // A caller without a delegated subtree, such as a rootless one, has nothing to make groups in. What needs
            // none can run all the same.
            guard error.meansNoPlaceForGroups else { throw error }
            guard let field = firstLimit(request.resources, countsDevices: !request.inUserNamespace) else {
                return (.none, ["the container has no cgroup: \(error.cause)"])
            }
            throw CgroupError(
                .limit(field: field, controller: "none"), "cannot set \(field): \(error.cause)",
                remedy: error.remedy ?? "run as root, or in a delegated group: systemd-run -p Delegate=yes")
        }
    }

    private static func createUnified(
        _ request: Request, on host: HostCgroups
    ) throws(CgroupError) -> (group: ContainerCgroup, warnings: [String]) {
        let hierarchy = try CgroupHierarchy(host)
        let components = try CgroupPath.components(request, own: host.ownGroup, isPrivileged: geteuid() == 0)
        let made = try hierarchy.make(
            components, wanted: CgroupLimits.controllers(of: request.resources), reusesEmpty: true)
        let group = ContainerCgroup(
            unified: made.cgroup, path: "/" + components.joined(separator: "/"),
            made: made.directories.filter { $0 != made.cgroup.path },
            found: request.found([made.cgroup.path], made: made.directories))
        do throws(CgroupError) {
            let warnings = try group.applyUnified(request.resources, on: host)
            try group.filterDevices(request, isNew: made.directories.contains(made.cgroup.path))
            return (group, try warnings + group.delegate(request))
        } catch {
            for directory in made.directories { _ = rmdir(directory) }
            group.leaveFound()
            throw error
        }
    }

    /// The first limit that is asked for, by its place below `linux.resources`; nil if none is.
    static func firstLimit(_ resources: RuntimeSpec.Resources, countsDevices: Bool) -> String? {
        if let unsupported = CgroupLimits.unsupported(resources).first { return unsupported.field }
        if let settings = try? CgroupLimits.settings(for: resources, current: { _ in nil }),
            let first = settings.first(where: { !$0.optional && !$0.holdsWithoutFile })
        {
            return first.field
        }
        return countsDevices && !resources.devices.isEmpty ? "devices" : nil
    }

    func applyUnified(_ resources: RuntimeSpec.Resources, on host: HostCgroups) throws(CgroupError) -> [String] {
        guard let unified else { return [] }
        return CgroupLimits.ignored(resources)
            + (try unified.apply(resources, in: try CgroupHierarchy(host), policy: .mandatory))
    }

    /// What is lost without a group although it was asked for. Where no node can be made there is little that it would deny.
    private static func droppedRules(_ request: Request) -> [String] {
        guard !request.inUserNamespace, request.resources.devices.contains(where: { !$0.allow }) else { return [] }
        return [
            "\(request.fieldPrefix)devices denies devices in vain: --cgroup-manager=disabled makes no cgroup, and without one "
                + "the container can use every device that it has or makes a node of"
        ]
    }

    /// Puts the device rules of a new container in force.
    func filterDevices(_ request: Request, isNew: Bool = false) throws(CgroupError) {
        if !request.hasStandardDevices {
            return try filterDevices(
                request.deviceRules, inUserNamespace: request.inUserNamespace, isNew: isNew)
        }
        // Nobody asked for these: a host that cannot put them in force starts the container all the same.
        if let unified {
            try DeviceFilter.apply(
                DeviceRules.complete(request.deviceRules), to: unified, isNew: isNew, withoutPermission: .skip)
        } else if let devices = legacy["devices"] {
            try LegacyDevices.apply(DeviceRules.complete(request.deviceRules), to: devices, withoutPermission: .skip)
        }
    }

    /// Puts device rules in force, followed by those for the devices that every container has. No rules at all leave the
    /// devices as they are.
    func filterDevices(
        _ rules: [RuntimeSpec.Resources.DeviceRule], inUserNamespace: Bool, isNew: Bool = false
    ) throws(CgroupError) {
        if rules.isEmpty { return }
        if let unified {
            // In a user namespace no node can be made, so that only those that were bound in are there to be used.
            try DeviceFilter.apply(
                DeviceRules.complete(rules), to: unified, isNew: isNew,
                withoutPermission: inUserNamespace ? .skip : .refuse)
        } else if let devices = legacy["devices"] {
            try LegacyDevices.apply(DeviceRules.complete(rules), to: devices)
        } else if !inUserNamespace {
            throw CgroupError(
                .limit(field: "devices", controller: "devices"),
                "cannot set devices: this host has neither cgroup v2 nor the devices controller of cgroup v1",
                remedy: "mount one: mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified")
        }
    }
}

extension ContainerCgroup.Request {
    /// Which of the container's groups somebody else made. One without a path in the configuration is where nobody else
    /// makes any, and left over.
    func found(_ groups: [String], made: [String]) -> [String] {
        cgroupsPath?.isEmpty == false ? groups.filter { !made.contains($0) } : []
    }

    /// Without rules a container that can make device nodes could reach every disk. Inside of a user namespace it cannot.
    var hasStandardDevices: Bool { resources.devices.isEmpty && !inUserNamespace }

    /// The rules to put in force, before those for the devices that every container has.
    var deviceRules: [RuntimeSpec.Resources.DeviceRule] {
        hasStandardDevices ? DeviceRules.only(devices) : resources.devices
    }
}

extension CgroupError {
    /// The same error with the field's place in the whole document.
    func about(_ prefix: String) -> CgroupError {
        switch kind {
        case .limit(let field, let controller) where !field.hasPrefix(prefix):
            CgroupError(
                .limit(field: prefix + field, controller: controller), "\(prefix)\(field): \(cause)", remedy: remedy)
        case .value(let field) where !field.hasPrefix(prefix):
            CgroupError(.value(field: prefix + field), "\(prefix)\(field): \(cause)", remedy: remedy)
        default: self
        }
    }

    /// Nothing is wrong with what was asked: there is just no hierarchy that this process may make groups in.
    var meansNoPlaceForGroups: Bool {
        switch kind {
        case .unavailable: true
        case .system(let error): [.accessDenied, .notPermitted, .readOnlyFileSystem].contains(error.errno)
        default: false
        }
    }
}
