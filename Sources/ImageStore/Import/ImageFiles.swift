internal import CLinux
internal import Crypto
internal import Glibc
internal import LinuxSystem
internal import OCISpec

/// A stretch of an open file: a blob of a layout, or a member of an archive.
struct Extent: Sendable {
    let file: SharedDescriptor
    let offset: Int64
    let size: Int64
    /// What an error calls it.
    let name: String

    /// Hands over the content in pieces of at most 1 MiB.
    func read(_ body: (UnsafeRawBufferPointer) throws(StoreError) -> Void) throws(StoreError) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        defer { buffer.deallocate() }
        var done: Int64 = 0
        while done < size {
            let wanted = Int(min(Int64(buffer.count), size - done))
            let position = offset + done
            let got = retrying { () -> Int in
                let got = pread(file.rawValue, buffer.baseAddress, wanted, off_t(position))
                return got < 0 ? -Int(errno) : got
            }
            if got < 0 { throw .system(SystemError("read", path: name, Errno(rawValue: Int32(-got)))) }
            if got == 0 { throw .image(.notAnImageSource(source: name, reason: "it became shorter while it was read")) }
            try body(UnsafeRawBufferPointer(rebasing: buffer[..<got]))
            done += Int64(got)
        }
    }

    /// The whole content, refused beyond `limit` bytes.
    func bytes(limit: Int = 16 << 20) throws(StoreError) -> [UInt8] {
        if size > limit { throw .system(SystemError("read", path: name, Errno(rawValue: EFBIG))) }
        var content: [UInt8] = []
        content.reserveCapacity(Int(size))
        try read { piece in content.append(contentsOf: piece) }
        return content
    }

    /// The first bytes.
    func start(_ count: Int) throws(StoreError) -> [UInt8] {
        try Extent(file: file, offset: offset, size: min(size, Int64(count)), name: name).bytes()
    }

    func sha256() throws(StoreError) -> OCISpec.Digest {
        var hash = SHA256()
        try read { piece in hash.update(bufferPointer: piece) }
        return OCISpec.Digest(sha256: hash.finalize())
    }
}

/// Array.withUnsafeBytes, which loses the type of what its closure throws.
func pass(_ bytes: [UInt8], to body: (UnsafeRawBufferPointer) throws(StoreError) -> Void) throws(StoreError) {
    var failure: StoreError?
    bytes.withUnsafeBytes { buffer in
        do throws(StoreError) { try body(buffer) } catch { failure = error }
    }
    if let failure { throw failure }
}

/// The files an image is imported from, by their names in the layout or archive.
protocol ImageFiles: Sendable {
    /// As a person would write it.
    var source: String { get }
    /// Nil when there is no file of this name.
    func file(_ name: String) throws(StoreError) -> Extent?
    /// A file that went into the store as a layer while the source was still being read.
    func storedLayer(_ name: String) -> (digest: OCISpec.Digest, size: Int64)?
}

extension ImageFiles {
    func storedLayer(_ name: String) -> (digest: OCISpec.Digest, size: Int64)? { nil }

    /// A file that must be there.
    func required(_ name: String) throws(StoreError) -> Extent {
        guard let extent = try file(name) else { throw .image(.missingPart(source: source, part: name)) }
        return extent
    }

    /// A manifest, index or configuration of an OCI layout, verified.
    func document(_ digest: OCISpec.Digest) throws(StoreError) -> [UInt8] {
        let bytes = try required(Self.blobName(digest)).bytes()
        let actual = ContentHash.digest(of: bytes, like: digest)
        if actual != digest { throw .wrongDigest(expected: digest, computed: actual) }
        return bytes
    }

    static func blobName(_ digest: OCISpec.Digest) -> String { "blobs/\(digest.algorithm)/\(digest.hex)" }
}

/// An OCI image layout in a directory.
struct LayoutDirectory: ImageFiles {
    let path: String
    let source: String

    func file(_ name: String) throws(StoreError) -> Extent? {
        let path = "\(path)/\(name)"
        do throws(SystemError) {
            // Not blocking, lest a FIFO that poses as a blob stop everything.
            let opened = try File.open(path, O_RDONLY | O_NONBLOCK)
            let status = try File.status(of: opened.rawValue)
            guard status.mode & S_IFMT == S_IFREG else { throw SystemError("read", path: path, .invalidArgument) }
            return Extent(file: SharedDescriptor(opened), offset: 0, size: Int64(status.size), name: path)
        } catch {
            if error.errno == .noSuchFile { return nil }
            throw .system(error)
        }
    }
}
