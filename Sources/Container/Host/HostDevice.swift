internal import CLinux
internal import Glibc
public import LinuxSystem
public import OCISpec

/// A device node of the host, as a container may get one of its own with the same numbers.
public struct HostDevice: Sendable, Equatable {
    /// What a node is; the raw values are runtime-spec's.
    public enum Kind: String, Sendable {
        case character = "c"
        case block = "b"
        case fifo = "p"
    }

    /// On the host.
    public let path: String
    /// What it is.
    public let kind: Kind
    /// The driver's number.
    public let major: UInt32
    /// The device's number within its driver.
    public let minor: UInt32
    /// Permission bits.
    public let mode: UInt32
    /// Its owner.
    public let uid: UInt32
    /// Its group.
    public let gid: UInt32

    public init(
        path: String, kind: Kind, major: UInt32, minor: UInt32, mode: UInt32, uid: UInt32, gid: UInt32
    ) {
        self.path = path
        self.kind = kind
        self.major = major
        self.minor = minor
        self.mode = mode
        self.uid = uid
        self.gid = gid
    }

    /// Looks a host path up; nil if what is there is no device node. Symbolic links are followed, since the host's
    /// administrator made them (`/dev/disk/by-id/…`).
    public init?(lookingUp path: String) throws(SystemError) {
        let status = try File.status(path)
        let kind: Kind
        switch status.mode & UInt32(S_IFMT) {
        case UInt32(S_IFCHR): kind = .character
        case UInt32(S_IFBLK): kind = .block
        case UInt32(S_IFIFO): kind = .fifo
        default: return nil
        }
        self.init(
            path: path, kind: kind, major: status.special_major, minor: status.special_minor,
            mode: status.mode & 0o7777, uid: status.uid, gid: status.gid)
    }

    /// Every device node below a directory, as `--device /dev/dri` means it, in the order of their paths.
    public static func all(below directory: String) throws(SystemError) -> [HostDevice] {
        var found: [HostDevice] = []
        for name in try File.list(directory).sorted() {
            let path = "\(directory)/\(name)"
            let status = try File.status(path, followingLinks: false)
            switch status.mode & UInt32(S_IFMT) {
            case UInt32(S_IFDIR): found += try all(below: path)
            case UInt32(S_IFLNK): continue
            default: if let device = try HostDevice(lookingUp: path) { found.append(device) }
            }
        }
        return found
    }

    /// The node to make in a container, at `path` inside it.
    public func device(at path: String? = nil) -> RuntimeSpec.Device {
        RuntimeSpec.Device(
            type: kind.rawValue, path: path ?? self.path, major: Int64(major), minor: Int64(minor), fileMode: mode,
            uid: uid, gid: gid)
    }

    /// The rule that lets a container use it; `access` of `rwm`.
    public func rule(access: String = "rwm") -> RuntimeSpec.Resources.DeviceRule {
        RuntimeSpec.Resources.DeviceRule(
            allow: true, type: kind.rawValue, major: Int64(major), minor: Int64(minor), access: access)
    }
}
