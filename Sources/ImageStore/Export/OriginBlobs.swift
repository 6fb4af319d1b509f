internal import LinuxSystem
public import OCISpec

/// The blobs of layers in the layout or archive that an image came from, found again.
public struct OriginBlobs: Sendable {
    private let files: any ImageFiles
    private let extents: [Digest: Extent]

    init(files: any ImageFiles, extents: [Digest: Extent]) {
        self.files = files
        self.extents = extents
    }

    /// A layer's blob; nil when it is not there any more. What it holds is yet to be verified.
    public func blob(_ descriptor: Descriptor) throws(StoreError) -> BlobFile? {
        let named = try files.file("blobs/\(descriptor.digest.algorithm)/\(descriptor.digest.hex)")
        guard let extent = named ?? extents[descriptor.digest], extent.size == descriptor.size else { return nil }
        return BlobFile(extent)
    }
}

extension ImageStore {
    /// Opens the layout or archive an image came from.
    ///
    /// - Throws: ``StoreError`` that says how blobs are kept, when there is nothing to go back to.
    public func originBlobs(of image: ImageRecord) throws(StoreError) -> OriginBlobs {
        func gone(_ reason: String) -> StoreError {
            .image(.blobsNotKept(image: image.reference, reason: reason))
        }
        guard let origin = image.origin else {
            throw gone("the store does not say where they came from")
        }
        let source: ImageSource?
        do throws(StoreError) { source = try ImageSource(origin) } catch { throw gone("\(error)") }
        guard let source else { throw gone("they came from \(origin.location)") }
        do throws(StoreError) {
            let files = try reopen(source)
            // An archive of `docker save` names its members by other things than digests.
            let index = try files.file("index.json")
            let list = try files.file("manifest.json")
            guard index == nil, list != nil else { return OriginBlobs(files: files, extents: [:]) }
            var extents: [Digest: Extent] = [:]
            for plan in try DockerArchive(files: files, source: source).plans() {
                for (layer, extent) in zip(plan.contents.layers, plan.extents) {
                    if let extent { extents[layer.descriptor.digest] = extent }
                }
            }
            return OriginBlobs(files: files, extents: extents)
        } catch {
            throw gone("\(error)")
        }
    }

    /// The descriptors of an image's layers as its manifest names them, lowest first.
    public func transportedLayers(of image: ImageRecord) throws(StoreError) -> [Descriptor] {
        guard let bytes = try blob(image.manifestDigest) else {
            throw .image(.incomplete(image: image.reference, missing: image.manifestDigest))
        }
        return try ImageContents.parseManifest(bytes, name: image.reference).layers
    }
}
