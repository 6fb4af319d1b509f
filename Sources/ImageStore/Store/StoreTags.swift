internal import CLinux
internal import LinuxSystem
public import OCISpec

extension ImageStore {
    /// Gives an image another reference; whatever had that reference before is left untagged.
    ///
    /// - Parameters:
    ///   - name: As for ``image(_:)``.
    ///   - reference: With a tag, without a digest: a digest is what an image is, not what it is called.
    /// - Returns: The image under its new reference.
    @discardableResult
    public func tag(_ name: String, as reference: ImageReference) throws(StoreError) -> ImageRecord {
        guard reference.digest == nil, reference.tag != nil else {
            throw .image(.tagWithDigest(reference.description))
        }
        return try whileRecordsStandStill { () throws(StoreError) in
            var image = try existingImage(name)
            image.reference = reference.description
            try commitLocked(image)
            return image
        }
    }
}
