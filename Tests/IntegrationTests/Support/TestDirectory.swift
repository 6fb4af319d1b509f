import CLinux
import Glibc
import LinuxSystem

/// A directory of its own that goes away with this value. Its path is short, since sockets are made below it.
final class TestDirectory: Sendable {
    let path: String

    init() throws {
        // A writable layer of overlayfs cannot be on another overlayfs, which the guest's /tmp is.
        let parent = TestMachine.isGuest ? "/scratch" : "/tmp"
        path = "\(parent)/mlrt-\(File.randomName().prefix(8))"
        try File.makeDirectories(path)
    }

    deinit { try? File.removeTree(path) }

    /// Writes a file in the directory and returns its path.
    @discardableResult
    func write(_ name: String, _ text: String, mode: UInt32 = 0o644) throws -> String {
        try write(name, Array(text.utf8), mode: mode)
    }

    @discardableResult
    func write(_ name: String, _ bytes: [UInt8], mode: UInt32 = 0o644) throws -> String {
        let file = "\(path)/\(name)"
        try File.makeDirectories(File.parent(of: file))
        try File.replace(file, with: bytes, mode: mode, durable: false)
        guard chmod(file, mode) == 0 else { throw SystemError("set the mode of", path: file, Errno(rawValue: errno)) }
        return file
    }
}
