internal import CLinux
internal import Glibc

/// A file descriptor with exactly one owner, closed when the owner's life ends.
public struct OwnedDescriptor: ~Copyable, Sendable {
    /// The number, valid only while this value lives. Borrow it for a call; never store it.
    public let rawValue: Int32

    /// Takes over a descriptor that nobody else will close.
    public init(taking rawValue: Int32) { self.rawValue = rawValue }

    deinit { _ = close(rawValue) }

    /// Gives the descriptor up: the caller must close it.
    public consuming func release() -> Int32 {
        let rawValue = self.rawValue
        discard self
        return rawValue
    }

    /// A second, independent owner of the same open file (F_DUPFD_CLOEXEC).
    public borrowing func duplicate() throws(SystemError) -> OwnedDescriptor {
        OwnedDescriptor(taking: try check(mlr_dup_cloexec(rawValue, 3), "duplicate a descriptor"))
    }
}

/// An ``OwnedDescriptor`` that may be shared or stored in collections; closed with the last reference.
public final class SharedDescriptor: Sendable {
    private let owned: OwnedDescriptor

    /// Takes over an owner's descriptor.
    public init(_ owned: consuming OwnedDescriptor) { self.owned = owned }
    /// Takes over an open descriptor, which nobody else may close.
    public convenience init(taking rawValue: Int32) { self.init(OwnedDescriptor(taking: rawValue)) }

    /// The number; valid as long as this object lives.
    public var rawValue: Int32 { owned.rawValue }

    /// As ``OwnedDescriptor/duplicate()``.
    public func duplicate() throws(SystemError) -> OwnedDescriptor { try owned.duplicate() }
}

/// The two ends of a pipe or socket pair.
public struct DescriptorPair: ~Copyable {
    /// The end to read from, of a pipe.
    public var first: OwnedDescriptor
    /// The end to write to, of a pipe.
    public var second: OwnedDescriptor

    /// pipe2(2), both ends close-on-exec.
    public static func pipe() throws(SystemError) -> DescriptorPair {
        var ends: (Int32, Int32) = (-1, -1)
        try check(
            withUnsafeMutableBytes(of: &ends) { mlr_pipe($0.bindMemory(to: Int32.self).baseAddress, 0) },
            "create a pipe")
        return DescriptorPair(first: OwnedDescriptor(taking: ends.0), second: OwnedDescriptor(taking: ends.1))
    }

    /// socketpair(2) of AF_UNIX sockets; `type` is SOCK_STREAM, SOCK_SEQPACKET or SOCK_DGRAM.
    public static func sockets(type: Int32) throws(SystemError) -> DescriptorPair {
        var ends: (Int32, Int32) = (-1, -1)
        try check(
            withUnsafeMutableBytes(of: &ends) {
                mlr_socketpair(AF_UNIX, type, $0.bindMemory(to: Int32.self).baseAddress)
            },
            "create a socket pair")
        return DescriptorPair(first: OwnedDescriptor(taking: ends.0), second: OwnedDescriptor(taking: ends.1))
    }

    /// Hands both ends to a function, as their owners.
    public consuming func split(_ use: (consuming OwnedDescriptor, consuming OwnedDescriptor) -> Void) {
        use(first, second)
    }
}
