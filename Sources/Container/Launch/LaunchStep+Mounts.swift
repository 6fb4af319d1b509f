public import OCISpec

/// A new mount of a file system.
public struct FileSystemMount: Sendable, Equatable {
    /// As the kernel names it, such as `tmpfs`.
    public var type: String
    /// What is mounted; nil where the type needs none.
    public var source: String?
    /// Absolute, in the container.
    public var target: String
    /// Name and value (nil for a flag), as fsconfig(2) takes them.
    public var options: [Option]
    /// Flags of the mount.
    public var attributes: MountAttributes
    /// One after the other; empty leaves it private.
    public var propagation: [Propagation]
    /// The target must be a real directory without symbolic links on the way, as for /proc and /sys.
    public var isStrict: Bool
    /// nil shows the owners as they are.
    public var idMapping: IDMapping?
    /// The root directory gets the mode of the directory that it covers.
    public var takesMode = false
    /// What it covers is copied into it (`tmpcopyup`).
    public var copiesUp = false
    /// A link at the target is covered itself.
    public var followsTarget = true
    /// The file system counts the versions of its files (`iversion`).
    public var countsVersions = false
    /// It becomes read-only later, by a step of its own.
    public var isFinishedLater = false

    /// An option of the file system.
    public struct Option: Sendable, Equatable {
        /// Such as `size`.
        public var name: String
        /// nil for a flag.
        public var value: String?

        public init(_ name: String, _ value: String? = nil) {
            self.name = name
            self.value = value
        }

        /// As mount(8) writes it.
        public var text: String { value.map { "\(name)=\($0)" } ?? name }
    }

    public init(
        type: String, source: String? = nil, target: String, options: [Option] = [],
        attributes: MountAttributes = MountAttributes(), propagation: [Propagation] = [], isStrict: Bool = false,
        idMapping: IDMapping? = nil
    ) {
        self.type = type
        self.source = source
        self.target = target
        self.options = options
        self.attributes = attributes
        self.propagation = propagation
        self.isStrict = isStrict
        self.idMapping = idMapping
    }
}

/// A change of what is mounted already; nothing changes but what is named.
public struct Remount: Sendable, Equatable {
    /// Absolute, in the container.
    public var target: String
    /// Of the file system; empty changes the mount alone.
    public var options: [FileSystemMount.Option]
    /// Flags of the mount.
    public var attributes: MountAttributes
    /// One after the other.
    public var propagation: [Propagation]
    /// A link at the target is meant itself.
    public var followsTarget: Bool

    public init(
        target: String, options: [FileSystemMount.Option] = [], attributes: MountAttributes = MountAttributes(),
        propagation: [Propagation] = [], followsTarget: Bool = true
    ) {
        self.target = target
        self.options = options
        self.attributes = attributes
        self.propagation = propagation
        self.followsTarget = followsTarget
    }
}

/// How the owners of a mount's files appear.
public struct IDMapping: Sendable, Equatable {
    /// Of users.
    public var uid: [RuntimeSpec.IDMap]
    /// Of groups.
    public var gid: [RuntimeSpec.IDMap]
    /// The user namespace to take the mappings of, instead of ``uid`` and ``gid``.
    public var namespace: String?
    /// For the mounts below too.
    public var isRecursive: Bool

    public init(
        uid: [RuntimeSpec.IDMap] = [], gid: [RuntimeSpec.IDMap] = [], namespace: String? = nil,
        isRecursive: Bool = false
    ) {
        self.uid = uid
        self.gid = gid
        self.namespace = namespace
        self.isRecursive = isRecursive
    }
}

/// A file or directory of the host, seen in the container.
public struct BindMount: Sendable, Equatable {
    /// Of the host, absolute.
    public var source: String
    /// Absolute, in the container.
    public var target: String
    /// With what is mounted below the source.
    public var isRecursive: Bool
    /// Flags of the mount.
    public var attributes: MountAttributes
    /// For the mounts below too.
    public var recursiveAttributes: MountAttributes
    /// One after the other; empty leaves it private.
    public var propagation: [Propagation]
    /// nil shows the owners as they are.
    public var idMapping: IDMapping?
    /// A link at the source leads to what is mounted; otherwise it is mounted itself.
    public var followsSource = true
    /// A link at the target leads to what is covered; otherwise it is covered itself.
    public var followsTarget = true
    /// As of ``FileSystemMount``.
    public var isStrict = false
    /// A link at the source is made anew at the target.
    public var copiesLink = false
    /// The device that the source must be, for a node that the kernel lets nobody make here.
    public var device: DeviceNode?

    public init(
        source: String, target: String, isRecursive: Bool = true, attributes: MountAttributes = MountAttributes(),
        recursiveAttributes: MountAttributes = MountAttributes(), propagation: [Propagation] = [],
        idMapping: IDMapping? = nil
    ) {
        self.source = source
        self.target = target
        self.isRecursive = isRecursive
        self.attributes = attributes
        self.recursiveAttributes = recursiveAttributes
        self.propagation = propagation
        self.idMapping = idMapping
    }
}
