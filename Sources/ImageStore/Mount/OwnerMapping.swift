public import LinuxSystem

/// The user namespace a container's root file system is seen through, so that root inside owns the image's files while
/// being nobody outside.
public struct OwnerMapping: Sendable {
    /// Whose mapping is used.
    public let userNamespace: SharedDescriptor
    /// The host's ids of the container's root.
    public let rootUID: UInt32
    /// The host's id of the container's group 0.
    public let rootGID: UInt32

    public init(userNamespace: SharedDescriptor, rootUID: UInt32, rootGID: UInt32) {
        self.userNamespace = userNamespace
        self.rootUID = rootUID
        self.rootGID = rootGID
    }
}
