internal import CLinux
internal import LinuxSystem
public import OCISpec

/// Compiles the seccomp profile of a runtime-spec into the program that seccomp(2) takes.
public enum SeccompFilter {
    /// The program as an array of `struct sock_filter`, 8 bytes each.
    ///
    /// System calls that neither libseccomp nor ``SystemCallTable`` knows are left out, as runc does, so that one profile
    /// serves old and new kernels; unknown actions, operators, architectures and flags are errors.
    /// - Parameter cache: a directory that keeps compiled programs; nil compiles each time.
    public static func compile(
        _ profile: RuntimeSpec.Seccomp, cache: String? = nil
    ) throws(SeccompError) -> [UInt8] {
        try compile(profile, cache: cache) { profile throws(SeccompError) in try SeccompCompiler(profile).compile() }
    }

    /// A program that is kept costs no call of libseccomp.
    static func compile(
        _ profile: RuntimeSpec.Seccomp, cache: String?,
        by compiler: (RuntimeSpec.Seccomp) throws(SeccompError) -> [UInt8]
    ) throws(SeccompError) -> [UInt8] {
        guard let cache else { return try compiler(profile) }
        let store = SeccompCache(directory: cache)
        let key = SeccompCache.key(for: profile)
        if let program = store.program(for: key) { return program }
        let program = try compiler(profile)
        // A cache that cannot be written costs time, not safety: the program is there.
        try? store.keep(program, for: key)
        return program
    }

    /// The flags for seccomp(2) that the profile asks for, with those that notifications need.
    public static func flags(_ profile: RuntimeSpec.Seccomp) throws(SeccompError) -> UInt32 {
        let flags = try SeccompNames.flags(profile.flags)
        guard notifies(profile) else { return flags }
        // One call cannot return both a listener and the thread that would not take the filter.
        return flags | 1 << 3 | (flags & 1 != 0 ? 1 << 4 : 0)
    }

    /// Whether some system calls are to be decided by a listener (seccomp_unotify(2)).
    public static func notifies(_ profile: RuntimeSpec.Seccomp) -> Bool {
        profile.defaultAction == SeccompNames.notify || profile.syscalls.contains { $0.action == SeccompNames.notify }
    }

    /// The names of the flags of seccomp(2) that this host's kernel takes.
    public static func supportedFlags() -> [String] {
        let all = SeccompNames.flags.reduce(0) { $0 | $1.bit }
        let supported = mlr_seccomp_supported_flags(all)
        return SeccompNames.flags.filter { supported & $0.bit != 0 }.map(\.name)
    }

    /// What the specification, the kernel and the handing over of the listener ask of a profile.
    static func checkNotification(_ profile: RuntimeSpec.Seccomp) throws(SeccompError) {
        if profile.listenerMetadata != nil, profile.listenerPath == nil {
            throw SeccompError(field: "listenerMetadata", reason: "needs listenerPath, which is missing")
        }
        guard notifies(profile) else {
            if let index = profile.flags.firstIndex(of: "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV") {
                throw SeccompError(field: "flags[\(index)]", reason: "has a meaning only with SCMP_ACT_NOTIFY")
            }
            return
        }
        guard let path = profile.listenerPath, !path.isEmpty else {
            throw SeccompError(field: "listenerPath", reason: "is missing, and SCMP_ACT_NOTIFY needs someone to ask")
        }
        if profile.defaultAction == SeccompNames.notify {
            throw SeccompError(
                field: "defaultAction", reason: "cannot be SCMP_ACT_NOTIFY: the listener could not be handed over")
        }
        for (index, rule) in profile.syscalls.enumerated() where rule.action == SeccompNames.notify {
            // Until the listener is where it belongs, nobody could answer.
            guard let name = rule.names.first(where: { ["sendmsg", "read", "write", "close"].contains($0) }) else {
                continue
            }
            throw SeccompError(
                field: "syscalls[\(index)]",
                reason: "SCMP_ACT_NOTIFY cannot be used for \(name), with which the listener is handed over")
        }
    }
}
