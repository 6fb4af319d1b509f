import CLinux
import Glibc
import LinuxSystem
import Testing

@Suite("removal of directories that a container has filled")
struct TreeRemovalTests {
    private func withDirectory(_ body: (String) throws -> Void) throws {
        let path = "\(String(cString: getenv("TMPDIR") ?? strdup("/tmp")))/mlrun-removal-\(File.randomName())"
        try File.makeDirectories(path)
        defer { try? File.removeTree(path) }
        try body(path)
    }

    @Test("a tree of 5,000 levels goes without using up stack or descriptors")
    func deep() throws {
        try withDirectory { path in
            var place = try File.open(path, O_RDONLY | O_DIRECTORY)
            for _ in 0..<5_000 {
                try #require(mkdirat(place.rawValue, "d", 0o755) == 0)
                try #require(mknodat(place.rawValue, "f", S_IFREG | 0o600, 0) == 0)
                place = try File.open("d", O_RDONLY | O_DIRECTORY, in: place.rawValue)
            }
            try File.removeTree(path)
            #expect(!File.exists(path))
        }
    }

    @Test("names that are no UTF-8 are removed as the bytes they are")
    func names() throws {
        try withDirectory { path in
            let inner = "\(path)/inner"
            try File.makeDirectories(inner)
            let directory = try File.open(inner, O_RDONLY | O_DIRECTORY)
            let names: [[UInt8]] = [[0xFF, 0x78], [0xC3], [0x0A], [0x1B, 0x5B, 0x32, 0x4A], [0x2E, 0x2E, 0x2E]]
            for name in names {
                let made = (name + [0]).withUnsafeBufferPointer { bytes in
                    bytes.withMemoryRebound(to: CChar.self) { mkdirat(directory.rawValue, $0.baseAddress!, 0o755) }
                }
                try #require(made == 0)
            }
            try File.removeTree(path)
            #expect(!File.exists(path))
        }
    }

    @Test("what a symbolic link points at stays")
    func links() throws {
        try withDirectory { path in
            try File.makeDirectories("\(path)/kept")
            try File.makeDirectories("\(path)/gone/inner")
            try #require(symlink("\(path)/kept", "\(path)/gone/inner/link") == 0)
            try #require(symlink("/nowhere", "\(path)/gone/dangling") == 0)
            try File.removeTree("\(path)/gone")
            #expect(File.exists("\(path)/kept"))
            #expect(!File.exists("\(path)/gone"))
            try File.removeTree("\(path)/gone")
        }
    }
}
