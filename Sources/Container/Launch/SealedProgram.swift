internal import CLaunch
internal import Glibc
public import LinuxSystem

/// Keeps a program that starts containers from being overwritten by one (CVE-2019-5736).
public enum SealedProgram {
    /// Executes the calling program again from a read-only mount of its own file, unless it runs from one. To be called
    /// before anything is done that must not be done twice; costs one execve(2).
    ///
    /// Needed by whoever clones processes into containers without a user namespace, whose root could open the program for
    /// writing: as its interpreter (`#!/proc/self/exe`), or through /proc while a process joins. The ids of a container with
    /// one own nothing of the host's.
    /// - Throws: where it cannot be had, as without CAP_SYS_ADMIN; containers of a user namespace are no danger then.
    public static func enter() throws(SystemError) {
        // Swift's runtime would look for a program that prints backtraces, in places below the current directory when it runs
        // sealed, and run it in a crash. A crash is told by its signal.
        setenv("SWIFT_BACKTRACE", "enable=no,swift-backtrace=/nonexistent", 1)
        try check(mlr_run_sealed(CommandLine.unsafeArgv, environ), "run from a read-only mount of the program")
    }

    /// The file that the program was started from, also when it runs sealed.
    public static func path() throws(SystemError) -> String {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        try check(
            mlr_program_path(CommandLine.unsafeArgv, &buffer, buffer.count), "find the program's own file")
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
