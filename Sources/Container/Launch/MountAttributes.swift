internal import CLinux

/// Attributes of a mount to set and to clear (mount_setattr(2), MOUNT_ATTR_*).
public struct MountAttributes: Sendable, Equatable {
    /// Bits to set.
    public var set: UInt64
    /// Bits to clear.
    public var clear: UInt64

    public init(set: UInt64 = 0, clear: UInt64 = 0) {
        self.set = set
        self.clear = clear
    }

    /// Whether nothing changes.
    public var isEmpty: Bool { self.set == 0 && clear == 0 }

    /// What the words say one after the other.
    mutating func formUnion(_ other: MountAttributes) {
        if other.clear & Self.accessTime != 0 { set &= ~Self.accessTime }
        set = set & ~other.clear | other.set
        clear = clear & ~other.set | other.clear
    }

    /// The flags of mount(2) that these are.
    var oldFlags: UInt64 {
        let pairs: [(UInt64, UInt64)] = [
            (Self.readOnly, 1), (Self.noSetID, 2), (Self.noDevices, 4), (Self.noExecution, 8),
            (UInt64(MLR_MOUNT_ATTR_NOATIME), 1024), (UInt64(MLR_MOUNT_ATTR_STRICTATIME), 1 << 24),
            (UInt64(MLR_MOUNT_ATTR_NODIRATIME), 2048), (UInt64(MLR_MOUNT_ATTR_NOSYMFOLLOW), 256),
        ]
        return pairs.reduce(0) { self.set & $1.0 != 0 ? $0 | $1.1 : $0 }
    }

    static let readOnly = UInt64(MLR_MOUNT_ATTR_RDONLY)
    static let noSetID = UInt64(MLR_MOUNT_ATTR_NOSUID)
    static let noDevices = UInt64(MLR_MOUNT_ATTR_NODEV)
    static let noExecution = UInt64(MLR_MOUNT_ATTR_NOEXEC)

    private static let accessTime = UInt64(MLR_MOUNT_ATTR__ATIME)

    mutating func apply(set bits: UInt64) {
        // The access time settings are one field of several values, replaced as a whole.
        if bits & Self.accessTime != 0 {
            clear |= Self.accessTime
            set &= ~Self.accessTime
        }
        set |= bits
        clear &= ~(bits & ~Self.accessTime)
    }

    mutating func apply(clear bits: UInt64) {
        if bits & Self.accessTime != 0 {
            // "strictatime,atime" takes back no more than a noatime that came before.
            if set & Self.accessTime != 0, set & bits == 0 { return }
            clear |= Self.accessTime
            set &= ~Self.accessTime
        } else {
            clear |= bits
            set &= ~bits
        }
    }

    /// The names of the attributes as mount options, for people.
    var words: [String] {
        let names: [(UInt64, String, String)] = [
            (Self.readOnly, "ro", "rw"), (Self.noSetID, "nosuid", "suid"), (Self.noDevices, "nodev", "dev"),
            (Self.noExecution, "noexec", "exec"), (UInt64(MLR_MOUNT_ATTR_NOATIME), "noatime", "atime"),
            (UInt64(MLR_MOUNT_ATTR_STRICTATIME), "strictatime", "nostrictatime"),
            (UInt64(MLR_MOUNT_ATTR_NODIRATIME), "nodiratime", "diratime"),
            (UInt64(MLR_MOUNT_ATTR_NOSYMFOLLOW), "nosymfollow", "symfollow"),
        ]
        var words: [String] = []
        for (bit, on, off) in names {
            if self.set & bit != 0 {
                words.append(on)
            } else if clear & bit != 0, bit & Self.accessTime == 0 {
                words.append(off)
            }
        }
        if clear & Self.accessTime != 0, self.set & Self.accessTime == 0 { words.append("relatime") }
        return words
    }
}

/// How mount events spread (mount_namespaces(7)).
public enum Propagation: String, Sendable, CaseIterable {
    case `private`, rprivate, slave, rslave, shared, rshared, unbindable, runbindable

    var isRecursive: Bool { rawValue.hasPrefix("r") }

    /// The bits of mount(2).
    var flags: UInt64 { bit | (isRecursive ? UInt64(MLR_MS_REC) : 0) }

    /// The MS_ bit, without MS_REC.
    var bit: UInt64 {
        switch self {
        case .private, .rprivate: UInt64(MLR_MS_PRIVATE)
        case .slave, .rslave: UInt64(MLR_MS_SLAVE)
        case .shared, .rshared: UInt64(MLR_MS_SHARED)
        case .unbindable, .runbindable: UInt64(MLR_MS_UNBINDABLE)
        }
    }
}
