internal import CLinux
internal import Glibc

/// How many descriptors this process may have open.
public enum OpenFileLimit {
    /// Raises the soft limit to the hard one, for programs that keep several descriptors for each thing they look after.
    ///
    /// - Returns: the limit from now on.
    @discardableResult
    public static func raise() throws(SystemError) -> UInt64 {
        var limit = mlr_limit()
        try check(mlr_prlimit(0, Int32(RLIMIT_NOFILE.rawValue), nil, &limit), "read the limit of open files")
        limit.soft = limit.hard
        try check(mlr_prlimit(0, Int32(RLIMIT_NOFILE.rawValue), &limit, nil), "raise the limit of open files")
        return limit.soft
    }
}
