internal import ImageStore
internal import OCISpec
internal import Registry
internal import Synchronization

/// Pushes one image: its layers side by side, then its configuration, then what names them.
struct ImagePusher: Sendable {
    let store: ImageStore
    let client: RegistryClient
    let image: ImageRecord
    let destination: ImageReference
    let allPlatforms: Bool
    let report: @Sendable (PushEvent) -> Void

    /// Blobs in flight at once.
    private static let widest = 4

    private struct Document {
        var descriptor: Descriptor
        var bytes: [UInt8]
    }

    func push() async throws(MLRunError) -> PushedImage {
        let manifest = Document(
            descriptor: image.manifest,
            bytes: try await stored { () throws(StoreError) in try document(image.manifestDigest) })
        let parsed = try await stored { () throws(StoreError) in
            try ImageContents.parseManifest(manifest.bytes, name: image.reference)
        }
        let configuration = try await stored { () throws(StoreError) in try document(image.config) }
        let supply = try await stored { () throws(StoreError) in
            try BlobSupply(
                parsed.layers.map { (descriptor: $0, image: image) }, in: store, client: client)
        }
        var blobs: [BlobContent] = []
        for layer in parsed.layers where !blobs.contains(where: { $0.descriptor.digest == layer.digest }) {
            blobs.append(supply.content(of: layer))
        }
        blobs.append(BlobContent(parsed.config, bytes: configuration))
        var outcome = PushedImage(reference: destination.description, digest: image.manifestDigest)
        try await send(blobs, &outcome)
        guard allPlatforms else {
            try await registry { () async throws(RegistryError) in
                try await client.push(manifest: manifest.bytes, manifest.descriptor, to: destination)
            }
            outcome.isPartOfIndex = image.indexDigest != nil
            return outcome
        }
        try await registry { () async throws(RegistryError) in
            try await client.push(manifest: manifest.bytes, manifest.descriptor, to: destination, tagged: false)
        }
        outcome.digest = try await pushIndex(&outcome)
        return outcome
    }

    /// The index that the image was chosen from, with the images of other platforms, which its registry has.
    private func pushIndex(_ outcome: inout PushedImage) async throws(MLRunError) -> Digest {
        guard let digest = image.indexDigest else {
            throw MLRunError(
                .invalidArgument, "\(image.reference) came without an index, so there are no other platforms to push",
                remedy: "leave --all-platforms out")
        }
        guard let source = BlobSupply.registryReference(of: image) else {
            throw MLRunError(
                .pushFailed,
                "\(image.reference) came from \(image.source), and only its image for this platform is in the store",
                remedy: "leave --all-platforms out, or pull the image from a registry")
        }
        let bytes = try await stored { () throws(StoreError) in try document(digest) }
        let index: ImageIndex
        do throws(JSONError) { index = try ImageIndex(JSONCursor(JSON(parsing: bytes))) } catch {
            throw MLRunError(StoreError.image(.malformed(what: "the index of \(image.reference)", error)))
        }
        for child in index.manifests where child.digest != image.manifestDigest {
            let isThere = try await registry { () async throws(RegistryError) in
                try await client.hasManifest(child.digest, in: destination)
            }
            if isThere { continue }
            let (content, manifest) = try await registry { () async throws(RegistryError) in
                try await client.manifest(child, of: source)
            }
            guard let manifest else {
                throw MLRunError(
                    .pushFailed, "the index of \(image.reference) holds another index, \(child.digest)",
                    remedy: "leave --all-platforms out")
            }
            let blobs = ([manifest.config] + manifest.layers).map { client.content(of: $0, in: source) }
            try await send(blobs, &outcome)
            try await registry { () async throws(RegistryError) in
                try await client.push(manifest: content, child, to: destination, tagged: false)
            }
        }
        let type = (try? JSON(parsing: bytes))?["mediaType"]?.string ?? MediaType.ociIndex
        let descriptor = Descriptor(mediaType: type, digest: digest, size: Int64(bytes.count))
        try await registry { () async throws(RegistryError) in
            try await client.push(manifest: bytes, descriptor, to: destination)
        }
        return digest
    }

    private func send(_ blobs: [BlobContent], _ outcome: inout PushedImage) async throws(MLRunError) {
        for blob in blobs { tell(blob, 0, .waiting) }
        let queue = blobs.sorted { $0.descriptor.size > $1.descriptor.size }
        do {
            try await withThrowingTaskGroup(of: (Digest, Int64, PushedBlob).self) { group in
                var waiting = queue[...]
                for next in waiting.prefix(Self.widest) { group.addTask { try await send(next) } }
                waiting = waiting.dropFirst(Self.widest)
                while let (_, size, result) = try await group.next() {
                    outcome.count(result, size)
                    if let next = waiting.popFirst() { group.addTask { try await send(next) } }
                }
            }
        } catch let error as MLRunError {
            throw error
        } catch {
            throw MLRunError(.cancelled, "the push of \(destination) was cancelled", underlying: error)
        }
    }

    private func send(_ blob: BlobContent) async throws(MLRunError) -> (Digest, Int64, PushedBlob) {
        let told = Mutex<Int64>(0)
        let result = try await registry { () async throws(RegistryError) in
            try await client.push(blob, to: destination, mountingFrom: BlobSupply.registryReference(of: image)) {
                sent in
                let isNews = told.withLock { last in
                    guard sent - last >= 1 << 20 || sent < last else { return false }
                    last = sent
                    return true
                }
                if isNews { tell(blob, sent, .sending) }
            }
        }
        // What was too small to be told of on the way was sent all the same.
        if result == .uploaded, told.withLock({ $0 }) == 0 { tell(blob, blob.descriptor.size, .sending) }
        tell(blob, blob.descriptor.size, result == .uploaded ? .done : .exists)
        return (blob.descriptor.digest, blob.descriptor.size, result)
    }

    private func tell(_ blob: BlobContent, _ sent: Int64, _ phase: PullProgress.Phase) {
        report(
            .progress(
                PullProgress(
                    layer: blob.descriptor.digest, received: sent, total: blob.descriptor.size, phase: phase)))
    }

    private func document(_ digest: Digest) throws(StoreError) -> [UInt8] {
        guard let bytes = try store.blob(digest) else {
            throw .image(.incomplete(image: image.reference, missing: digest))
        }
        return bytes
    }

    private func registry<Result: Sendable>(
        _ body: () async throws(RegistryError) -> Result
    ) async throws(MLRunError) -> Result {
        do throws(RegistryError) { return try await body() } catch {
            throw error.kind == .cancelled
                ? MLRunError(error)
                : MLRunError(.pushFailed, error.message, remedy: error.remedy, underlying: error)
        }
    }

    private func stored<Result: Sendable>(
        _ body: @escaping @Sendable () throws(StoreError) -> Result
    ) async throws(MLRunError) -> Result {
        do throws(StoreError) { return try await blocking(body) } catch { throw MLRunError(error) }
    }
}
