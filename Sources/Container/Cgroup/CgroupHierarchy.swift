internal import Glibc
internal import LinuxSystem
public import OCISpec

/// The host's cgroup2 hierarchy, in which mlrun keeps its groups. On hybrid hosts it has few controllers or none, but
/// tracks, kills and freezes processes all the same; v1 hierarchies are never touched.
public struct CgroupHierarchy: Sendable, Equatable {
    /// How this host arranges control groups.
    public let host: HostCgroups
    /// Where the hierarchy is mounted.
    public let mountPoint: String

    /// - Throws: ``CgroupError`` of kind `unavailable` where no cgroup2 is mounted.
    public init(_ host: HostCgroups) throws(CgroupError) {
        guard let mount = host.unifiedMount else {
            throw CgroupError(
                .unavailable,
                host.layout == .legacy
                    ? "this host has cgroup v1 only" : "no cgroup file system is mounted on this host",
                remedy: "mount one with: mkdir -p /sys/fs/cgroup/unified && "
                    + "mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified")
        }
        self.host = host
        mountPoint = mount
    }

    /// The hierarchy of this host.
    public static func discover() throws(CgroupError) -> CgroupHierarchy {
        let host: HostCgroups
        do { host = try HostCgroups.discover() } catch { throw CgroupError(error) }
        return try CgroupHierarchy(host)
    }

    /// The controllers that groups below the top of the hierarchy can have (cgroup.controllers).
    public func controllers() throws(CgroupError) -> Set<String> {
        try Cgroup(path: mountPoint).controllers()
    }

    /// The group at a path such as `/mlrun/sentiment/r1`, which need not exist.
    /// - Throws: ``CgroupError`` of kind `path` for one that leads out of the hierarchy or that the kernel cannot name.
    public func group(at path: String) throws(CgroupError) -> Cgroup {
        Cgroup(path: mountPoint + "/" + (try Self.components(path)).joined(separator: "/"))
    }

    /// The group that this process is in.
    public var own: Cgroup? { host.ownGroup.map { Cgroup(path: $0 == "/" ? mountPoint : mountPoint + $0) } }

    /// Creates a group with its missing parents and sets its limits. On failure whatever was created is removed.
    ///
    /// Controllers that the limits need, and those that statistics come from where there are any, are enabled on the way
    /// down. A group that exists already is an error: it would bring limits and processes of its own.
    /// - Returns: the group, and the warnings of ``LimitPolicy/bestEffort``.
    public func create(
        _ path: String, resources: RuntimeSpec.Resources = .init(), policy: LimitPolicy = .strict
    ) throws(CgroupError) -> (cgroup: Cgroup, warnings: [String]) {
        let components = try Self.components(path)
        guard !components.isEmpty else {
            throw CgroupError(.path, "cannot create the top of the cgroup hierarchy", remedy: "name a group below it")
        }
        let made = try make(components, wanted: CgroupLimits.controllers(of: resources), reusesEmpty: false)
        do throws(CgroupError) {
            return (made.cgroup, try made.cgroup.apply(resources, in: self, policy: policy))
        } catch {
            for directory in made.directories { _ = rmdir(directory) }
            throw error
        }
    }

    /// Makes the directories of a group with its missing parents, and enables controllers on the way down.
    /// - Parameter reusesEmpty: whether a group may be there already, provided that no process lives in it.
    /// - Returns: the group, and the directories that were not there before, the lowest first.
    func make(
        _ components: [String], wanted: Set<String>, reusesEmpty: Bool
    ) throws(CgroupError) -> (cgroup: Cgroup, directories: [String]) {
        // Whoever removes the last group of a shared parent may take that away between two steps of this one.
        for _ in 0..<16 {
            if let made = try makeOnce(components, wanted: wanted, reusesEmpty: reusesEmpty) { return made }
        }
        throw Self.creationError(mountPoint + "/" + components.joined(separator: "/"), .noSuchFile)
    }

    private func makeOnce(
        _ components: [String], wanted: Set<String>, reusesEmpty: Bool
    ) throws(CgroupError) -> (cgroup: Cgroup, directories: [String])? {
        var created: [String] = []
        do throws(CgroupError) {
            var parent = Cgroup(path: mountPoint)
            for (index, name) in components.enumerated() {
                parent.enable(controllers: wanted.union(CgroupLimits.forStatistics))
                let child = Cgroup(path: parent.path + "/" + name)
                if mkdir(child.path, 0o755) == 0 {
                    created.insert(child.path, at: 0)
                } else if errno == ENOENT, index > 0 {
                    for path in created { _ = rmdir(path) }
                    return nil
                } else if errno != EEXIST || (index == components.count - 1 && !reusesEmpty) {
                    throw Self.creationError(child.path, Errno(rawValue: errno))
                }
                parent = child
            }
            if created.first != parent.path { try parent.checkReusable() }
            try parent.checkTakesProcesses()
            return (parent, created)
        } catch {
            for path in created { _ = rmdir(path) }
            throw error
        }
    }

    static func creationError(_ path: String, _ errno: Errno) -> CgroupError {
        let error = SystemError("create the cgroup", path: path, errno)
        switch errno {
        case .fileExists:
            return CgroupError(error, remedy: "stop what runs in it and remove it with: rmdir \(path)")
        case .accessDenied, .notPermitted:
            return CgroupError(error, remedy: "run as root, or in a delegated group: systemd-run -p Delegate=yes")
        case .readOnlyFileSystem:
            return CgroupError(error, remedy: "mount the cgroup file system writable: mount -o remount,rw on its mount")
        case .wouldBlock:
            return CgroupError(
                error, remedy: "a parent's cgroup.max.descendants or cgroup.max.depth is reached; raise it")
        default: return CgroupError(error)
        }
    }

    static func components(_ path: String) throws(CgroupError) -> [String] {
        let components = path.split(separator: "/").map(String.init)
        for component in components {
            // The kernel's own files live beside the groups, hence a group may not be called as one.
            let reserved = component.hasPrefix("cgroup.") || component.utf8.contains(where: { $0 < 0x20 })
            if component == "." || component == ".." || reserved || component.utf8.count > 255 {
                throw CgroupError(
                    .path, "\"\(component)\" cannot be part of the cgroup path \(path)",
                    remedy: "use names without \"..\", of at most 255 bytes, that do not begin with \"cgroup.\"")
            }
        }
        return components
    }
}
