/// What an untrusted archive may ask of memory and disk.
public struct ArchiveLimits: Sendable, Equatable {
    /// Members of the archive, extended headers not counted.
    public var entries = 4 << 20
    /// Bytes of one extended header or long name.
    public var header = 1 << 20
    /// Bytes of all extended headers and long names together.
    public var headers = 64 << 20
    /// Bytes of one file, its holes included.
    public var file: Int64 = 1 << 44
    /// Bytes of the names and values of one file's extended attributes.
    public var extendedAttributes = 64 << 10
    /// Files and directories that a layer consists of. An archive need not list the parents of what it brings: one
    /// short member may stand for a hundred directories.
    public var nodes = 4 << 20
    /// Bytes of all names and link targets of a layer together.
    public var names = 256 << 20
    /// Bytes of the extended attributes of all files of a layer, equal ones of neighbours counted once.
    public var attributes = 64 << 20

    public init() {}

    static let name = 255
    static let path = 4096
    static let depth = 256
    /// EROFS counts the shared attributes of an inode in one byte.
    static let extendedAttributeCount = 255
    static let symbolicLinks = 40
    /// Bytes of symbolic links that all names of an archive together may be led through; a bound on time.
    static let followedBytes: Int64 = 256 << 20
}
