internal import CLinux

/// What the option strings of one mount mean together, by ``MountOption/table``.
struct MountOptions {
    var isBind = false
    var isRecursive = false
    var attributes = MountAttributes()
    var recursiveAttributes = MountAttributes()
    /// One after the other, as `rslave` and then `rshared`.
    var propagation: [Propagation] = []
    var idMapped = false
    var idMappedRecursively = false
    /// Change what is mounted already.
    var isRemount = false
    var copiesUp = false
    var copiesLink = false
    var followsSource = true
    var followsTarget = true
    var countsVersions = false
    /// Settings of a whole file system, as fsconfig(2) names them, and whether they are other than its defaults.
    var superblock: [(name: String, isChange: Bool)] = []
    /// Left for the file system.
    var data: [FileSystemMount.Option] = []

    init(_ options: [String]) {
        for option in options { apply(option) }
    }

    /// Whether a mount of this type with these options shows a directory or file of the host.
    func binds(type: String?) -> Bool { !isRemount && (isBind || type == "bind" || type == "none") }

    private mutating func apply(_ option: String) {
        switch MountOption.table[option] {
        case .attribute(let bits, true): attributes.apply(set: bits)
        case .attribute(let bits, false): attributes.apply(clear: bits)
        case .recursiveAttribute(let bits, true): recursiveAttributes.apply(set: bits)
        case .recursiveAttribute(let bits, false): recursiveAttributes.apply(clear: bits)
        case .propagation(let propagation): self.propagation.append(propagation)
        case .bind(let recursive):
            isBind = true
            isRecursive = recursive
        case .idMap(let recursive):
            idMapped = true
            idMappedRecursively = recursive
        case .superblock(let isChange): superblock.append((option, isChange))
        case .versions(let on): countsVersions = on
        case .remount: isRemount = true
        case .copyUp: copiesUp = true
        case .copyLink: copiesLink = true
        case .sourceIsLink: followsSource = false
        case .targetIsLink: followsTarget = false
        case .nothing: break
        case nil: data.append(Self.dataOption(option))
        }
    }

    private static func dataOption(_ option: String) -> FileSystemMount.Option {
        guard let equals = option.firstIndex(of: "=") else { return FileSystemMount.Option(option) }
        return FileSystemMount.Option(String(option[..<equals]), String(option[option.index(after: equals)...]))
    }
}

/// The option strings that have a meaning of their own (runtime-spec, config.md, "Linux mount options"); all others are
/// the file system's.
public enum MountOption: Sendable, Equatable {
    /// Bits of mount_setattr(2) to set or clear.
    case attribute(UInt64, Bool)
    /// The same, for the mounts below too.
    case recursiveAttribute(UInt64, Bool)
    case propagation(Propagation)
    case bind(recursive: Bool)
    case idMap(recursive: Bool)
    /// A setting of the whole file system; `isChange` if it is not what file systems start with.
    case superblock(isChange: Bool)
    /// SB_I_VERSION, for which only mount(2) has a flag.
    case versions(Bool)
    case remount
    /// `tmpcopyup`.
    case copyUp
    /// crun's `copy-symlink`: a link of the host is made anew instead of being followed.
    case copyLink
    /// `src-nofollow`: a link of the host is itself what is mounted.
    case sourceIsLink
    /// `dest-nofollow`: a link of the container is itself what is covered.
    case targetIsLink
    /// Says what is so anyway: no mount of the player's writes to the kernel log.
    case nothing

    /// All of them by name.
    public static let table: [String: MountOption] = {
        var table: [String: MountOption] = [
            "defaults": .nothing, "silent": .nothing, "loud": .nothing,
            // Not "relatime" leaves what else is said of access times, and else the kernel's default, which is that.
            "norelatime": .nothing, "rnorelatime": .nothing,
            "bind": .bind(recursive: false), "rbind": .bind(recursive: true),
            "idmap": .idMap(recursive: false), "ridmap": .idMap(recursive: true),
            "sync": .superblock(isChange: true), "async": .superblock(isChange: false),
            "dirsync": .superblock(isChange: true),
            "lazytime": .superblock(isChange: true), "nolazytime": .superblock(isChange: false),
            "mand": .superblock(isChange: true), "nomand": .superblock(isChange: false),
            "iversion": .versions(true), "noiversion": .versions(false),
            "remount": .remount, "tmpcopyup": .copyUp, "copy-symlink": .copyLink,
            "src-nofollow": .sourceIsLink, "dest-nofollow": .targetIsLink,
        ]
        for (name, bits, on) in attributes {
            table[name] = .attribute(bits, on)
            table["r\(name)"] = .recursiveAttribute(bits, on)
        }
        for propagation in Propagation.allCases { table[propagation.rawValue] = .propagation(propagation) }
        return table
    }()

    /// Every attribute of mount_setattr(2) by option name: the bits, and whether they are set or cleared.
    private static let attributes: [(String, UInt64, Bool)] = [
        ("ro", UInt64(MLR_MOUNT_ATTR_RDONLY), true), ("rw", UInt64(MLR_MOUNT_ATTR_RDONLY), false),
        ("nosuid", UInt64(MLR_MOUNT_ATTR_NOSUID), true), ("suid", UInt64(MLR_MOUNT_ATTR_NOSUID), false),
        ("nodev", UInt64(MLR_MOUNT_ATTR_NODEV), true), ("dev", UInt64(MLR_MOUNT_ATTR_NODEV), false),
        ("noexec", UInt64(MLR_MOUNT_ATTR_NOEXEC), true), ("exec", UInt64(MLR_MOUNT_ATTR_NOEXEC), false),
        ("noatime", UInt64(MLR_MOUNT_ATTR_NOATIME), true), ("atime", UInt64(MLR_MOUNT_ATTR_NOATIME), false),
        ("strictatime", UInt64(MLR_MOUNT_ATTR_STRICTATIME), true),
        ("nostrictatime", UInt64(MLR_MOUNT_ATTR_STRICTATIME), false),
        // The kernel's default access time mode is the absence of the others.
        ("relatime", UInt64(MLR_MOUNT_ATTR__ATIME), false),
        ("nodiratime", UInt64(MLR_MOUNT_ATTR_NODIRATIME), true),
        ("diratime", UInt64(MLR_MOUNT_ATTR_NODIRATIME), false),
        ("nosymfollow", UInt64(MLR_MOUNT_ATTR_NOSYMFOLLOW), true),
        ("symfollow", UInt64(MLR_MOUNT_ATTR_NOSYMFOLLOW), false),
    ]
}
