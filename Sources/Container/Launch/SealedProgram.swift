internal import CLaunch
internal import Glibc
public import LinuxSystem

/// Keeps a program that starts containers from being overwritten by one (CVE-2019-5736).
public enum SealedProgram {
    /// Executes the calling program again from a read-only mount of its own file, unless it runs from one; without the right
    /// to mount from a sealed copy in memory, where the file is the caller's to write. To be called before anything is done that
    /// must not be done twice; costs one execve(2), and the copy a few milliseconds.
    ///
    /// Needed by whoever clones processes into containers whose root is, outside, somebody who may write to the program: as
    /// its interpreter (`#!/proc/self/exe`), or through /proc while a process joins. Of a user without rights that is the
    /// user's own file.
    public static func enter() throws(SystemError) {
        // Swift's runtime would look for a program that prints backtraces, in places below the current directory when it runs
        // sealed, and run it in a crash. A crash is told by its signal.
        setenv("SWIFT_BACKTRACE", "enable=no,swift-backtrace=/nonexistent", 1)
        if geteuid() == 0 {
            let sealed = mlr_run_sealed(CommandLine.unsafeArgv, environ)
            if sealed != -EPERM, sealed != -ENOSYS {
                try check(sealed, "run from a read-only mount of the program")
                return
            }
        }
        try check(
            mlr_run_copied(CommandLine.unsafeArgv, environ),
            "run from a sealed copy of the program, which is this user's to write (one of root's needs none)")
    }

    /// The file that the program was started from, also when it runs sealed.
    public static func path() throws(SystemError) -> String {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        try check(
            mlr_program_path(CommandLine.unsafeArgv, &buffer, buffer.count), "find the program's own file")
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
