/// A directory or file of the host in the container.
public struct VolumeMount: Sendable, Hashable {
    /// Absolute.
    public var source: String
    /// Absolute, in the container.
    public var target: String
    /// Whether the container cannot write to it.
    public var readOnly: Bool
    /// Whether programs in it cannot be executed.
    public var noExec: Bool
    /// Whether later mounts of the host appear in it.
    public var propagation: Propagation

    /// How mounts spread (mount_namespaces(7)).
    public enum Propagation: String, Sendable, CaseIterable {
        case `private` = "rprivate"
        /// Mounts made on the host later appear inside.
        case slave = "rslave"
    }

    public init(
        source: String, target: String, readOnly: Bool = false, noExec: Bool = false,
        propagation: Propagation = .private
    ) {
        self.source = source
        self.target = target
        self.readOnly = readOnly
        self.noExec = noExec
        self.propagation = propagation
    }
}

/// A file system in memory, charged to the container.
public struct TemporaryFileSystem: Sendable, Hashable {
    /// Absolute, in the container.
    public var target: String
    /// Options of tmpfs(5) and mount flags, such as `size=64m` or `exec`.
    public var options: [String]

    public init(target: String, options: [String] = []) {
        self.target = target
        self.options = options
    }
}

/// A device node of the host in the container.
public struct DeviceMapping: Sendable, Hashable {
    /// Absolute.
    public var source: String
    /// Absolute, in the container.
    public var target: String
    /// Of `r`, `w` and `m`.
    public var permissions: String

    public init(source: String, target: String, permissions: String = "rwm") {
        self.source = source
        self.target = target
        self.permissions = permissions
    }
}
