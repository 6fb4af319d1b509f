import OCISpec

@testable import Container

extension FuzzTarget {
    static let container = [accounts, plan, process, containerState] + cgroups

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
        // A container without a process stops at its gate.
        switch plan.steps.last {
        case .execute?: break
        case .gate? where spec.process == nil: break
        default: throw FuzzFinding(description: "the plan does not end with its program")
        }
        let again = try? LaunchPlanner.plan(spec, host: host, options: .init(bundle: "/bundle", isGated: true))
        try promise(again == plan, "is planned differently the second time")
        try promise((try? JSON(parsing: plan.json.bytes())) == plan.json, "the plan cannot be read")
    }

    /// The document of `exec --process` up to the steps that are made of it.
    private static let process = FuzzTarget(name: "process") { bytes throws(FuzzFinding) in
        guard let json = try? JSON(parsing: bytes), let process = try? RuntimeSpec.Process(JSONCursor(json)) else {
            return
        }
        let again = try? RuntimeSpec.Process(JSONCursor(process.json))
        try promise(again == process, "reads differently once written: \(process.json.text())")
        for kinds in [[.pid, .mount], [.user, .pid, .mount, .network, .cgroup]] as [[RuntimeSpec.Namespace.Kind]] {
            guard
                let plan = try? LaunchPlanner.plan(
                    exec: process, linux: .init(), container: 1, host: host, joining: kinds)
            else { continue }
            if case .execute? = plan.steps.last {
            } else {
                throw FuzzFinding(description: "the plan does not end with its program")
            }
            try promise(process.user.uid != .max && process.user.gid != .max, "has an id that means \"unchanged\"")
            try promise(!process.user.additionalGids.contains(.max), "has a group that means \"unchanged\"")
            try promise(!process.args.isEmpty && process.cwd.hasPrefix("/"), "is planned without a program or a place")
            try promise((try? JSON(parsing: plan.json.bytes())) == plan.json, "the plan cannot be read")
        }
    }

    /// state.json of a container: what is read of it is signalled, killed and removed; and what is kept for `exec`.
    private static let containerState = FuzzTarget(name: "container-state") { bytes throws(FuzzFinding) in
        if let exec = ExecRecord(bytes) {
            try promise(ExecRecord(exec.bytes) == exec, "what is kept for exec reads differently once written")
            let filters = exec.spec.linux?.seccomp.map { !SeccompFilter.notifies($0) } ?? false
            try promise(filters == (exec.program != nil), "has a policy without a filter, or the reverse")
        }
        guard let json = try? JSON(parsing: bytes), let record = try? ContainerRecord(JSONCursor(json)) else { return }
        let again = try? ContainerRecord(JSONCursor(record.json))
        try promise(again == record, "reads differently once written: \(record.json.text())")
        try promise(record.pid >= 0, "names the processes \(record.pid)")
        let groups = [record.cgroup.unified?.path].compactMap { $0 } + record.cgroup.legacy.values.map(\.path)
        for path in groups + record.cgroup.made + record.resourceGroups {
            try promise(path.hasPrefix("/") && !path.split(separator: "/").contains(".."), "removes \(path)")
        }
        for status in [.created, .stopped] as [ContainerState.Status] where record.pid > 0 {
            let state = record.state(status)
            try promise((try? ContainerState(JSONCursor(state.json))) == state, "its state reads differently")
        }
    }
}
