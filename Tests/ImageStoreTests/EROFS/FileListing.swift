import CLinux
import Glibc
import LinuxSystem
import OCISpec

@testable import ImageStore

/// What can be seen of every file below a directory: one comparable line a path.
struct FileListing: Equatable {
    var lines: [String: String] = [:]

    /// Walks below an open directory. Sizes of directories differ between file systems and are left out.
    init(of directory: Int32) throws {
        try walk("/proc/self/fd/\(directory)/.", name: ".")
    }

    private mutating func walk(_ path: String, name: String) throws {
        let status = try File.status(path, followingLinks: false)
        lines[name] = try Self.line(path, status)
        guard status.mode & 0o170000 == 0o040000 else { return }
        // A name that is not UTF-8 cannot be looked up again by its text.
        for child in try File.list(path) where !child.unicodeScalars.contains("\u{FFFD}") {
            try walk("\(path)/\(child)", name: "\(name)/\(child)")
        }
    }

    private static func line(_ path: String, _ status: mlr_status) throws -> String {
        let type = status.mode & 0o170000
        var fields = [
            String(status.mode, radix: 8), "owner \(status.uid):\(status.gid)", "links \(status.links)",
            "time \(status.modified_seconds).\(status.modified_nanoseconds)",
        ]
        switch type {
        case 0o100000:
            fields += ["size \(status.size)", try "sha256 \(hash(path))"]
        case 0o120000: fields += ["size \(status.size)", try "to \(File.readLink(path))"]
        case 0o020000, 0o060000: fields.append("device \(status.special_major):\(status.special_minor)")
        default: break
        }
        return (fields + attributes(path)).joined(separator: " ")
    }

    private static func hash(_ path: String) throws -> String {
        let file = try File.open(path, O_RDONLY)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        defer { buffer.deallocate() }
        var hash = ContentHasher(like: nil)
        while true {
            let got = read(file.rawValue, buffer.baseAddress, buffer.count)
            if got < 0 { throw SystemError("read", path: path, Errno(rawValue: errno)) }
            if got == 0 { return hash.digest().hex }
            hash.update(UnsafeRawBufferPointer(rebasing: buffer[..<got]))
        }
    }

    private static func attributes(_ path: String) -> [String] {
        var names = [CChar](repeating: 0, count: 65536)
        let length = mlr_list_attributes(path, &names, names.count)
        guard length >= 0 else { return ["attributes: \(Errno(rawValue: Int32(-length)))"] }
        let list = names[..<Int(length)].split(separator: 0).map {
            String(decoding: $0.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
        return list.sorted().map { name in
            var value = [UInt8](repeating: 0, count: 65536)
            let size = mlr_get_attribute(path, name, &value, value.count)
            return
                "\(name)=\(size < 0 ? "?" : value[..<Int(size)].map { String($0, radix: 16) }.joined(separator: "."))"
        }
    }

    /// What differs, a few lines of it.
    func differences(from other: FileListing) -> [String] {
        var result: [String] = []
        for name in Set(lines.keys).union(other.lines.keys).sorted() where lines[name] != other.lines[name] {
            result.append("\(name): \(lines[name] ?? "missing") <> \(other.lines[name] ?? "missing")")
        }
        return Array(result.prefix(10))
    }
}
