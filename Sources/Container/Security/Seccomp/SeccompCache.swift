internal import CLibseccomp
internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import OCISpec

/// Compiled filters on disk. An entry is found by a short hash of what it was made from, and believed only if all of that
/// is in it, byte for byte: a collision costs a compilation, never a wrong filter.
struct SeccompCache {
    let directory: String

    private static let magic = Array("mlrun seccomp 2\n".utf8)

    /// Everything that the program depends on.
    static func key(for profile: RuntimeSpec.Seccomp) -> [UInt8] {
        // Of the headers, which is the library's own wherever it is linked in: a program that is kept must cost no call of it.
        let library = "\(SCMP_VER_MAJOR).\(SCMP_VER_MINOR).\(SCMP_VER_MICRO)"
        // Which calls there are is a matter of the kernel.
        let kernel = HostFacts.kernelRelease()
        let head = "libseccomp \(library)\narchitecture \(HostFacts.architecture)\nkernel \(kernel)\n"
        return Array(head.utf8) + profile.json.bytes()
    }

    func path(for key: [UInt8]) -> String {
        let name = String(Self.hash(key), radix: 16)
        return "\(directory)/\(String(repeating: "0", count: 16 - name.utf8.count))\(name).bpf"
    }

    /// The program kept for this key; nil if there is none, or none to be believed.
    func program(for key: [UInt8]) -> [UInt8]? {
        guard let file = try? File.open(path(for: key), O_RDONLY | O_NOFOLLOW | O_NONBLOCK),
            let status = try? File.status(of: file.rawValue),
            // Whoever else could write it could open the filter.
            status.mode & UInt32(S_IFMT) == UInt32(S_IFREG), status.uid == geteuid(), status.mode & 0o022 == 0,
            let content = Self.content(of: file.rawValue, size: status.size)
        else { return nil }
        let headSize = Self.magic.count + 24
        guard content.count >= headSize, content.starts(with: Self.magic) else { return nil }
        let keySize = Self.number(content, at: Self.magic.count)
        let programSize = Self.number(content, at: Self.magic.count + 8)
        let programHash = Self.number(content, at: Self.magic.count + 16)
        guard keySize == UInt64(key.count), programSize > 0, programSize % UInt64(BPFInstruction.size) == 0,
            programSize <= UInt64(BPFInstruction.mostOfProgram * BPFInstruction.size),
            content.count == headSize + key.count + Int(programSize),
            content[headSize..<headSize + key.count].elementsEqual(key)
        else { return nil }
        let program = Array(content[(headSize + key.count)...])
        return Self.hash(program) == programHash ? program : nil
    }

    private static func content(of file: Int32, size: UInt64) -> [UInt8]? {
        guard size <= 8 << 20 else { return nil }
        var content = [UInt8](repeating: 0, count: Int(size))
        let isRead = content.withUnsafeMutableBytes { (try? File.readAll(into: $0, from: file, at: 0)) != nil }
        return isRead ? content : nil
    }

    func keep(_ program: [UInt8], for key: [UInt8]) throws(SystemError) {
        var content = Self.magic
        for number in [UInt64(key.count), UInt64(program.count), Self.hash(program)] {
            withUnsafeBytes(of: number.littleEndian) { content.append(contentsOf: $0) }
        }
        content += key
        content += program
        try File.makeDirectories(directory, mode: 0o700)
        // After a power cut an entry may be torn; reading finds that out, so no flush is paid for.
        if try !keepWhole(content, at: path(for: key)) {
            try File.replace(path(for: key), with: content, durable: false)
        }
    }

    /// Gives the file its name when it is whole, so that nothing stays of a process that is killed meanwhile; false where the
    /// file system has no files without a name.
    private func keepWhole(_ content: [UInt8], at path: String) throws(SystemError) -> Bool {
        guard let file = try? File.open(directory, O_WRONLY | MLR_O_TMPFILE, mode: 0o600) else { return false }
        try File.writeAll(content, to: file.rawValue, path: path)
        func name() -> Int32 { linkat(AT_FDCWD, "/proc/self/fd/\(file.rawValue)", AT_FDCWD, path, AT_SYMLINK_FOLLOW) }
        if name() == 0 { return true }
        // An entry that is not to be believed.
        guard errno == EEXIST else { return false }
        try File.removeIfPresent(path)
        return name() == 0
    }

    private static func number(_ bytes: [UInt8], at start: Int) -> UInt64 {
        bytes[start..<start + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// FNV-1a, 64 bits.
    static func hash(_ bytes: [UInt8]) -> UInt64 {
        bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
    }
}
