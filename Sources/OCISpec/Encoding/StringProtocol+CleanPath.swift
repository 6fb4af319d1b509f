extension StringProtocol {
    /// The absolute path that this one comes to by its text alone, as Go's `filepath.Clean` gives it below `/`. Callers expect
    /// it of a container's mount points, whatever links its image has.
    public var cleanPath: String {
        var names: [String.UTF8View.SubSequence] = []
        let path = String(self)
        // By bytes, as the kernel does: a slash that is one character with an accent behind it separates all the same.
        for name in path.utf8.split(separator: UInt8(ascii: "/")) where !name.elementsEqual(".".utf8) {
            if name.elementsEqual("..".utf8) { _ = names.popLast() } else { names.append(name) }
        }
        return names.isEmpty ? "/" : names.map { "/\(Substring($0))" }.joined()
    }
}
