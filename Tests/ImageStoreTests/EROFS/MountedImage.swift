import CLinux
import Glibc
import LinuxSystem
import Testing

@testable import ImageStore

/// An EROFS image mounted by the kernel, seen by nobody but this process.
struct MountedImage: ~Copyable {
    let root: OwnedDescriptor

    init(_ path: String) throws {
        let context = OwnedDescriptor(taking: try check(mlr_fsopen("erofs"), "open a context for", path: path))
        func set(_ command: Int, _ key: String?, _ value: String?) throws {
            let result = key.withOptionalCString { key in
                value.withOptionalCString { mlr_fsconfig(context.rawValue, UInt32(command), key, $0, 0) }
            }
            var text = [CChar](repeating: 0, count: 512)
            let length = Int(mlr_fscontext_message(context.rawValue, &text, text.count))
            if result < 0, length > 0 {
                Issue.record("\(String(decoding: text[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self))")
            }
            try check(result, "configure a mount of", path: path)
        }
        try set(MLR_FSCONFIG_SET_STRING, "source", path)
        try set(MLR_FSCONFIG_SET_FLAG, "ro", nil)
        // As the store mounts layers; kernels before 6.15 do not have it.
        _ = mlr_fsconfig(context.rawValue, UInt32(MLR_FSCONFIG_SET_FLAG), "directio", nil, 0)
        try set(MLR_FSCONFIG_CMD_CREATE, nil, nil)
        root = OwnedDescriptor(taking: try check(mlr_fsmount(context.rawValue, 0), "mount", path: path))
    }

    func listing() throws -> FileListing { try FileListing(of: root.rawValue) }

    /// Whether this machine lets us: root, and a kernel that mounts EROFS from a file (6.12).
    static let isPossible: Bool = {
        guard geteuid() == 0, let scratch = try? ScratchImage() else { return false }
        guard (try? scratch.build([UInt8](repeating: 0, count: 1024))) == .some(nil) else { return false }
        return (try? MountedImage.canMount(scratch.path)) ?? false
    }()

    private static func canMount(_ path: String) throws -> Bool {
        let context = OwnedDescriptor(taking: try check(mlr_fsopen("erofs"), "open a context"))
        return path.withCString { path in
            mlr_fsconfig(context.rawValue, UInt32(MLR_FSCONFIG_SET_STRING), "source", path, 0) >= 0
                && mlr_fsconfig(context.rawValue, UInt32(MLR_FSCONFIG_CMD_CREATE), nil, nil, 0) >= 0
        }
    }
}

extension String? {
    fileprivate func withOptionalCString<Result>(_ body: (UnsafePointer<CChar>?) -> Result) -> Result {
        guard let self else { return body(nil) }
        return self.withCString(body)
    }
}
