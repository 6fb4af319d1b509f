import OCISpec

@testable import Container

extension FuzzTarget {
    static let container = [accounts, plan] + cgroups

    /// A user as the image or a flag names it, etc/passwd and etc/group, with zero bytes between.
    private static let accounts = FuzzTarget(name: "accounts") { bytes throws(FuzzFinding) in
        let parts = bytes.parts(3)
        guard let user = try? UserLookup.resolve(parts[0], passwd: parts[1], groups: parts[2]) else { return }
        try promise(user.uid != .max && user.gid != .max, "\(parts[0]) has the id that means \"unchanged\"")
        try promise(user.additionalGIDs.first == user.gid, "\(parts[0]) loses its primary group")
        try promise(!user.additionalGIDs.contains(.max), "\(parts[0]) has a group that means \"unchanged\"")
        try promise(user.home.hasPrefix("/"), "\(parts[0]) has the home \(user.home)")
    }

    private static let host = HostFacts(
        kernelRelease: "6.12.0", lastCapability: 40, capabilities: .all,
        cgroups: HostCgroups(layout: .unified, unifiedMount: "/sys/fs/cgroup", ownGroup: "/"), controllers: [],
        seccompActions: ["allow"], securityModules: ["apparmor", "selinux"], userNamespaces: true, fileSystems: [])

    /// config.json of a bundle up to the steps that are made of it.
    private static let plan = FuzzTarget(name: "launch-plan") { bytes throws(FuzzFinding) in
        guard let json = try? JSON(parsing: bytes), let spec = try? RuntimeSpec(JSONCursor(json)),
            let plan = try? LaunchPlanner.plan(spec, host: host, options: .init(bundle: "/bundle", isGated: true))
        else { return }
        if case .execute? = plan.steps.last {
        } else {
            throw FuzzFinding(description: "the plan does not end with its program")
        }
        let again = try? LaunchPlanner.plan(spec, host: host, options: .init(bundle: "/bundle", isGated: true))
        try promise(again == plan, "is planned differently the second time")
        try promise((try? JSON(parsing: plan.json.bytes())) == plan.json, "the plan cannot be read")
    }
}
