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
        let compiler = try SeccompCompiler(profile)
        guard let cache else { return try compiler.compile() }
        let store = SeccompCache(directory: cache)
        let key = SeccompCache.key(for: profile)
        if let program = store.program(for: key) { return program }
        let program = try compiler.compile()
        // A cache that cannot be written costs time, not safety: the program is there.
        try? store.keep(program, for: key)
        return program
    }

    /// The flags for seccomp(2) that the profile asks for.
    public static func flags(_ profile: RuntimeSpec.Seccomp) throws(SeccompError) -> UInt32 {
        try SeccompNames.flags(profile.flags)
    }
}
