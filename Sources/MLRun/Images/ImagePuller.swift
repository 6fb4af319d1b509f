internal import ImageStore
internal import NIOCore
internal import OCISpec
internal import Registry

/// Brings one image from a registry into the store: manifest and configuration first, then the layers side by side,
/// largest first; those that are there, or that another process is fetching, are fetched by nobody twice.
struct ImagePuller: Sendable {
    let store: ImageStore
    let client: RegistryClient
    let reference: ImageReference
    let platform: Platform
    let trust: ImageTrust
    let keepBlobs: Bool
    let report: @Sendable (PullEvent) -> Void

    /// Layers in flight at once: enough to hide one slow stream, few enough to bound memory.
    private static let widest = 4
    private static let configurationLimit = 8 << 20

    func pull() async throws(MLRunError) -> PulledImage {
        var timing = PullTiming()
        let clock = ContinuousClock()
        let began = clock.now
        try trust.refuseRejected(reference)
        let resolved = try await registry { () async throws(RegistryError) in
            try await client.manifest(for: reference, platform: platform)
        }
        // Before the configuration or any layer: what is not trusted never reaches the store.
        let signers = try await trust.verify(
            [resolved.digest] + (resolved.index.map { [$0.digest] } ?? []), of: reference, by: client)
        let previous = try? store.image(reference.description)
        let contents = try await contents(of: resolved)
        timing.resolve = clock.now - began
        report(
            .resolved(
                ResolvedImage(
                    reference: reference.description, manifestDigest: resolved.digest,
                    layers: resolved.manifest.layers)))
        let layersBegan = clock.now
        // Nobody may clear a layer away between its arrival and the record that names it.
        let digests = contents.layers.map(\.descriptor.digest)
        var pins: LayerPins? = try await stored { () throws(StoreError) in try store.pinLayers(digests) }
        defer { withExtendedLifetime(pins) {} }
        let fetched: Fetched
        do throws(MLRunError) {
            let descriptors = contents.layers.map(\.descriptor)
            try await stored { () throws(StoreError) in try store.reserveSpace(for: descriptors) }
            fetched = try await layers(of: contents)
        } catch {
            pins = nil
            // After a broken connection the layers that did arrive spare the next try their download; an image that
            // does not keep its word leaves nothing.
            if error.underlying is StoreError {
                _ = try? await stored { () throws(StoreError) in try store.discardLayers(digests) }
            }
            // Those of former pulls that nobody tried again.
            _ = try? await stored { () throws(StoreError) in try store.collectUnreferenced() }
            throw error
        }
        timing.layers = clock.now - layersBegan
        timing.received = fetched.received
        let record = try await stored { () throws(StoreError) in
            try store.commit(
                contents, layers: fetched.records, reference: reference.description, source: reference.description,
                origin: ImageOrigin(
                    .registry, location: reference.description, layers: contents.layers.map(\.descriptor),
                    signers: signers))
        }
        let pulled = PulledImage(
            image: record, timing: timing, wasUpToDate: previous?.manifestDigest == resolved.digest)
        report(.finished(pulled))
        return pulled
    }

    private func contents(of resolved: ResolvedManifest) async throws(MLRunError) -> ImageContents {
        let name = reference.description
        let manifest = try await stored { () throws(StoreError) in
            try ImageContents.parseManifest(resolved.bytes, name: name)
        }
        let known = try await stored { () throws(StoreError) in try store.blob(manifest.config.digest) }
        let configuration: [UInt8]
        if let known {
            configuration = known
        } else {
            configuration = try await registry { () async throws(RegistryError) in
                try await client.smallBlob(manifest.config, of: reference, limit: Self.configurationLimit)
            }
        }
        return try await stored { () throws(StoreError) in
            try ImageContents(
                manifest: resolved.descriptor, manifestBytes: resolved.bytes, configurationBytes: configuration,
                indexDigest: resolved.index?.digest, indexBytes: resolved.index?.bytes, name: name)
        }
    }

    private struct Fetched {
        var records: [LayerRecord]
        var received: Int64
    }

    private func layers(of contents: ImageContents) async throws(MLRunError) -> Fetched {
        // A layer may stand twice in a manifest; it is fetched once.
        var expected: [Digest: ImageContents.Layer] = [:]
        for layer in contents.layers where expected[layer.descriptor.digest] == nil {
            expected[layer.descriptor.digest] = layer
            report(.progress(progress(layer.descriptor, 0, .waiting)))
        }
        let queue = expected.values.sorted { $0.descriptor.size > $1.descriptor.size }
        var records: [Digest: LayerRecord] = [:]
        var received: Int64 = 0
        do {
            try await withThrowingTaskGroup(of: (LayerRecord, Int64).self) { group in
                var waiting = queue[...]
                for next in waiting.prefix(Self.widest) {
                    group.addTask { try await layer(next.descriptor, diffID: next.diffID) }
                }
                waiting = waiting.dropFirst(Self.widest)
                while let (record, bytes) = try await group.next() {
                    records[record.digest] = record
                    received += bytes
                    if let next = waiting.popFirst() {
                        group.addTask { try await layer(next.descriptor, diffID: next.diffID) }
                    }
                }
            }
        } catch let error as MLRunError {
            throw error
        } catch {
            throw MLRunError(.cancelled, "the pull of \(reference) was cancelled", underlying: error)
        }
        return Fetched(records: contents.layers.compactMap { records[$0.descriptor.digest] }, received: received)
    }

    private func layer(_ descriptor: Descriptor, diffID: Digest) async throws(MLRunError) -> (LayerRecord, Int64) {
        if let record = try await held(descriptor, diffID) { return (record, 0) }
        let lock = try await lock(descriptor)
        defer { withExtendedLifetime(lock) {} }
        // Whoever held the lock before may have fetched it, or have failed.
        if let record = try await held(descriptor, diffID) { return (record, 0) }
        do throws(MLRunError) { return try await fetch(descriptor, diffID) } catch {
            // A full disk deserves a second try once what nobody needs is gone.
            guard let full = error.underlying as? StoreError,
                try await stored({ () throws(StoreError) in try store.makeRoom(after: full) })
            else { throw error }
        }
        return try await fetch(descriptor, diffID)
    }

    private func held(_ descriptor: Descriptor, _ diffID: Digest) async throws(MLRunError) -> LayerRecord? {
        let record = try await stored { () throws(StoreError) -> LayerRecord? in
            if keepBlobs, try store.keptBlob(descriptor) == nil { return nil }
            return try store.layer(descriptor, diffID: diffID)
        }
        if record != nil { report(.progress(progress(descriptor, descriptor.size, .exists))) }
        return record
    }

    /// Waits until nobody else, in this program or another, fetches the same layer.
    private func lock(_ descriptor: Descriptor) async throws(MLRunError) -> LayerLock {
        var pause = Duration.milliseconds(5)
        while true {
            let lock = try await stored { () throws(StoreError) in try store.lockLayerIfFree(descriptor.digest) }
            if let lock { return lock }
            // In steps, since a thread that waits for a lock cannot be cancelled.
            do { try await Task.sleep(for: pause) } catch {
                throw MLRunError(.cancelled, "the pull of \(reference) was cancelled", underlying: error)
            }
            pause = min(pause * 2, .milliseconds(100))
        }
    }

    private func fetch(_ descriptor: Descriptor, _ diffID: Digest) async throws(MLRunError) -> (LayerRecord, Int64) {
        while true {
            let stream = try await registry { () async throws(RegistryError) in
                try await client.blob(descriptor, of: reference)
            }
            do throws(MLRunError) {
                return (try await ingest(stream, descriptor, diffID: diffID), stream.received)
            } catch {
                // A mirror that sends something else than it was asked for does not stand in the registry's way.
                guard error.isDamagedContent, client.reject(stream) else { throw error }
            }
        }
    }

    private func ingest(
        _ stream: BlobStream, _ descriptor: Descriptor, diffID: Digest
    ) async throws(MLRunError) -> LayerRecord {
        let known = try await stored { () throws(StoreError) in try store.layer(descriptor, diffID: diffID) }
        let ingest = try await stored { () throws(StoreError) in
            try LayerWriter(
                known == nil ? store.ingestLayer(descriptor, expectedDiffID: diffID) : nil,
                keepBlobs ? store.keepBlob(descriptor, hashing: known != nil) : nil)
        }
        do throws(MLRunError) {
            try await receive(stream, into: ingest, descriptor)
            report(.progress(progress(descriptor, descriptor.size, .verifying)))
            let finished = try await stored { () throws(StoreError) in try ingest.finish() }
            guard let record = finished ?? known else { preconditionFailure("a layer is known or made") }
            report(.progress(progress(descriptor, descriptor.size, .done)))
            return record
        } catch {
            ingest.abandon()
            throw error
        }
    }

    private func receive(
        _ stream: BlobStream, into ingest: LayerWriter, _ descriptor: Descriptor
    ) async throws(MLRunError) {
        var iterator = stream.makeAsyncIterator()
        var reported: Int64 = 0
        while true {
            let next: ByteBuffer?
            do throws(RegistryError) { next = try await iterator.next() } catch { throw MLRunError(error) }
            guard let buffer = next else { return }
            // Hashing and inflating happen here, on this task's thread: that is the work, not a wait.
            var failure: StoreError?
            buffer.withUnsafeReadableBytes { bytes in
                do throws(StoreError) { try ingest.receive(bytes) } catch { failure = error }
            }
            if let failure { throw MLRunError(failure) }
            if stream.received - reported >= 1 << 20 {
                reported = stream.received
                report(.progress(progress(descriptor, reported, .pulling)))
            }
        }
    }

    private func progress(_ descriptor: Descriptor, _ received: Int64, _ phase: PullProgress.Phase) -> PullProgress {
        PullProgress(layer: descriptor.digest, received: received, total: descriptor.size, phase: phase)
    }

    private func registry<Result: Sendable>(
        _ body: () async throws(RegistryError) -> Result
    ) async throws(MLRunError) -> Result {
        do throws(RegistryError) { return try await body() } catch { throw MLRunError(error) }
    }

    private func stored<Result: Sendable>(
        _ body: @escaping @Sendable () throws(StoreError) -> Result
    ) async throws(MLRunError) -> Result {
        do throws(StoreError) { return try await blocking(body) } catch { throw MLRunError(error) }
    }
}

extension MLRunError {
    /// Whether the bytes that came were not those that were asked for, or could not be.
    fileprivate var isDamagedContent: Bool {
        switch underlying as? StoreError {
        case .wrongDigest, .wrongSize, .wrongDiffID, .damagedCompression, .refusedArchive: true
        default: false
        }
    }
}

/// Where the bytes of a blob go: into a layer, into the blob that is kept, or both.
///
/// Used by one task at a time: between two calls the task may move to another thread, never two call at once.
private final class LayerWriter: @unchecked Sendable {
    private let layer: LayerIngest?
    private let keeper: BlobKeeper?

    init(_ layer: LayerIngest?, _ keeper: BlobKeeper?) {
        self.layer = layer
        self.keeper = keeper
    }

    func receive(_ bytes: UnsafeRawBufferPointer) throws(StoreError) {
        try layer?.receive(bytes)
        try keeper?.write(bytes)
    }

    func finish() throws(StoreError) -> LayerRecord? {
        let record = try layer?.finish()
        try keeper?.finish()
        return record
    }

    func abandon() {
        layer?.abandon()
        keeper?.abandon()
    }
}
