internal import CLinux
internal import Glibc

/// An error number of the kernel (errno(3)), kept as data until somebody must read it.
/// Constants without a comment are those of errno(3).
public struct Errno: Error, Hashable, Sendable, RawRepresentable {
    public let rawValue: Int32

    public init(rawValue: Int32) { self.rawValue = rawValue }

    public static let notPermitted = Errno(rawValue: EPERM)
    public static let noSuchFile = Errno(rawValue: ENOENT)
    public static let noSuchProcess = Errno(rawValue: ESRCH)
    public static let interrupted = Errno(rawValue: EINTR)
    public static let inputOutput = Errno(rawValue: EIO)
    public static let badDescriptor = Errno(rawValue: EBADF)
    public static let noChild = Errno(rawValue: ECHILD)
    public static let wouldBlock = Errno(rawValue: EAGAIN)
    public static let outOfMemory = Errno(rawValue: ENOMEM)
    public static let accessDenied = Errno(rawValue: EACCES)
    public static let busy = Errno(rawValue: EBUSY)
    public static let fileExists = Errno(rawValue: EEXIST)
    public static let crossDevice = Errno(rawValue: EXDEV)
    public static let noSuchDevice = Errno(rawValue: ENODEV)
    public static let notADirectory = Errno(rawValue: ENOTDIR)
    public static let isADirectory = Errno(rawValue: EISDIR)
    public static let invalidArgument = Errno(rawValue: EINVAL)
    public static let noSpace = Errno(rawValue: ENOSPC)
    public static let readOnlyFileSystem = Errno(rawValue: EROFS)
    public static let brokenPipe = Errno(rawValue: EPIPE)
    public static let nameTooLong = Errno(rawValue: ENAMETOOLONG)
    public static let noSystemCall = Errno(rawValue: ENOSYS)
    public static let notEmpty = Errno(rawValue: ENOTEMPTY)
    public static let tooManyLinks = Errno(rawValue: ELOOP)
    public static let notSupported = Errno(rawValue: EOPNOTSUPP)
    public static let quotaExceeded = Errno(rawValue: EDQUOT)
    public static let inProgress = Errno(rawValue: EINPROGRESS)
    public static let connectionRefused = Errno(rawValue: ECONNREFUSED)
    public static let connectionReset = Errno(rawValue: ECONNRESET)
    public static let addressInUse = Errno(rawValue: EADDRINUSE)
    public static let timedOut = Errno(rawValue: ETIMEDOUT)
    public static let messageTooLong = Errno(rawValue: EMSGSIZE)
    public static let noData = Errno(rawValue: ENODATA)

    /// Whether the process or the host has run out of descriptors or of memory for them: the same call may succeed later.
    public var isShortage: Bool { [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(rawValue) }
}

extension Errno: CustomStringConvertible {
    /// The kernel's sentence for this number in lower case, such as `permission denied`.
    public var description: String {
        guard let text = mlr_error_sentence(rawValue) else { return "error \(rawValue)" }
        let sentence = String(cString: text)
        return sentence.prefix(1).lowercased() + sentence.dropFirst()
    }
}

/// A system call that failed: what was attempted, on which path where there is one, and the kernel's answer.
public struct SystemError: Error, Hashable, Sendable {
    /// What was attempted, in words that read after "cannot", such as `open` or `mount overlay on`.
    public let operation: String
    /// What the call was about, where it was about a path.
    public let path: String?
    /// Why it failed.
    public let errno: Errno

    public init(_ operation: String, path: String? = nil, _ errno: Errno) {
        self.operation = operation
        self.path = path
        self.errno = errno
    }
}

extension SystemError: CustomStringConvertible {
    public var description: String {
        if let path { return "cannot \(operation) \(path): \(errno)" }
        return "cannot \(operation): \(errno)"
    }
}

/// Turns the result of a CLinux function (negative errno on failure) into a value or a ``SystemError``.
@discardableResult
@inlinable
public func check<Result: FixedWidthInteger & SignedInteger>(
    _ result: Result, _ operation: @autoclosure () -> String, path: @autoclosure () -> String? = nil
) throws(SystemError) -> Result {
    if result < 0 {
        throw SystemError(operation(), path: path(), Errno(rawValue: Int32(truncatingIfNeeded: -result)))
    }
    return result
}

/// Calls again while the kernel says EINTR. `body` returns a negative errno on failure.
@inlinable
public func retrying<Result: FixedWidthInteger & SignedInteger>(_ body: () -> Result) -> Result {
    while true {
        let result = body()
        if result != -4 { return result }
    }
}
