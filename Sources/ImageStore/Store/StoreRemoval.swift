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
    /// Bytes of layer files that are gone.
    public var freedBytes: Int64 = 0

    public init() {}
}

extension ImageStore {
    /// Completed layers that no image names are left alone for this many seconds: a pull that was cut off finds them
    /// again.
    public static let gracePeriod: Int64 = 600

    /// Takes a reference from its image, and deletes the image and the layers nobody else needs with its last one.
    ///
    /// - Parameters:
    ///   - name: As for ``image(_:)``. An ID or digest stands for all references of the image.
    ///   - force: Removes an image by ID although it has several references, or although it is in use (it is then
    ///     kept untagged, and what runs goes on).
    ///   - inUse: Digests of images (ID or manifest) and of layers that services use.
    public func remove(_ name: String, force: Bool = false, inUse: Set<Digest> = []) throws(StoreError) -> Removal {
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
            if isLast, isInUse(image, inUse), !force { throw .image(.inUse(name)) }
            return try drop(found, of: all, inUse: inUse, grace: nil)
        }
    }

    /// Removes images without a reference, or with `all` every image, that nothing uses; then layers and blobs that no
    /// image names and that are older than the grace period.
    public func prune(
        all: Bool, inUse: Set<Digest> = [], grace: Int64 = ImageStore.gracePeriod
    ) throws(StoreError) -> Removal {
        do throws(SystemError) {
            try removeAbandonedIngests()
            try removeTemporaries(olderThan: grace)
        } catch {
            throw .system(error)
        }
        return try whileRecordsStandStill { () throws(StoreError) in
            let images = try images()
            let unwanted = images.filter { (all || $0.reference == ImageRecord.untagged) && !isInUse($0, inUse) }
            return try drop(unwanted, of: images, inUse: inUse, grace: grace)
        }
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

    private func isInUse(_ image: ImageRecord, _ inUse: Set<Digest>) -> Bool {
        inUse.contains(image.config) || inUse.contains(image.manifestDigest)
    }

    /// Removes records, then whatever only they needed; with a grace period also what nobody named before.
    private func drop(
        _ unwanted: [ImageRecord], of all: [ImageRecord], inUse: Set<Digest>, grace: Int64?
    ) throws(StoreError) -> Removal {
        var removal = Removal()
        var kept = all
        for image in unwanted {
            kept.removeAll { $0.reference == image.reference && $0.manifestDigest == image.manifestDigest }
            let isLast = !kept.contains { $0.manifestDigest == image.manifestDigest }
            if isLast, isInUse(image, inUse) {
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
            unwanted.flatMap { $0.layers.map(\.digest) }, blobsOf: unwanted, kept: kept, inUse: inUse, grace: grace,
            into: &removal)
        return removal
    }
}
