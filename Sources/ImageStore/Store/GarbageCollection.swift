internal import CLinux
internal import LinuxSystem
internal import OCISpec

extension ImageStore {
    /// Deletes these layers and the blobs of these images unless another image names them, and with a grace period also
    /// any older than that which no image names. Whatever is pinned, in use or being fetched stays.
    func collect(
        _ candidates: [Digest], blobsOf removed: [ImageRecord], kept: [ImageRecord], inUse: Set<Digest>, grace: Int64?,
        into removal: inout Removal
    ) throws(StoreError) {
        var live: Set<String> = Set(inUse.map(\.hex))
        var liveBlobs = live
        for image in kept {
            live.formUnion(image.layers.map(\.digest.hex))
            liveBlobs.formUnion(Self.blobs(of: image))
        }
        var layers = Set(candidates.map(\.hex))
        // A layer's blob is kept under the layer's digest, or not at all.
        let ofLayers = layers.union(removed.flatMap { $0.layerBlobs.map(\.hex) })
        var blobs = Set(removed.flatMap(Self.blobs)).union(layers)
        do throws(SystemError) {
            if let grace {
                layers.formUnion(try namesOlder(than: grace, in: directories.layers))
                blobs.formUnion(try namesOlder(than: grace, in: directories.blobs))
            }
            for hex in blobs.subtracting(liveBlobs) {
                let bytes = try deleteBlob(hex)
                // Documents are too small to be told of.
                if ofLayers.contains(hex) { removal.freedBytes += bytes }
            }
        } catch {
            throw .system(error)
        }
        let dead = layers.subtracting(live).sorted()
        if dead.isEmpty { return }
        var gone: [(Digest, Int64)] = []
        try whileMountsStandStill { () throws(StoreError) in
            for digest in dead.compactMap(Self.digest) {
                do throws(SystemError) {
                    if let bytes = try deleteLayer(digest) { gone.append((digest, bytes)) }
                } catch {
                    throw .system(error)
                }
            }
        }
        removal.deletedLayers += gone.map(\.0)
        removal.freedBytes += gone.reduce(0) { $0 + $1.1 }
    }

    /// The digest with these digits; nil for a name that is none.
    static func digest(_ hex: String) -> Digest? { Digest("\(hex.utf8.count == 64 ? "sha256" : "sha512"):\(hex)") }

    /// Removes the files of locks whose holders were killed.
    func removeDeadLocks() throws(SystemError) {
        for name in try File.list(directories.locks) where name.hasSuffix(".pin") || name.hasSuffix(".ingest") {
            // Taking the lock and letting go of it removes the file, if nobody else has it.
            _ = try DigestLock.acquireIfFree("\(directories.locks)/\(name)", exclusive: true)
        }
    }

    /// Removes temporary files that a process left when it died between writing and renaming them.
    func removeTemporaries(olderThan grace: Int64) throws(SystemError) {
        for directory in [directories.layers, diffIDs, directories.blobs, directories.images] {
            for name in try File.list(directory) where name.hasSuffix(".tmp") {
                let path = "\(directory)/\(name)"
                guard let status = try? File.status(path, followingLinks: false) else { continue }
                if currentTime() - status.modified_seconds >= grace { try File.removeIfPresent(path) }
            }
        }
    }

    /// The digests in a directory whose files are all older than `grace` seconds.
    private func namesOlder(than grace: Int64, in directory: String) throws(SystemError) -> Set<String> {
        var old: Set<String> = []
        var young: Set<String> = []
        for name in try File.list(directory) where !name.hasSuffix(".tmp") {
            let hex = String(name.prefix { $0 != "." })
            guard let status = try? File.status("\(directory)/\(name)", followingLinks: false) else { continue }
            if currentTime() - status.modified_seconds >= grace { old.insert(hex) } else { young.insert(hex) }
        }
        return old.subtracting(young)
    }

    /// The names of everything in `blobs/` that an image has or may have.
    private static func blobs(of image: ImageRecord) -> [String] {
        [image.config.hex, image.manifestDigest.hex] + (image.indexDigest.map { [$0.hex] } ?? [])
            + image.layerBlobs.map(\.hex)
    }

    /// Deletes one blob, unless it is a layer's on its way to an image; returns the bytes that became free.
    private func deleteBlob(_ hex: String) throws(SystemError) -> Int64 {
        guard let digest = Digest("\(hex.utf8.count == 64 ? "sha256" : "sha512"):\(hex)") else { return 0 }
        guard let pin = try DigestLock.acquireIfFree(pinFile(digest), exclusive: true) else { return 0 }
        let bytes = (try? File.status(blobFile(digest))).map { Int64($0.blocks) * 512 } ?? 0
        try File.removeIfPresent(blobFile(digest))
        withExtendedLifetime(pin) {}
        return bytes
    }

    /// Deletes one layer unless somebody needs it now; nil when it stays.
    private func deleteLayer(_ digest: Digest) throws(SystemError) -> Int64? {
        guard let pin = try DigestLock.acquireIfFree(pinFile(digest), exclusive: true),
            let ingest = try DigestLock.acquireIfFree("\(directories.locks)/\(digest.hex).ingest", exclusive: true),
            try unmountLayer(digest)
        else { return nil }
        let record = try? layer(digest)
        let bytes = (try? File.status(layerFile(digest))).map { Int64($0.blocks) * 512 } ?? 0
        // The record first: a file without one is a layer that is not there.
        try File.removeIfPresent(layerRecordFile(digest))
        try File.removeIfPresent(layerFile(digest))
        if let record, (try? File.readLink("\(diffIDs)/\(record.diffID.hex)")) == digest.hex {
            try File.removeIfPresent("\(diffIDs)/\(record.diffID.hex)")
        }
        withExtendedLifetime((pin, ingest)) {}
        return bytes
    }
}
