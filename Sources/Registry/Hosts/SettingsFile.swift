internal import Glibc

/// Reads the files of users and administrators that settings come from.
enum SettingsFile {
    private static let limit = 1 << 20

    /// The content of a file; nil if it is not there.
    static func read(_ path: String, _ kind: RegistryError.Kind = .configuration) throws(RegistryError) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        if descriptor < 0 {
            let number = errno
            if number == ENOENT || number == ENOTDIR { return nil }
            throw failure("open", path, kind, number)
        }
        defer { close(descriptor) }
        var content: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            let got = Glibc.read(descriptor, &buffer, buffer.count)
            if got == 0 { return content }
            if got < 0 {
                let number = errno
                if number == EINTR { continue }
                throw failure("read", path, kind, number)
            }
            content.append(contentsOf: buffer[..<got])
            if content.count > limit {
                throw RegistryError(kind, "cannot read \(path): it is larger than \(limit) bytes")
            }
        }
    }

    /// The names in a directory, sorted; nil if it is not there.
    static func names(in path: String) throws(RegistryError) -> [String]? {
        guard let directory = opendir(path) else {
            let number = errno
            if number == ENOENT || number == ENOTDIR { return nil }
            throw failure("open", path, .configuration, number)
        }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    private static func failure(
        _ action: String, _ path: String, _ kind: RegistryError.Kind, _ number: Int32
    ) -> RegistryError {
        let reason = strerror(number).map { String(cString: $0).lowercased() } ?? "error \(number)"
        return RegistryError(
            kind, "cannot \(action) \(path): \(reason)",
            remedy: number == EACCES ? "run mlrun as a user who may read it, or change its permissions" : nil)
    }
}
