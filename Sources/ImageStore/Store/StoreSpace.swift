internal import Glibc
internal import LinuxSystem
public import OCISpec

extension ImageStore {
    /// Kept free of what the file system has, but not more than this: services write logs there too.
    private static let largestReserve: Int64 = 256 << 20

    /// Refuses what cannot fit, before anything of it is fetched. When it does not fit now, layers that no image needs
    /// and nobody is about to need are deleted first.
    ///
    /// What a compressed layer takes once unpacked is not known, so its size as transported is counted: what is refused
    /// could not have been stored.
    ///
    /// - Parameter blobs: What is to be fetched; layers that are in the store already are not counted.
    ///   - keepingBlobs: The blobs themselves are to be stored beside the layers made of them.
    /// - Throws: ``StoreError/noSpace(path:needed:free:)``.
    public func reserveSpace(for blobs: [Descriptor], keepingBlobs: Bool = false) throws(StoreError) {
        var missing: [Digest: Int64] = [:]
        for blob in blobs where try layer(blob.digest) == nil { missing[blob.digest] = blob.size }
        let needed = missing.values.reduce(Int64(0)) { sum, size in
            let (bytes, isTwiceTooMuch) = size.multipliedReportingOverflow(by: keepingBlobs ? 2 : 1)
            let (more, isTooMuch) = sum.addingReportingOverflow(bytes)
            return isTwiceTooMuch || isTooMuch ? .max : more
        }
        if needed == 0 { return }
        if try freeSpace() >= needed { return }
        try collectUnreferenced(grace: 0)
        let free = try freeSpace()
        if free < needed { throw .noSpace(path: directories.root, needed: needed, free: free) }
    }

    /// Bytes that may still be written, the reserve left out.
    func freeSpace() throws(StoreError) -> Int64 {
        var status = statvfs()
        guard statvfs(directories.root, &status) == 0 else {
            throw .system(SystemError("ask for the free space of", path: directories.root, Errno(rawValue: errno)))
        }
        let unit = Int64(status.f_frsize)
        let (all, overflow) = Int64(clamping: status.f_blocks).multipliedReportingOverflow(by: unit)
        let (free, endless) = Int64(clamping: status.f_bavail).multipliedReportingOverflow(by: unit)
        // Some file systems without an end say that they have no blocks.
        if overflow || endless || all == 0 { return .max }
        return max(0, free - min(all / 20, Self.largestReserve))
    }

    /// Runs `body`; when the disk is full, deletes layers that no image needs and nobody is about to need, and runs it
    /// once more if that freed anything. `body` must leave nothing behind when it fails.
    public func withSpace<Result>(_ body: () throws(StoreError) -> Result) throws(StoreError) -> Result {
        do throws(StoreError) { return try body() } catch {
            guard try makeRoom(after: error) else { throw error }
        }
        return try body()
    }

    /// Whether an error says that the disk is full, and deleting layers that no image needs and nobody is about to need
    /// freed something, so that what failed is worth one more try.
    public func makeRoom(after error: StoreError) throws(StoreError) -> Bool {
        guard case .noSpace = error else { return false }
        return try collectUnreferenced(grace: 0).freedBytes > 0
    }
}

extension StoreError {
    /// An error of the kernel; one that means a full disk with figures.
    init(_ error: SystemError, writing needed: Int64, in directory: String) {
        guard error.errno == .noSpace || error.errno == .quotaExceeded else {
            self = .system(error)
            return
        }
        var status = statvfs()
        let free = statvfs(directory, &status) == 0 ? Int64(status.f_bavail) * Int64(status.f_frsize) : 0
        self = .noSpace(path: directory, needed: needed, free: free)
    }
}
