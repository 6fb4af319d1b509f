/// One member of a tar archive, with what extended headers say of it merged in.
public struct TarEntry: Sendable, Equatable {
    /// What a member is.
    public enum Kind: UInt8, Sendable {
        case file, directory, symbolicLink, hardLink, characterDevice, blockDevice, fifo
    }

    /// What it is.
    public var kind: Kind = .file
    /// The name as written, not cleaned: it may be absolute or contain `..`.
    public var path: [UInt8] = []
    /// Of links: where they point, as written.
    public var linkTarget: [UInt8] = []
    /// Bytes of content, holes included.
    public var size: Int64 = 0
    /// Permission bits with set-user-ID, set-group-ID and sticky.
    public var mode: UInt16 = 0
    /// Of the owner, as written.
    public var uid: UInt32 = 0
    /// Of the group, as written.
    public var gid: UInt32 = 0
    /// Seconds since 1970; may be negative.
    public var modified: Int64 = 0
    /// To be added to ``modified``.
    public var modifiedNanoseconds: UInt32 = 0
    /// Of device nodes.
    public var deviceMajor: UInt32 = 0
    /// Of device nodes.
    public var deviceMinor: UInt32 = 0
    /// Whether the archive stores only the parts of the content that are not zero.
    public var isSparse = false
    /// In the order they were written.
    public var extendedAttributes: [ExtendedAttribute] = []
    /// Bytes from the start of the archive to the header.
    public var headerOffset: Int64 = 0
    /// Bytes from the start of the archive to the stored content.
    public var dataOffset: Int64 = 0

    /// A name such as `user.comment` and its value.
    public struct ExtendedAttribute: Sendable, Equatable {
        /// With its namespace.
        public var name: [UInt8]
        /// Any bytes.
        public var value: [UInt8]
    }

    /// The name as text, for display and for archives whose names are known to be plain.
    public var name: String { String(decoding: path, as: UTF8.self) }
    /// ``linkTarget`` as text.
    public var linkName: String { String(decoding: linkTarget, as: UTF8.self) }
}
