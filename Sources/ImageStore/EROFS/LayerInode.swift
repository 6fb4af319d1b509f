/// One file of a layer, whatever number of names it has.
struct LayerInode {
    var type: Erofs.FileType
    /// Permission bits.
    var mode: UInt16 = 0
    var uid: UInt32 = 0
    var gid: UInt32 = 0
    /// Seconds since 1970.
    var modified: Int64 = 0
    var nanoseconds: UInt32 = 0
    var size: Int64 = 0
    /// Encoded extended attributes in the tree's arena.
    var attributes: UInt32 = 0
    var attributesSize: UInt32 = 0
    /// Hides what lower layers have in this directory.
    var isOpaque = false

    // Of directories.
    var firstChild = LayerTree.none
    var parent: UInt32 = 0
    var depth: UInt16 = 0

    /// Of symbolic links: the target in the tree's arena.
    var target: UInt32 = 0

    /// The first block of the content, where it has whole blocks of its own.
    var location: UInt32 = 0
    var layout = Erofs.Layout.plain
    /// Index into the writer's chunk maps.
    var chunkMap: UInt32 = 0

    // Known when the image is completed.
    var links: UInt32 = 0
    /// Where the inode stands, in units of 32 bytes; 0 while it is not placed.
    var nid: UInt64 = 0

    init(_ type: Erofs.FileType) { self.type = type }

    var isDirectory: Bool { type == .directory }
    /// A character device 0/0 is how overlayfs deletes a name of a lower layer.
    var isWhiteout: Bool { type == .characterDevice }
}
