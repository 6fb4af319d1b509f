internal import Glibc
internal import LinuxSystem
internal import OCISpec

extension PlayerProgram {
    /// Where the sources of bind mounts are opened, if not among the host's own mounts.
    ///
    /// Whoever administers a user namespace may take read-only, nosuid and what covers a directory off a mount there, unless the
    /// mount came in with a copy for a user namespace, which locks these (mount_namespaces(7)). Mounts for a container with
    /// such rights are opened in a copy like that. Without CAP_SYS_ADMIN nobody needs it: a further user namespace gets a copy.
    func lockedMounts() throws(SystemError) -> SharedDescriptor? {
        if let locks { return locks }
        guard request.plan.givesAdministrationOfUserNamespace, geteuid() == 0 else { return nil }
        let opened = try UserNamespace.lockedMounts()
        locks = opened
        return opened
    }
}

extension LaunchPlan {
    fileprivate var givesAdministrationOfUserNamespace: Bool {
        guard created.contains(.user) || joined.contains(where: { $0.kind == .user }) else { return false }
        let administration = CapabilitySet([.sysAdmin]).rawValue
        return steps.contains { step in
            if case .boundingSet(let kept) = step { kept & administration != 0 } else { false }
        }
    }
}
