internal import CLinux

/// What the option strings of one mount mean together, by a table.
struct MountOptions {
    var isBind = false
    var isRecursive = false
    var attributes = MountAttributes()
    var recursiveAttributes = MountAttributes()
    var propagation: Propagation?
    var idMapped = false
    var idMappedRecursively = false
    /// Left for the file system.
    var data: [FileSystemMount.Option] = []
    /// Understood, but not to be had.
    var refused: [String] = []

    init(_ options: [String]) {
        for option in options { apply(option) }
    }

    private mutating func apply(_ option: String) {
        if let (bits, on) = Self.attributes[option] {
            if on { attributes.apply(set: bits) } else { attributes.apply(clear: bits) }
        } else if option.hasPrefix("r"), let (bits, on) = Self.attributes[String(option.dropFirst())] {
            if on { recursiveAttributes.apply(set: bits) } else { recursiveAttributes.apply(clear: bits) }
        } else if let propagation = Propagation(rawValue: option) {
            self.propagation = propagation
        } else {
            switch option {
            case "bind": isBind = true
            case "rbind":
                isBind = true
                isRecursive = true
            case "idmap": idMapped = true
            case "ridmap":
                idMapped = true
                idMappedRecursively = true
            case "defaults", "silent", "loud": break
            case "remount", "tmpcopyup", "copy-symlink", "dest-nofollow", "src-nofollow": refused.append(option)
            default: data.append(Self.dataOption(option))
            }
        }
    }

    private static func dataOption(_ option: String) -> FileSystemMount.Option {
        guard let equals = option.firstIndex(of: "=") else { return FileSystemMount.Option(option) }
        return FileSystemMount.Option(String(option[..<equals]), String(option[option.index(after: equals)...]))
    }

    /// Every attribute of mount_setattr(2) by option name: the bits, and whether they are set or cleared. Each also
    /// exists with an "r" before it, for the mounts below too.
    static let attributes: [String: (bits: UInt64, on: Bool)] = [
        "ro": (UInt64(MLR_MOUNT_ATTR_RDONLY), true), "rw": (UInt64(MLR_MOUNT_ATTR_RDONLY), false),
        "nosuid": (UInt64(MLR_MOUNT_ATTR_NOSUID), true), "suid": (UInt64(MLR_MOUNT_ATTR_NOSUID), false),
        "nodev": (UInt64(MLR_MOUNT_ATTR_NODEV), true), "dev": (UInt64(MLR_MOUNT_ATTR_NODEV), false),
        "noexec": (UInt64(MLR_MOUNT_ATTR_NOEXEC), true), "exec": (UInt64(MLR_MOUNT_ATTR_NOEXEC), false),
        "noatime": (UInt64(MLR_MOUNT_ATTR_NOATIME), true), "atime": (UInt64(MLR_MOUNT_ATTR_NOATIME), false),
        "strictatime": (UInt64(MLR_MOUNT_ATTR_STRICTATIME), true),
        "nostrictatime": (UInt64(MLR_MOUNT_ATTR_STRICTATIME), false),
        // The kernel's default access time mode is the absence of the others.
        "relatime": (UInt64(MLR_MOUNT_ATTR__ATIME), false), "norelatime": (UInt64(MLR_MOUNT_ATTR__ATIME), false),
        "nodiratime": (UInt64(MLR_MOUNT_ATTR_NODIRATIME), true),
        "diratime": (UInt64(MLR_MOUNT_ATTR_NODIRATIME), false),
        "nosymfollow": (UInt64(MLR_MOUNT_ATTR_NOSYMFOLLOW), true),
        "symfollow": (UInt64(MLR_MOUNT_ATTR_NOSYMFOLLOW), false),
    ]
}
