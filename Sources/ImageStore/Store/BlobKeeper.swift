internal import CLinux
internal import Glibc
internal import LinuxSystem
public import OCISpec

/// Writes the blob of a layer into the store as it is transported, beside the layer that is made of it. One that fails
/// or is given up leaves nothing.
public final class BlobKeeper: @unchecked Sendable {
    private let descriptor: Descriptor
    private let target: String
    private let temporaryPath: String
    private let file: OwnedDescriptor
    private let presence: FileLock
    private var hasher: ContentHasher?
    private var received: Int64 = 0
    private var isOver = false

    init(_ descriptor: Descriptor, in store: ImageStore, hashing: Bool) throws(SystemError) {
        presence = try FileLock(store.ingestLock, exclusive: false)
        self.descriptor = descriptor
        target = store.blobFile(descriptor.digest)
        temporaryPath = "\(store.directories.ingest)/\(descriptor.digest.hex).\(File.randomName()).blob"
        hasher = hashing ? ContentHasher(like: descriptor.digest) : nil
        file = try File.open(temporaryPath, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
    }

    deinit { abandon() }

    /// Takes the next bytes.
    public func write(_ bytes: UnsafeRawBufferPointer) throws(StoreError) {
        received += Int64(bytes.count)
        guard received <= descriptor.size else {
            throw .wrongSize(blob: descriptor.digest, expected: descriptor.size, received: received)
        }
        hasher?.update(bytes)
        do throws(SystemError) { try File.writeAll(bytes, to: file.rawValue, path: temporaryPath) } catch {
            throw .full(error, directory: File.parent(of: temporaryPath), needed: descriptor.size - received)
        }
    }

    /// Checks size and digest, and gives the blob its name. Durable when this returns.
    public func finish() throws(StoreError) {
        guard received == descriptor.size else {
            throw .wrongSize(blob: descriptor.digest, expected: descriptor.size, received: received)
        }
        if let computed = hasher?.digest(), computed != descriptor.digest {
            throw .wrongDigest(expected: descriptor.digest, computed: computed)
        }
        do throws(SystemError) {
            try File.sync(file.rawValue, path: temporaryPath)
            try File.rename(temporaryPath, to: target)
            isOver = true
            try File.syncDirectory(File.parent(of: target))
        } catch {
            throw .full(error, directory: File.parent(of: target), needed: 0)
        }
    }

    /// Removes what was written. Harmless after ``finish()`` and when repeated.
    public func abandon() {
        if isOver { return }
        isOver = true
        _ = unlink(temporaryPath)
    }
}

extension ImageStore {
    /// Begins to keep a blob as it is transported.
    ///
    /// - Parameter hashing: off where the same bytes go through a ``LayerIngest``, which verifies them: then
    ///   ``BlobKeeper/finish()`` may be called only after that has finished.
    public func keepBlob(_ descriptor: Descriptor, hashing: Bool) throws(StoreError) -> BlobKeeper {
        do throws(SystemError) { return try BlobKeeper(descriptor, in: self, hashing: hashing) } catch {
            throw .full(error, directory: directories.ingest, needed: descriptor.size)
        }
    }

    /// The blob of a layer as it was transported; nil where it was not kept.
    public func keptBlob(_ descriptor: Descriptor) throws(StoreError) -> BlobFile? {
        let path = blobFile(descriptor.digest)
        do throws(SystemError) {
            let file = try File.open(path, O_RDONLY)
            guard try File.status(of: file.rawValue).size == UInt64(descriptor.size) else { return nil }
            return BlobFile(Extent(file: SharedDescriptor(file), offset: 0, size: descriptor.size, name: path))
        } catch {
            if error.errno == .noSuchFile { return nil }
            throw .system(error)
        }
    }
}

/// A blob in an open file, to be read from any place as often as needed. What it holds is yet to be verified.
public struct BlobFile: Sendable {
    private let extent: Extent

    init(_ extent: Extent) { self.extent = extent }

    /// Bytes in all.
    public var size: Int64 { extent.size }
    /// The file it is in.
    public var name: String { extent.name }

    /// Fills `buffer` from `offset` on; returns the bytes read, less than there is room for only at the end.
    public func read(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws(StoreError) -> Int {
        var filled = 0
        while filled < buffer.count, offset + Int64(filled) < size {
            let wanted = Int(min(Int64(buffer.count - filled), size - offset - Int64(filled)))
            let position = extent.offset + offset + Int64(filled)
            let start = filled
            let got = retrying { () -> Int in
                let got = pread(extent.file.rawValue, buffer.baseAddress! + start, wanted, off_t(position))
                return got < 0 ? -Int(errno) : got
            }
            if got < 0 { throw .system(SystemError("read", path: name, Errno(rawValue: Int32(-got)))) }
            if got == 0 { throw .image(.notAnImageSource(source: name, reason: "it became shorter while it was read")) }
            filled += got
        }
        return filled
    }
}

extension StoreError {
    /// A failed system call; a full disk is told with figures.
    static func full(_ error: SystemError, directory: String, needed: Int64) -> StoreError {
        guard error.errno == .noSpace || error.errno == .quotaExceeded else { return .system(error) }
        var status = statvfs()
        let free = statvfs(directory, &status) == 0 ? Int64(status.f_bavail) * Int64(status.f_frsize) : 0
        return .noSpace(path: directory, needed: needed, free: free)
    }
}
