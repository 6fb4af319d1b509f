public import ImageStore
public import OCISpec
internal import Registry

/// What happens while an image goes to a registry.
public enum PushEvent: Sendable {
    /// A blob went on.
    case progress(PullProgress)
    /// The registry has the image. The last event.
    case finished(PushedImage)
}

/// An image in a registry, and what bringing it there took.
public struct PushedImage: Sendable, Equatable {
    /// In its full form.
    public let reference: String
    /// What the reference names there now: the manifest, or with all platforms the index.
    public internal(set) var digest: Digest
    /// Whether the image was chosen from an index that was not pushed with it.
    public internal(set) var isPartOfIndex = false
    /// Blobs that were there.
    public private(set) var existed = 0
    /// Blobs that the registry took from another of its repositories.
    public private(set) var mounted = 0
    /// Blobs that were sent.
    public private(set) var uploaded = 0
    /// Bytes of those that were sent.
    public private(set) var sentBytes: Int64 = 0

    init(reference: String, digest: Digest) {
        self.reference = reference
        self.digest = digest
    }

    mutating func count(_ blob: PushedBlob, _ size: Int64) {
        switch blob {
        case .existed: existed += 1
        case .mounted: mounted += 1
        case .uploaded:
            uploaded += 1
            sentBytes += size
        }
    }
}

/// Something that refers to an image by its digest: a signature, a list of materials.
public struct Referrer: Sendable, Equatable {
    /// Of the manifest that refers.
    public let descriptor: Descriptor
    /// What it refers to: the image's manifest, or the index it came from.
    public let subject: Digest
}

extension ModelHost {
    /// Pushes an image, every digest as it was. Blobs that the store did not keep are streamed from where the image came.
    ///
    /// - Parameters:
    ///   - name: As for ``ImageStore/image(_:)``.
    ///   - destination: What to call it there; nil for the image's own reference.
    ///   - allPlatforms: Pushes the index that the image was chosen from, with the images of all other platforms, which
    ///     are copied from the registry it came from.
    public func push(
        _ name: String, to destination: String? = nil, allPlatforms: Bool = false,
        report: @escaping @Sendable (PushEvent) -> Void = { _ in }
    ) async throws(MLRunError) -> PushedImage {
        let image: ImageRecord
        do throws(StoreError) { image = try store.existingImage(name) } catch { throw MLRunError(error) }
        if destination == nil, image.reference == ImageRecord.untagged {
            throw MLRunError(
                .invalidArgument, "the image \(name) has no reference to push it to",
                remedy: "name a destination, or give it one with `mlrun tag`")
        }
        let reference: ImageReference
        do throws(ImageReference.Invalid) {
            reference = try ImageReference(parsing: destination ?? image.reference)
        } catch {
            throw MLRunError(error)
        }
        if let digest = reference.digest, digest != image.manifestDigest, digest != image.indexDigest {
            throw MLRunError(
                .invalidArgument, "\(name) cannot be pushed as \(reference): its digest is \(image.manifestDigest)",
                remedy: "leave the digest out, or name a tag")
        }
        let client = RegistryClient(configuration: registry, logger: logger)
        do throws(MLRunError) {
            let pushed = try await ImagePusher(
                store: store, client: client, image: image, destination: reference, allPlatforms: allPlatforms,
                report: report
            ).push()
            await client.shutdown()
            report(.finished(pushed))
            return pushed
        } catch {
            await client.shutdown()
            throw error
        }
    }

    /// What refers to an image in the registry it came from: signatures, lists of materials and the like.
    ///
    /// - Parameter artifactType: Only those of this type.
    public func referrers(of name: String, artifactType: String? = nil) async throws(MLRunError) -> [Referrer] {
        let image: ImageRecord
        do throws(StoreError) { image = try store.existingImage(name) } catch { throw MLRunError(error) }
        guard let reference = BlobSupply.registryReference(of: image) else {
            throw MLRunError(
                .invalidArgument, "\(image.reference) came from \(image.source), where nothing can refer to it",
                remedy: "pull the image from its registry")
        }
        let client = RegistryClient(configuration: registry, logger: logger)
        var found: [Referrer] = []
        do throws(RegistryError) {
            for subject in [image.manifestDigest] + (image.indexDigest.map { [$0] } ?? []) {
                found += try await client.referrers(of: subject, in: reference, artifactType: artifactType)
                    .map { Referrer(descriptor: $0, subject: subject) }
            }
        } catch {
            await client.shutdown()
            throw MLRunError(error)
        }
        await client.shutdown()
        return found
    }

    /// Gives an image another reference; whatever had that one before is left untagged.
    ///
    /// - Returns: The image under its new reference.
    @discardableResult
    public func tag(_ name: String, as reference: String) throws(MLRunError) -> ImageRecord {
        let parsed: ImageReference
        do throws(ImageReference.Invalid) { parsed = try ImageReference(parsing: reference) } catch {
            throw MLRunError(error)
        }
        do throws(StoreError) { return try store.tag(name, as: parsed) } catch { throw MLRunError(error) }
    }
}
