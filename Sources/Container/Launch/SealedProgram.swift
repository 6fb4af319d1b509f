internal import CLaunch
internal import Glibc
public import LinuxSystem

/// Keeps a program that starts containers from being overwritten by one (CVE-2019-5736).
public enum SealedProgram {
    /// Executes the calling program again from a read-only mount of its own file, unless it runs from one. To be called
    /// first in `main`, while there is one thread and nothing is open; costs one execve(2).
    /// - Throws: where it cannot be had, as without CAP_SYS_ADMIN; containers of a user namespace are no danger then.
    public static func enter() throws(SystemError) {
        try check(mlr_run_sealed(CommandLine.unsafeArgv, environ), "run from a read-only mount of the program")
    }
}
