internal import LinuxSystem

/// Why a group lacks the file of a limit.
enum CgroupAbsence: Equatable {
    /// The controller is bound to a v1 hierarchy, perhaps mounted at this path.
    case boundToVersion1(mount: String?)
    /// The top of the hierarchy lacks the controller, and it is the kernel's own top.
    case notInKernel
    /// The top that this process sees, or a group on the way, was not given the controller.
    case notDelegated(to: String)
    /// A group on the way holds processes, so it may not hand controllers down ("no internal processes").
    case internalProcesses(in: String, processes: [Int32])
    /// The controller is there, but this kernel has no such file.
    case fileMissing
    /// Enabling the controller failed otherwise.
    case refused(by: String, Errno)

    /// Looks for the place where the controller got lost, from the top of the hierarchy down to the group.
    static func find(
        controller: String, file: String, of group: Cgroup, in hierarchy: CgroupHierarchy
    ) -> CgroupAbsence {
        if let mount = hierarchy.host.legacyControllers[versionOneName(controller)] {
            return .boundToVersion1(mount: mount)
        }
        let top = Cgroup(path: hierarchy.mountPoint)
        guard let offered = try? top.controllers(), offered.contains(controller) else {
            // Only the kernel's own top has no cgroup.events: any other one was handed to us by somebody.
            return top.has("cgroup.events") ? .notDelegated(to: top.path) : .notInKernel
        }
        var level = top
        let below = group.path.dropFirst(top.path.utf8.count).split(separator: "/")
        for name in below {
            if let enabled = try? level.enabledControllers(), !enabled.contains(controller) {
                let inside = level.processesInTheWay()
                if !inside.isEmpty { return .internalProcesses(in: level.path, processes: inside.filter { $0 > 0 }) }
                switch level.write("+\(controller)", to: "cgroup.subtree_control") {
                case nil: break
                case .busy?: return .internalProcesses(in: level.path, processes: [])
                case .accessDenied?, .notPermitted?, .noSuchFile?, .readOnlyFileSystem?:
                    return .notDelegated(to: level.path)
                case let errno?: return .refused(by: level.path, errno)
                }
            }
            level = Cgroup(path: "\(level.path)/\(name)")
        }
        return .fileMissing
    }

    private static func versionOneName(_ controller: String) -> String { controller == "io" ? "blkio" : controller }

    func error(for setting: CgroupSetting, policy: LimitPolicy = .strict) -> CgroupError {
        let controller = setting.controller
        let reason: String
        let remedy: String
        switch self {
        case .boundToVersion1(let mount):
            reason =
                "this host is hybrid: it binds the \(controller) controller to cgroup v1"
                + (mount.map { " (\($0))" } ?? "")
            remedy =
                "boot with the kernel parameters systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all"
                + (policy == .mandatory ? ", or let mlrun-oci make groups of cgroup v1: MLRUN_CGROUP_V1=1" : "")
        case .notInKernel:
            reason = "this kernel has no \(controller) controller"
            remedy = "look for cgroup_disable=\(controller) in /proc/cmdline, or use a kernel built with it"
        case .notDelegated(let path):
            reason = "the \(controller) controller is not delegated to \(path)"
            remedy = "run as root, or in a group that has it: systemd-run -p Delegate=\(controller)"
        case .internalProcesses(let path, let processes):
            let inside = processes.prefix(5).map(String.init).joined(separator: ", ")
            reason =
                "the cgroup \(path) holds processes\(inside.isEmpty ? "" : " (\(inside))"), "
                + "so it cannot give the \(controller) controller to groups below it"
            remedy =
                "move them to a group of their own: mkdir \(path)/init, then write each to \(path)/init/cgroup.procs"
        case .fileMissing:
            reason = "this kernel's \(controller) controller has no \(setting.file)"
            remedy = "use a kernel that has it"
        case .refused(let path, let errno):
            reason = "enabling the \(controller) controller in \(path)/cgroup.subtree_control failed: \(errno)"
            remedy = "see the kernel's log (dmesg)"
        }
        return CgroupError(
            .limit(field: setting.field, controller: controller), "cannot set \(setting.field): \(reason)",
            remedy: policy == .mandatory
                ? remedy + ", or leave \(setting.field) out"
                : remedy + ", or go on without the limit: --limits=best-effort")
    }
}
