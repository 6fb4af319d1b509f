internal import LinuxSystem
public import OCISpec

/// What a removal did.
public struct Removal: Sendable, Equatable {
    /// References that no longer name an image.
    public var untagged: [String] = []
    /// IDs of images that are gone.
    public var deletedImages: [Digest] = []
    /// Digests of layers that are gone.
    public var deletedLayers: [Digest] = []
    /// Bytes of files that are gone.
    public var freedBytes: Int64 = 0

    public init() {}
}

extension ImageStore {
    /// Completed layers that no image names are left alone for this many seconds: a pull that was cut off finds them
    /// again.
    public static let gracePeriod: Int64 = 600
    /// Whatever the grace period, a file that was begun so many seconds ago may be about to get its name.
    private static let temporaryLife: Int64 = 60

    /// Takes a reference from its image, and deletes the image and the layers nobody else needs with its last one.
    ///
    /// - Parameters:
    ///   - name: As for ``image(_:)``. An ID or digest stands for all references of the image.
    ///   - force: Removes an image by ID although it has several references, or although it is in use (it is then
    ///     kept untagged, and what runs goes on).
    ///   - uses: Who uses what.
    public func remove(_ name: String, force: Bool = false, uses: ImageUses = ImageUses()) throws(StoreError) -> Removal
    {
        try whileRecordsStandStill { () throws(StoreError) in
            let found = try matches(name)
            guard let image = found.first else { throw .image(.noSuchImage(name)) }
            if found.count > 1, !force {
                throw .image(.severalReferences(name, references: found.map(\.reference).sorted()))
            }
            let all = try images()
            let others = all.filter { other in
                !found.contains { $0.reference == other.reference && $0.config == other.config }
            }
            let isLast = !others.contains { $0.config == image.config }
            let users = uses.users(of: image)
            if isLast, !users.isEmpty, !force { throw .image(.inUse(name, by: users)) }
            return try drop(found, of: all, uses: uses, grace: nil)
        }
    }

    /// Removes images without a reference, or with `all` every image, that nothing uses; then layers and blobs that no
    /// image names and that are older than the grace period, and what dead processes left.
    ///
    /// - Parameter before: Only images that came into the store before this time, in seconds since 1970.
    public func prune(
        all: Bool, before: Int64? = nil, uses: ImageUses = ImageUses(), grace: Int64 = ImageStore.gracePeriod
    ) throws(StoreError) -> Removal {
        do throws(SystemError) {
            try removeAbandonedIngests()
            try removeTemporaries(olderThan: max(grace, Self.temporaryLife))
        } catch {
            throw .system(error)
        }
        let removal = try whileRecordsStandStill { () throws(StoreError) in
            let images = try images()
            let unwanted = images.filter { image in
                (all || image.reference == ImageRecord.untagged) && before.map { image.pulledAt < $0 } ?? true
                    && uses.users(of: image).isEmpty
            }
            return try drop(unwanted, of: images, uses: uses, grace: grace)
        }
        do throws(SystemError) { try removeDeadLocks() } catch { throw .system(error) }
        return removal
    }

    /// Deletes layers and blobs that no image names, older than the grace period, and nothing else: what a pull does
    /// when it failed, or when the disk is full.
    @discardableResult
    public func collectUnreferenced(grace: Int64 = ImageStore.gracePeriod) throws(StoreError) -> Removal {
        var removal = Removal()
        do throws(SystemError) {
            try removeAbandonedIngests()
            try removeTemporaries(olderThan: max(grace, Self.temporaryLife))
        } catch {
            throw .system(error)
        }
        try whileRecordsStandStill { () throws(StoreError) in
            try collect([], blobsOf: [], kept: try images(), inUse: [], grace: grace, into: &removal)
        }
        return removal
    }

    /// Deletes layers that a failed pull brought, except what an image names or somebody else has pinned meanwhile.
    @discardableResult
    public func discardLayers(_ digests: [Digest]) throws(StoreError) -> Removal {
        var removal = Removal()
        if digests.isEmpty { return removal }
        try whileRecordsStandStill { () throws(StoreError) in
            try collect(digests, blobsOf: [], kept: try images(), inUse: [], grace: nil, into: &removal)
        }
        return removal
    }

    /// Removes records, then whatever only they needed; with a grace period also what nobody named before.
    private func drop(
        _ unwanted: [ImageRecord], of all: [ImageRecord], uses: ImageUses, grace: Int64?
    ) throws(StoreError) -> Removal {
        var removal = Removal()
        var kept = all
        for image in unwanted {
            kept.removeAll { $0.reference == image.reference && $0.manifestDigest == image.manifestDigest }
            let isLast = !kept.contains { $0.manifestDigest == image.manifestDigest }
            if isLast, !uses.users(of: image).isEmpty {
                var left = image
                left.reference = ImageRecord.untagged
                do throws(SystemError) { try File.replace(recordFile(of: left), with: left.json.bytes()) } catch {
                    throw .system(error)
                }
                kept.append(left)
                if image.reference == ImageRecord.untagged { continue }
            } else if !kept.contains(where: { $0.config == image.config }) {
                removal.deletedImages.append(image.config)
            }
            do throws(SystemError) { try File.removeIfPresent(recordFile(of: image)) } catch { throw .system(error) }
            if image.reference != ImageRecord.untagged { removal.untagged.append(image.reference) }
        }
        // No layer may vanish before the records that name it are durably gone.
        do throws(SystemError) { try File.syncDirectory(directories.images) } catch { throw .system(error) }
        try collect(
            unwanted.flatMap { $0.layers.map(\.digest) }, blobsOf: unwanted, kept: kept, inUse: uses.digests,
            grace: grace, into: &removal)
        return removal
    }
}
