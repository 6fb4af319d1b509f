internal import CLinux
internal import Glibc
internal import LinuxSystem

/// A file system being configured (fsopen(2)). What fails says what the kernel wrote about it, besides the error
/// number.
struct FileSystemContext: ~Copyable {
    private let descriptor: OwnedDescriptor
    private let type: String

    init(_ type: String) throws(SystemError) {
        descriptor = OwnedDescriptor(taking: try check(mlr_fsopen(type), "open the file system type \(type)"))
        self.type = type
    }

    func set(_ key: String, _ value: String) throws(SystemError) {
        try confirm(
            value.withCString { mlr_fsconfig(descriptor.rawValue, UInt32(MLR_FSCONFIG_SET_STRING), key, $0, 0) },
            "set \(key)=\(value) of \(type)")
    }

    func set(_ flag: String) throws(SystemError) {
        try confirm(
            mlr_fsconfig(descriptor.rawValue, UInt32(MLR_FSCONFIG_SET_FLAG), flag, nil, 0), "set \(flag) of \(type)")
    }

    /// Passes an open directory, O_PATH or a detached mount, as a value.
    func set(_ key: String, descriptor value: Int32) throws(SystemError) {
        try confirm(
            mlr_fsconfig(descriptor.rawValue, UInt32(MLR_FSCONFIG_SET_FD), key, nil, value), "set \(key) of \(type)")
    }

    /// Creates the file system and returns a detached mount of it.
    func mount(_ attributes: Int) throws(SystemError) -> OwnedDescriptor {
        try confirm(
            mlr_fsconfig(descriptor.rawValue, UInt32(MLR_FSCONFIG_CMD_CREATE), nil, nil, 0), "mount \(type)")
        let mount = mlr_fsmount(descriptor.rawValue, UInt32(attributes))
        try confirm(mount, "mount \(type)")
        return OwnedDescriptor(taking: mount)
    }

    private func confirm(_ result: Int32, _ operation: String) throws(SystemError) {
        guard result < 0 else { return }
        var buffer = [CChar](repeating: 0, count: 512)
        var said: [String] = []
        while said.count < 4, mlr_fscontext_message(descriptor.rawValue, &buffer, buffer.count) > 0 {
            let bytes = buffer.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }
            said.append(String(decoding: bytes, as: UTF8.self))
        }
        let reason = said.isEmpty ? operation : "\(operation) (\(said.joined(separator: "; ")))"
        throw SystemError(reason, Errno(rawValue: -result))
    }
}

/// What of the mount interfaces to use; a kernel that lacks one makes the next simpler be used. Tests take them away
/// one by one.
struct MountSupport: Sendable {
    /// EROFS mounted from a file (6.12 on), else through a loop device.
    var fileBacked = true
    /// `lowerdir+` by descriptor (6.13 on).
    var lowerByDescriptor = true
    /// `lowerdir+` by path, one a call (6.7 on), else one `lowerdir` string.
    var lowerByPath = true
    /// Overlay takes detached mounts as layers (6.15 on), else they are attached while it is mounted.
    var detachedLowers = true
    /// The longest string fsconfig(2) takes; beyond it mount(2) is used, which takes a page.
    var longestOption = 255
}
