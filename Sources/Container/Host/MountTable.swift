/// The text of proc_pid_mountinfo(5).
struct MountTable {
    /// One mount.
    struct Line {
        let id, parent, root, point, type, options: Substring

        init?(_ line: Substring) {
            let fields = line.split(separator: " ")
            guard let dash = fields.firstIndex(of: "-"), dash >= 6, fields.count > dash + 3 else { return nil }
            (id, parent, root, point) = (fields[0], fields[1], fields[3], fields[4])
            (type, options) = (fields[dash + 1], fields[dash + 3])
        }
    }

    private let lines: [Line]

    init(_ mountinfo: String) { lines = mountinfo.split(separator: "\n").compactMap(Line.init) }

    /// Those that a path leads to: the table also lists what later mounts lie over.
    func visible(_ isWanted: (Line) -> Bool) -> [Line] {
        let wanted = lines.filter(isWanted)
        // What lies over a mount is mounted at its place or above it; a host may have thousands that are not.
        let places = Set(wanted.flatMap { Self.ancestors(of: $0.point) })
        let related = lines.filter { places.contains($0.point) }
        return wanted.filter { !Self.isCovered($0, by: related) }
    }

    private static func isCovered(_ mount: Line, by others: [Line]) -> Bool {
        if others.contains(where: { $0.parent == mount.id && $0.point == mount.point }) { return true }
        var child = mount
        // The root is its own parent, or has one that is not listed.
        for _ in others {
            guard let parent = others.first(where: { $0.id == child.parent && $0.id != child.id }) else { break }
            let isHidden = others.contains { other in
                other.parent == parent.id && other.id != child.id && other.point != child.point
                    && ancestors(of: child.point).contains(other.point)
            }
            if isHidden { return true }
            child = parent
        }
        return false
    }

    /// The path itself and all that it lies below.
    private static func ancestors(of path: Substring) -> [Substring] {
        var found: [Substring] = [path]
        var rest = path
        while let slash = rest.lastIndex(of: "/"), slash > rest.startIndex {
            rest = rest[..<slash]
            found.append(rest)
        }
        if path != "/" { found.append("/") }
        return found
    }

    /// Space, tab, newline and backslash are written as three octal digits.
    static func unescape(_ field: Substring) -> String {
        guard field.contains("\\") else { return String(field) }
        var bytes: [UInt8] = []
        var rest = Substring(field).utf8
        while let byte = rest.first {
            let digits = Substring(rest.dropFirst().prefix(3))
            if byte == UInt8(ascii: "\\"), digits.utf8.count == 3, let value = UInt8(digits, radix: 8) {
                bytes.append(value)
                rest = rest.dropFirst(4)
            } else {
                bytes.append(byte)
                rest = rest.dropFirst()
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
